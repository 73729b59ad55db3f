import { fail } from "../util/errors.ts";

/** Voxel counts of one class in a prediction and its truth. */
export interface ClassCounts {
  predicted: number;
  truth: number;
  both: number;
}

/**
 * Overlap of one class. Empty masks: both empty is a correct answer, so Dice = IoU = precision = recall = 1; only one
 * empty gives Dice = IoU = 0, and the ratio whose denominator is 0 is null (precision of an empty prediction, recall of
 * an empty truth).
 */
export interface Overlap {
  /** 2 |P and T| / (|P| + |T|). */
  dice: number;
  /** |P and T| / |P or T|. */
  iou: number;
  /** |P and T| / |P|. */
  precision: number | null;
  /** |P and T| / |T|. */
  recall: number | null;
  predictedMl: number;
  truthMl: number;
  /** Predicted minus true volume in ml. */
  volumeErrorMl: number;
  /** That error divided by the true volume; null where the truth is empty and the prediction is not. */
  relativeVolumeError: number | null;
}

/**
 * Counts every class of two maps of class indices (0 to `classes` - 1, one byte a voxel, equal length) in one pass;
 * the result's index is the class. Counts of several cases may be added up.
 */
export function countClasses(prediction: Uint8Array, truth: Uint8Array, classes: number): ClassCounts[] {
  if (prediction.length !== truth.length) {
    fail(`Prediction and truth must have equal numbers of voxels, but have ${prediction.length} and ${truth.length}.`);
  }
  const predicted = new Float64Array(256);
  const actual = new Float64Array(256);
  const both = new Float64Array(256);
  for (let i = 0; i < truth.length; i++) {
    const p = prediction[i];
    const t = truth[i];
    predicted[p]++;
    actual[t]++;
    if (p === t) both[t]++;
  }
  return Array.from({ length: classes }, (_, c) => ({ predicted: predicted[c], truth: actual[c], both: both[c] }));
}

/** The same for `regions` that may overlap: two maps of bit masks, bit r set where a voxel belongs to region r (up to 8). */
export function countRegions(prediction: Uint8Array, truth: Uint8Array, regions: number): ClassCounts[] {
  const masks = 1 << regions;
  // How often each pair of masks occurs says all.
  const pairs = new Float64Array(masks * masks);
  for (let i = 0; i < truth.length; i++) pairs[prediction[i] * masks + truth[i]]++;
  const counts = Array.from({ length: regions }, (): ClassCounts => ({ predicted: 0, truth: 0, both: 0 }));
  for (const [pair, n] of pairs.entries()) {
    if (n === 0) continue;
    const [p, t] = [Math.floor(pair / masks), pair % masks];
    for (const [r, count] of counts.entries()) {
      if ((p >> r) & 1) count.predicted += n;
      if ((t >> r) & 1) count.truth += n;
      if ((p >> r) & (t >> r) & 1) count.both += n;
    }
  }
  return counts;
}

/** Overlap metrics from counts; `voxelMm3` is the volume of a voxel in cubic millimetres. */
export function overlapOf(counts: ClassCounts, voxelMm3: number): Overlap {
  const { predicted, truth, both } = counts;
  const empty = predicted + truth === 0;
  const ratio = (part: number, whole: number): number | null => (empty ? 1 : whole === 0 ? null : part / whole);
  const ml = voxelMm3 / 1000;
  return {
    dice: diceOf(counts),
    iou: empty ? 1 : both / (predicted + truth - both),
    precision: ratio(both, predicted),
    recall: ratio(both, truth),
    predictedMl: predicted * ml,
    truthMl: truth * ml,
    volumeErrorMl: (predicted - truth) * ml,
    relativeVolumeError: empty ? 0 : truth === 0 ? null : (predicted - truth) / truth,
  };
}

/** Dice coefficient from counts; 1 when the class is absent from both. */
export function diceOf({ predicted, truth, both }: ClassCounts): number {
  return predicted + truth === 0 ? 1 : (2 * both) / (predicted + truth);
}
