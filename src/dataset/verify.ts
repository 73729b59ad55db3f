import { createHash } from "node:crypto";
import { existsSync } from "node:fs";
import { cornerShift, gridTolerance, shiftLimit } from "../volume/grid.ts";
import { axisCodes } from "../volume/orientation.ts";
import type { Vec3, Volume } from "../volume/volume.ts";
import { canonicalView } from "./preprocess-view.ts";
import { type LabelMapOptions, readChannels, readLabelMap } from "./scan.ts";
import type { Dataset, DatasetCase, LabelInfo } from "./types.ts";

/** One thing that is wrong (or odd) with one case. */
export interface Finding {
  case: string;
  expected: string;
  found: string;
}

export interface Verification {
  /** What must be mended before training. */
  problems: Finding[];
  /** What may be meant so, but is worth a look. */
  warnings: Finding[];
  summary: {
    training: number;
    test: number;
    /** Smallest and largest size along D, H, W once turned to RAS, as training turns every scan, and voxel sizes in mm. */
    shapes: { min: Vec3; max: Vec3 } | null;
    spacings: { min: Vec3; max: Vec3 } | null;
    /** How many cases have each orientation, e.g. {"RAS": 200}. */
    orientations: Record<string, number>;
    /** Cases in which each label occurs. */
    labels: { name: string; value: number; cases: number }[];
  };
}

export interface VerifyOptions {
  onProgress?: (done: number, total: number) => void;
}

/**
 * Reads every file of a set and checks it: missing and unreadable files, channel counts, shapes, affines (image against label,
 * corners within 5 % of a voxel), label values against dataset.json, NaN and infinite voxels, images that occur twice.
 * Never stops at the first problem. Read the set with `allowIncomplete` so that missing files are found here.
 */
export async function verifyDataset(dataset: Dataset, options: VerifyOptions = {}): Promise<Verification> {
  const problems: Finding[] = [];
  const warnings: Finding[] = [];
  const hashes = new Map<string, string>();
  const shapes: Vec3[] = [];
  const spacings: Vec3[] = [];
  const orientations: Record<string, number> = {};
  const seen = new Map<number, number>();
  const all = [
    ...dataset.training.map((entry) => ({ entry, training: true })),
    ...dataset.test.map((entry) => ({ entry, training: false })),
  ];
  for (const [done, { entry, training }] of all.entries()) {
    const problem = (expected: string, found: string): void => void problems.push({ case: entry.id, expected, found });
    const warning = (expected: string, found: string): void => void warnings.push({ case: entry.id, expected, found });
    const images = await readImages(entry, dataset.channels, problem);
    const label = await readLabel(entry, training, { targets: dataset, like: images[0] }, problem);
    if (images.length > 0) {
      const [first] = images;
      const view = canonicalView(first.shape, first.affine);
      shapes.push(view.shape);
      spacings.push(view.spacing);
      const codes = axisCodes(first.affine);
      orientations[codes] = (orientations[codes] ?? 0) + 1;
      for (const [c, image] of images.entries())
        checkImage(image, `channel ${dataset.channels[c] ?? c}`, problem, warning);
      for (const image of images.slice(1)) checkGrid(image, first, "every channel", problem);
      if (label) checkGrid(label, first, "the label", problem);
      const hash = hashOf(images);
      const twin = hashes.get(hash);
      if (twin)
        problem(
          "images that occur once",
          `the same voxels as case ${twin}; remove one, or it may sit in training and validation`,
        );
      else hashes.set(hash, entry.id);
    }
    if (label) checkLabel(label, dataset.labels, training, seen, problem, warning);
    options.onProgress?.(done + 1, all.length);
  }
  if (dataset.training.length === 1) {
    warnings.push({
      case: "(all)",
      expected: "2 training cases or more, so that some can validate",
      found: "1; train on it with --fold none",
    });
  }
  for (const { value, name } of dataset.labels.slice(1)) {
    if (!seen.has(value)) {
      warnings.push({
        case: "(all)",
        expected: `label ${value} (${name}) in some training case`,
        found: "none has it",
      });
    }
  }
  return {
    problems,
    warnings,
    summary: {
      training: dataset.training.length,
      test: dataset.test.length,
      shapes: extent(shapes),
      spacings: extent(spacings),
      orientations,
      labels: dataset.labels.map(({ name, value }) => ({ name, value, cases: seen.get(value) ?? 0 })),
    },
  };
}

type Report = (expected: string, found: string) => void;

async function readImages(entry: DatasetCase, channels: readonly string[], problem: Report): Promise<Volume[]> {
  if (entry.images.length === 0) problem("an image for every label", `no image for ${entry.label}`);
  const images: Volume[] = [];
  for (const path of entry.images) {
    if (!existsSync(path)) {
      problem("every image file in place", `no file ${path}`);
      continue;
    }
    try {
      images.push(...(await readChannels(path)));
    } catch (error) {
      problem("a readable image", (error as Error).message);
    }
  }
  if (images.length > 0 && images.length !== channels.length) {
    problem(
      `${channels.length} ${channels.length === 1 ? "channel" : "channels"} (${channels.join(", ")})`,
      `${images.length} readable`,
    );
  }
  return images;
}

async function readLabel(
  entry: DatasetCase,
  needed: boolean,
  options: LabelMapOptions,
  problem: Report,
): Promise<Volume | undefined> {
  if (!entry.label || !existsSync(entry.label)) {
    if (needed || entry.label) problem("a label file for every training case", `no file ${entry.label ?? "named"}`);
    return undefined;
  }
  try {
    return await readLabelMap(entry.label, options);
  } catch (error) {
    problem("a readable label", (error as Error).message);
    return undefined;
  }
}

function checkImage({ data }: Volume, what: string, problem: Report, warning: Report): void {
  let odd = 0;
  let low = Number.POSITIVE_INFINITY;
  let high = Number.NEGATIVE_INFINITY;
  for (let i = 0; i < data.length; i++) {
    const value = data[i];
    if (!Number.isFinite(value)) odd++;
    else if (value < low) low = value;
    if (value > high && value < Number.POSITIVE_INFINITY) high = value;
  }
  if (odd > 0) problem(`finite voxels in ${what}`, `${odd} of ${data.length} are NaN or infinite`);
  if (low === high) warning(`different values in ${what}`, `all voxels are ${low}`);
}

const by = (shape: Vec3): string => shape.join(" x ");

function checkGrid(volume: Volume, image: Volume, what: string, problem: Report): void {
  if (volume.shape.some((n, axis) => n !== image.shape[axis])) {
    problem(`${what} with the image's shape ${by(image.shape)} (D, H, W)`, by(volume.shape));
    return;
  }
  const shift = cornerShift(volume, image);
  const limit = shiftLimit(image);
  if (!(shift <= limit)) {
    problem(
      `${what} on the image's grid (corners within ${gridTolerance * 100} % of a voxel, ${limit.toPrecision(2)} mm)`,
      `a corner ${shift.toPrecision(3)} mm away; axes ${axisCodes(volume.affine)} against the image's ${axisCodes(image.affine)}`,
    );
  }
}

function checkLabel(
  { data }: Volume,
  labels: readonly LabelInfo[],
  training: boolean,
  seen: Map<number, number>,
  problem: Report,
  warning: Report,
): void {
  const counts = new Map<number, number>();
  let last = Number.NaN;
  let run = 0;
  const flush = (): void => void (run > 0 && counts.set(last, (counts.get(last) ?? 0) + run));
  for (let i = 0; i < data.length; i++) {
    // Object.is: NaN counts as a value of its own, found once.
    if (Object.is(data[i], last)) run++;
    else {
      flush();
      last = data[i];
      run = 1;
    }
  }
  flush();
  const known = new Set(labels.map(({ value }) => value));
  const unknown = [...counts].filter(([value]) => !known.has(value));
  if (unknown.length > 0) {
    const list = unknown.slice(0, 5).map(([value, n]) => `${value} (${n} ${n === 1 ? "voxel" : "voxels"})`);
    problem(
      `label values ${[...known].join(", ")} as in the data set's description`,
      `${list.join(", ")}${unknown.length > 5 ? ` and ${unknown.length - 5} more` : ""}`,
    );
  }
  if (training) {
    for (const value of counts.keys()) seen.set(value, (seen.get(value) ?? 0) + 1);
    if ([...counts.keys()].every((value) => value === 0)) warning("some foreground in the label", "only background");
  }
}

function hashOf(images: readonly Volume[]): string {
  const hash = createHash("sha256");
  for (const { data, shape } of images) {
    hash.update(`${data.constructor.name} ${shape};`);
    hash.update(new Uint8Array(data.buffer, data.byteOffset, data.byteLength));
  }
  return hash.digest("hex");
}

function extent(values: readonly Vec3[]): { min: Vec3; max: Vec3 } | null {
  if (values.length === 0) return null;
  const of = (pick: (...n: number[]) => number): Vec3 =>
    [0, 1, 2].map((axis) => values.reduce((best, v) => pick(best, v[axis]), values[0][axis])) as Vec3;
  return { min: of(Math.min), max: of(Math.max) };
}
