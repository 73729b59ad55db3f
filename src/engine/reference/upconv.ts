import { type Vec3, voxelCount } from "../../volume/volume.ts";

/** Sizes of a transposed convolution with kernel = stride = factor; `shape` is the input's. */
export interface UpconvSizes {
  batch: number;
  cin: number;
  cout: number;
  shape: Vec3;
  factor: Vec3;
}

/** Calls `pair(a, b, tap)` for every output voxel b of a plane, with the one input voxel a and the tap it comes from. */
function forPairs({ shape, factor }: UpconvSizes, pair: (a: number, b: number, tap: number) => void): void {
  const [, H, W] = shape;
  const [fd, fh, fw] = factor;
  const [OD, OH, OW] = shape.map((n, axis) => n * factor[axis]);
  let b = 0;
  for (let d = 0; d < OD; d++) {
    for (let h = 0; h < OH; h++) {
      for (let w = 0; w < OW; w++, b++) {
        const a = (Math.floor(d / fd) * H + Math.floor(h / fh)) * W + Math.floor(w / fw);
        pair(a, b, ((d % fd) * fh + (h % fh)) * fw + (w % fw));
      }
    }
  }
}

/** y[n, o, factor v + tap] = bias[o] + sum over i of weight[i, o, tap] x[n, i, v]. `weight` is [Cin, Cout, fD, fH, fW]. */
export function upconvForward(
  x: Float64Array,
  weight: Float64Array,
  bias: Float64Array,
  sizes: UpconvSizes,
): Float64Array {
  const { batch, cin, cout } = sizes;
  const voxels = voxelCount(sizes.shape);
  const taps = voxelCount(sizes.factor);
  const y = new Float64Array(batch * cout * voxels * taps);
  for (let n = 0; n < batch; n++) {
    for (let o = 0; o < cout; o++) {
      const out = (n * cout + o) * voxels * taps;
      y.fill(bias[o], out, out + voxels * taps);
      for (let i = 0; i < cin; i++) {
        const plane = (n * cin + i) * voxels;
        const base = (i * cout + o) * taps;
        forPairs(sizes, (a, b, tap) => {
          y[out + b] += weight[base + tap] * x[plane + a];
        });
      }
    }
  }
  return y;
}

/** Gradients of {@link upconvForward} for the output gradient `dy`. */
export function upconvBackward(
  dy: Float64Array,
  x: Float64Array,
  weight: Float64Array,
  sizes: UpconvSizes,
): { x: Float64Array; weight: Float64Array; bias: Float64Array } {
  const { batch, cin, cout } = sizes;
  const voxels = voxelCount(sizes.shape);
  const taps = voxelCount(sizes.factor);
  const dx = new Float64Array(x.length);
  const dw = new Float64Array(weight.length);
  const db = new Float64Array(cout);
  for (let n = 0; n < batch; n++) {
    for (let o = 0; o < cout; o++) {
      const out = (n * cout + o) * voxels * taps;
      for (let v = 0; v < voxels * taps; v++) db[o] += dy[out + v];
      for (let i = 0; i < cin; i++) {
        const plane = (n * cin + i) * voxels;
        const base = (i * cout + o) * taps;
        forPairs(sizes, (a, b, tap) => {
          dx[plane + a] += weight[base + tap] * dy[out + b];
          dw[base + tap] += x[plane + a] * dy[out + b];
        });
      }
    }
  }
  return { x: dx, weight: dw, bias: db };
}
