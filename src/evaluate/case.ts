import { lookUp, masksOfClasses } from "../dataset/regions.ts";
import type { LabelInfo, Region } from "../dataset/types.ts";
import { fail } from "../util/errors.ts";
import { voxelVolume } from "../volume/affine.ts";
import { cornerShift, shiftLimit } from "../volume/grid.ts";
import type { Volume } from "../volume/volume.ts";
import { countClasses, countRegions, type Overlap, overlapOf } from "./overlap.ts";
import { classBoxes, type SurfaceDistances, surfaceDistances, surfaceOf } from "./surface.ts";

/** All metrics of one class or region in one case; the background has none. */
export interface ClassMetrics extends Overlap, SurfaceDistances {
  value: number;
  /** Of a region: every label value that belongs to it; `value` is then the one that predictions paint. */
  values?: number[];
  name: string;
}

export interface CaseMetrics {
  id: string;
  classes: ClassMetrics[];
}

export interface EvaluateOptions {
  /** Tolerance of the normalised surface Dice in mm. */
  tolerance?: number;
  /** Regions to compare instead of the single labels, whose values `labels` lists. */
  regions?: readonly Region[];
}

/** Names the two maps in error sentences, e.g. their file paths. */
export interface PairNames {
  prediction: string;
  truth: string;
}

/**
 * Compares a predicted label map with the true one, class by class or region by region. Both hold values of `labels` (background, value 0,
 * included or not) on the same grid. Throws a UserError that names the pair where shapes, affines or values do not fit.
 */
export function evaluateCase(
  id: string,
  prediction: Volume,
  truth: Volume,
  labels: readonly LabelInfo[],
  options: EvaluateOptions = {},
  names: PairNames = { prediction: `the prediction of ${id}`, truth: `the truth of ${id}` },
): CaseMetrics {
  assertSameGrid(prediction, truth, names);
  const foreground = labels.filter((label) => label.value !== 0);
  if (foreground.length > 255)
    fail(`At most 255 classes can be evaluated, but the label list has ${foreground.length}.`);
  const predicted = classIndices(prediction, foreground, names.prediction);
  const actual = classIndices(truth, foreground, names.truth);
  const voxelMm3 = voxelVolume(truth.affine);
  const { regions, tolerance = 1 } = options;
  if (regions)
    return { id, classes: regionMetrics(predicted, actual, truth, foreground, regions, voxelMm3, tolerance) };
  const classes = foreground.length + 1;
  const counts = countClasses(predicted, actual, classes);
  const predictedBoxes = classBoxes(predicted, truth.shape, classes);
  const actualBoxes = classBoxes(actual, truth.shape, classes);
  return {
    id,
    classes: foreground.map(({ value, name }, index) => {
      const c = index + 1;
      const surface = (map: Uint8Array, boxes: typeof actualBoxes) =>
        surfaceOf(map, truth.shape, c, truth.affine, boxes[c]);
      return {
        value,
        name,
        ...overlapOf(counts[c], voxelMm3),
        ...surfaceDistances(surface(predicted, predictedBoxes), surface(actual, actualBoxes), tolerance),
      };
    }),
  };
}

/** Metrics of each region, from maps of 1-based places in `foreground`. */
function regionMetrics(
  predicted: Uint8Array,
  actual: Uint8Array,
  { shape, affine }: Volume,
  foreground: readonly LabelInfo[],
  regions: readonly Region[],
  voxelMm3: number,
  tolerance: number,
): ClassMetrics[] {
  const table = masksOfClasses([{ value: 0, name: "" }, ...foreground], regions);
  const maps = [lookUp(predicted, table), lookUp(actual, table)];
  const counts = countRegions(maps[0], maps[1], regions.length);
  return regions.map(({ name, values, paint }, r) => {
    const [p, t] = maps.map((map) => {
      const inside = map.map((mask) => (mask >> r) & 1);
      return surfaceOf(inside, shape, 1, affine, classBoxes(inside, shape, 2)[1]);
    });
    return { value: paint, values, name, ...overlapOf(counts[r], voxelMm3), ...surfaceDistances(p, t, tolerance) };
  });
}

/** Two maps can be compared when their shapes are equal and no corner differs by more than 5 % of a voxel, as in verify. */
function assertSameGrid(prediction: Volume, truth: Volume, names: PairNames): void {
  if (prediction.shape.some((n, axis) => n !== truth.shape[axis])) {
    fail(
      `${names.prediction} and ${names.truth} must have the same shape, but have ${prediction.shape.join(" x ")} and ` +
        `${truth.shape.join(" x ")} voxels (D x H x W); compare maps on the truth's own grid.`,
    );
  }
  const shift = cornerShift(prediction, truth);
  if (!(shift <= shiftLimit(truth))) {
    fail(
      `${names.prediction} and ${names.truth} must lie in the same place, but their affines put a corner ` +
        `${shift.toPrecision(3)} mm apart; compare maps on the truth's own grid.`,
    );
  }
}

/** The distinct values of a label map, ascending. Throws a UserError where a value is no whole number from 0 up. */
export function labelValues(map: Volume, name: string): number[] {
  const seen = new Set<number>();
  let last = Number.NaN;
  for (const value of map.data) {
    if (value === last) continue;
    last = value;
    if (seen.has(value)) continue;
    if (!Number.isInteger(value) || value < 0) {
      fail(`A label map must hold whole numbers from 0 up, but ${name} holds ${value}; is it an image?`);
    }
    seen.add(value);
  }
  return [...seen].sort((a, b) => a - b);
}

/** Voxel values to 1-based positions in `foreground` (0 stays 0). */
function classIndices(map: Volume, foreground: readonly LabelInfo[], name: string): Uint8Array {
  const index = new Map<number, number>([[0, 0]]);
  foreground.forEach(({ value }, i) => {
    index.set(value, i + 1);
  });
  const { data } = map;
  const out = new Uint8Array(data.length);
  let last = 0;
  let current = 0;
  for (let i = 0; i < data.length; i++) {
    if (data[i] !== last) {
      last = data[i];
      const found = index.get(last);
      if (found === undefined) {
        const known = foreground.map((label) => label.value).join(", ");
        fail(`${name} holds the value ${last}, which is not among its labels 0, ${known}; check the label list.`);
      }
      current = found;
    }
    out[i] = current;
  }
  return out;
}
