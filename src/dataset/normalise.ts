import { fail } from "../util/errors.ts";
import type { VoxelArray } from "../volume/volume.ts";
import { type PlanePasses, planePercentiles } from "./preprocess-percentiles.ts";
import type { Normalisation } from "./types.ts";

/** Brings values of a channel to the common scale, in place. */
type Normaliser = (values: Float32Array) => void;

/** The scale of one channel of one volume; `planes` pass over all its values where the scale is the volume's own. */
export function createNormaliser(planes: PlanePasses, how: Normalisation): Normaliser {
  switch (how.kind) {
    case "scale": {
      const { divisor } = how;
      return (x) => {
        for (let i = 0; i < x.length; i++) x[i] /= divisor;
      };
    }
    case "ct":
      return clipAndStandardise(how.low, how.high, how.mean, how.sd);
    case "zscore": {
      const [low, high] = how.percentiles
        ? planePercentiles(planes, how.percentiles)
        : [Number.NEGATIVE_INFINITY, Number.POSITIVE_INFINITY];
      const { mean, sd } = clippedMeanAndSd(planes, low, high);
      return clipAndStandardise(low, high, mean, sd);
    }
  }
}

/** Throws a UserError (with `where`) for NaN or infinite voxels. */
export function checkFinite(data: VoxelArray, where: () => string): void {
  for (let i = 0; i < data.length; i++) {
    if (!Number.isFinite(data[i])) {
      fail(`Expected finite voxels in ${where()}, but found ${data[i]}; run lunet verify and mend the file.`);
    }
  }
}

function clipAndStandardise(low: number, high: number, mean: number, sd: number): Normaliser {
  // A constant volume becomes zeros instead of a division by 0.
  const gain = 1 / Math.max(sd, 1e-8);
  return (x) => {
    for (let i = 0; i < x.length; i++) x[i] = (clip(x[i], low, high) - mean) * gain;
  };
}

/** As the float32 that a clipped voxel is. */
function clip(x: number, low: number, high: number): number {
  return Math.fround(Math.min(high, Math.max(low, x)));
}

/** Mean and population standard deviation of the clipped values, two passes in float64. */
function clippedMeanAndSd(planes: PlanePasses, low: number, high: number): { mean: number; sd: number } {
  let n = 0;
  let sum = 0;
  for (const plane of planes()) {
    for (let i = 0; i < plane.length; i++) sum += clip(plane[i], low, high);
    n += plane.length;
  }
  const mean = sum / n;
  let squares = 0;
  for (const plane of planes())
    for (let i = 0; i < plane.length; i++) squares += (clip(plane[i], low, high) - mean) ** 2;
  return { mean, sd: Math.sqrt(squares / n) };
}
