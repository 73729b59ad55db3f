import { fail } from "../util/errors.ts";
import type { Vec3 } from "../volume/volume.ts";

/** All subsets of the axes, the empty one first. */
export function mirrorSets(axes: readonly number[]): number[][] {
  const wrong = axes.find((axis) => ![0, 1, 2].includes(axis));
  if (wrong !== undefined) fail(`Expected mirror axes among 0 (D), 1 (H) and 2 (W), but got ${wrong}.`);
  const distinct = [...new Set(axes)];
  return Array.from({ length: 1 << distinct.length }, (_, bits) => distinct.filter((_, i) => (bits >> i) & 1));
}

/** Mirrors every [...patch] block of `from` along the axes into `to`, which it returns. */
export function mirrored(from: Float32Array, to: Float32Array, patch: Vec3, axes: readonly number[]): Float32Array {
  const [D, H, W] = patch;
  const [inD, inH, inW] = [0, 1, 2].map((axis) => axes.includes(axis));
  const blocks = from.length / (D * H * W);
  let i = 0;
  for (let block = 0; block < blocks; block++) {
    for (let d = 0; d < D; d++) {
      for (let h = 0; h < H; h++) {
        const row = ((block * D + (inD ? D - 1 - d : d)) * H + (inH ? H - 1 - h : h)) * W;
        if (inW) for (let w = W - 1; w >= 0; w--) to[row + w] = from[i++];
        else for (let w = 0; w < W; w++) to[row + w] = from[i++];
      }
    }
  }
  return to;
}
