import { fail } from "../util/errors.ts";
import type { VoxelArray } from "../volume/volume.ts";
import { meanAndSd, percentiles } from "./statistics.ts";
import type { Normalisation } from "./types.ts";

/** Brings one channel of one volume to the common scale, as a new array. UserError (with `where`) for NaN or infinite voxels. */
export function normalise(data: VoxelArray, how: Normalisation, where: () => string): Float32Array {
  const out = Float32Array.from(data);
  checkFinite(out, where);
  switch (how.kind) {
    case "scale":
      for (let i = 0; i < out.length; i++) out[i] /= how.divisor;
      return out;
    case "ct":
      clip(out, how.low, how.high);
      return standardise(out, how.mean, how.sd);
    case "zscore": {
      if (how.percentiles) {
        const [low, high] = percentiles(out, how.percentiles);
        clip(out, low, high);
      }
      const { mean, sd } = meanAndSd(out);
      return standardise(out, mean, sd);
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

function clip(x: Float32Array, low: number, high: number): void {
  for (let i = 0; i < x.length; i++) x[i] = Math.min(high, Math.max(low, x[i]));
}

function standardise(x: Float32Array, mean: number, sd: number): Float32Array {
  // A constant volume becomes zeros instead of a division by 0.
  const gain = 1 / Math.max(sd, 1e-8);
  for (let i = 0; i < x.length; i++) x[i] = (x[i] - mean) * gain;
  return x;
}
