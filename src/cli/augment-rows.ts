import { channelsOf, drawValue, mirrorPatch, mirrorProbability } from "../dataset/augment.ts";
import { type AugmentLevel, augmentLevels, type IntensityStep, intensitySteps } from "../dataset/augment-chain.ts";
import { makeBatch } from "../dataset/loader.ts";
import { cutPatch, foregroundOf, type Patch, patchStart } from "../dataset/sample.ts";
import type { Plan, PreparedCase } from "../dataset/types.ts";
import { warpPatch } from "../dataset/warp.ts";
import { drawFactor, spatialMatrix, spatialRanges, zoomAcross } from "../dataset/warp-matrix.ts";
import { type Random, random } from "../util/random.ts";
import { type Vec3, voxelCount } from "../volume/volume.ts";

export interface SheetCell {
  patch: Patch;
  caption: string;
}

/** One transform, or the whole chain, by some of its results. */
export interface SheetRow {
  name: string;
  /** What it is, a line each. */
  words: string[];
  cells: SheetCell[];
}

export interface SheetOptions {
  window: Vec3;
  level: AugmentLevel;
  shift: number;
  seed: number;
  /** Random results of each transform, beside those at the ends of its range. */
  draws: number;
}

/** First keys of the sheet's random streams, apart from each other. */
const windowStream = 1;
const drawStream = 2;

const share = (p: number): string => `${Number((100 * p).toFixed(1))} %`;
const number = (v: number): string => String(Number(v.toFixed(2)));

/** Which steps a level runs, in order. */
export function stepsOf(level: AugmentLevel): readonly IntensityStep[] {
  const { intensities } = augmentLevels[level];
  return intensities === "none" ? [] : intensitySteps.filter((step) => intensities === "all" || step.light);
}

/**
 * The rows of a contact sheet: random windows, each transform of the level alone on one window with foreground (as it is, at the
 * ends of its range, then drawn), and the whole chain as training gets it from {@link makeBatch}.
 */
export function sheetRows(prepared: PreparedCase, plan: Plan, options: SheetOptions): SheetRow[] {
  const { window, level, seed, draws } = options;
  const { warp, move } = augmentLevels[level];
  const start = middleOfForeground(prepared, window);
  const original = (): Patch => cutPatch(prepared, window, start);
  const rows = [windowsRow(prepared, options)];
  const add = (name: string, words: string[], cells: SheetCell[]): void => {
    rows.push({ name, words, cells: [{ patch: original(), caption: "as it is" }, ...cells] });
  };
  const streams = (row: string): Random[] =>
    Array.from({ length: draws }, (_, k) => random(seed, drawStream, ...row.split("").map((c) => c.charCodeAt(0)), k));

  const ranges = spatialRanges(window, plan.spacing);
  const thick = ranges.thick !== null && window[ranges.thick] > 1 ? [`not along ${"DHW"[ranges.thick]}`] : [];
  const warped = (degrees: Vec3, zoom: number): Patch =>
    warpPatch(prepared, window, start, spatialMatrix(plan.spacing, degrees, zoomAcross(ranges.thick, zoom)));
  if (warp) {
    const most = Math.max(...ranges.degrees);
    const axes = "DHW".split("").filter((_, axis) => ranges.degrees[axis] > 0);
    const turned = (part: (most: number) => number): SheetCell => {
      const degrees = ranges.degrees.map((m) => (m > 0 ? part(m) : 0)) as Vec3;
      const caption = degrees.filter((_, axis) => ranges.degrees[axis] > 0).map((d) => d.toFixed(0));
      return { patch: warped(degrees, 1), caption: `${caption.join(", ")} degrees` };
    };
    // A full half turn looks the same at both ends.
    const ends = most === 180 ? [-most / 2, most] : [-most, most];
    add(
      "rotation",
      [share(ranges.probability), `-${most} to ${most} degrees about ${axes.join(", ")}`],
      [...ends.map((d) => turned(() => d)), ...streams("rotation").map((r) => turned((m) => r.uniform(-m, m)))],
    );
    const zooms = [...ranges.zoom, ...streams("zoom").map((r) => drawFactor(ranges.zoom, r))];
    add(
      "zoom",
      [share(ranges.probability), `sees ${ranges.zoom.join(" to ")} times as far`, ...thick],
      zooms.map((zoom) => ({ patch: warped([0, 0, 0], zoom), caption: number(zoom) })),
    );
  }
  const context = { shape: window, thick: ranges.thick };
  for (const step of stepsOf(level)) {
    const own = streams(step.name);
    const values = [...step.range, ...own.map((r) => drawValue(step, r))];
    const cells = values.map((value, k): SheetCell => {
      const patch = original();
      for (const x of channelsOf(patch)) step.apply(x, () => value, { ...context, random: random(seed, k) });
      return { patch, caption: `${step.value} ${number(value)}` };
    });
    const channels = step.perChannel < 1 ? `, then ${share(step.perChannel)} of the channels` : "";
    add(
      step.name,
      [
        `${share(step.probability)}${channels}`,
        `${step.value} ${step.range.join(" to ")}`,
        ...(step.name === "low resolution" ? thick : []),
      ],
      cells,
    );
  }
  if (move && plan.mirrorAxes.length > 0) {
    const cells = plan.mirrorAxes.map((axis): SheetCell => {
      const patch = original();
      mirrorPatch(patch, axis);
      return { patch, caption: `along ${"DHW"[axis]}` };
    });
    add("mirror", [`${share(mirrorProbability)} for each axis`], cells);
  }
  if (level !== "none") rows.push(...chainRows(prepared, plan, options));
  return rows;
}

function windowsRow(prepared: PreparedCase, { window, level, shift, seed, draws }: SheetOptions): SheetRow {
  const moved = augmentLevels[level].move ? shift : 0;
  const words = ["not augmented", "every third centred on foreground"];
  if (moved > 0) words.push(`moved by up to ${share(moved)} where the`, "scan leaves no more room");
  const cells = Array.from({ length: draws + 3 }, (_, k): SheetCell => {
    const start = patchStart(prepared, window, random(seed, windowStream, k), k % 3 === 0, moved);
    return { patch: cutPatch(prepared, window, start), caption: `from ${start.join(", ")}` };
  });
  return { name: "windows", words, cells };
}

/** The level's batches as training gets them, from this case alone. */
function chainRows(
  prepared: PreparedCase,
  plan: Plan,
  { window, level, shift, seed, draws }: SheetOptions,
): SheetRow[] {
  const columns = draws + 3;
  const voxels = voxelCount(window);
  return [0, 1].map((step): SheetRow => {
    const shown = { ...plan, regions: undefined };
    const batch = makeBatch([prepared], shown, { seed, step, batch: columns, augment: level, shift, patch: window });
    const channels = plan.channels.length;
    const cells = Array.from({ length: columns }, (_, k): SheetCell => {
      const image = batch.input.subarray(k * channels * voxels, (k + 1) * channels * voxels);
      const label = (batch.target as Uint8Array).subarray(k * voxels, (k + 1) * voxels);
      return { patch: { image, label, shape: window }, caption: `window ${step * columns + k + 1}` };
    });
    return { name: level, words: step === 0 ? ["the whole chain,", "as training gets it"] : [], cells };
  });
}

/** Start of the window about the middle of what is labelled; about the scan's without a label. */
function middleOfForeground(prepared: PreparedCase, window: Vec3): Vec3 {
  const [, H, W] = prepared.shape;
  const sums = [0, 0, 0];
  let count = 0;
  for (const list of foregroundOf(prepared)) {
    for (const i of list) {
      sums[0] += Math.floor(i / (H * W));
      sums[1] += Math.floor(i / W) % H;
      sums[2] += i % W;
      count++;
    }
  }
  return prepared.shape.map((n, axis) => {
    const middle = count > 0 ? sums[axis] / count : n / 2;
    const room = n - window[axis];
    if (room <= 0) return Math.ceil(room / 2) || 0;
    return Math.min(room, Math.max(0, Math.round(middle) - (window[axis] >> 1)));
  }) as Vec3;
}
