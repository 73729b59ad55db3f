import { type Vec3, voxelCount } from "../../volume/volume.ts";

/** Max pool with window = stride = factor; `planes` = N C, `shape` is the input's. `winner` holds the input index of each output. */
export function maxpoolForward(
  x: Float64Array,
  planes: number,
  shape: Vec3,
  factor: Vec3,
): { y: Float64Array; winner: Uint32Array } {
  const [D, H, W] = shape;
  const [fd, fh, fw] = factor;
  const y = new Float64Array(x.length / voxelCount(factor));
  const winner = new Uint32Array(y.length);
  let out = 0;
  for (let plane = 0; plane < planes; plane++) {
    for (let d = 0; d < D; d += fd) {
      for (let h = 0; h < H; h += fh) {
        for (let w = 0; w < W; w += fw, out++) {
          let best = ((plane * D + d) * H + h) * W + w;
          for (let a = 0; a < fd; a++) {
            for (let b = 0; b < fh; b++) {
              for (let c = 0; c < fw; c++) {
                const index = ((plane * D + d + a) * H + h + b) * W + w + c;
                // Strictly greater: of equal maxima the first in scan order wins, as in PyTorch.
                if (x[index] > x[best]) best = index;
              }
            }
          }
          y[out] = x[best];
          winner[out] = best;
        }
      }
    }
  }
  return { y, winner };
}

/** The gradient goes to each window's winner. */
export function maxpoolBackward(dy: Float64Array, winner: Uint32Array, inputLength: number): Float64Array {
  const dx = new Float64Array(inputLength);
  for (let i = 0; i < dy.length; i++) dx[winner[i]] += dy[i];
  return dx;
}
