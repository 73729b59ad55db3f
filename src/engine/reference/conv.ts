import { type Vec3, voxelCount } from "../../volume/volume.ts";

/** Sizes of a convolution over [N, Cin, D, H, W] -> [N, Cout, D, H, W]. */
export interface ConvSizes {
  batch: number;
  cin: number;
  cout: number;
  shape: Vec3;
  /** 1 or 3 along D, H, W. */
  kernel: Vec3;
}

/** [N, C_i, D, H, W] parts -> [N, sum C_i, D, H, W]. */
export function concatChannels(parts: Float64Array[], channels: number[], batch: number, voxels: number): Float64Array {
  const total = channels.reduce((sum, c) => sum + c, 0);
  const out = new Float64Array(batch * total * voxels);
  for (let n = 0; n < batch; n++) {
    let offset = n * total * voxels;
    for (let i = 0; i < parts.length; i++) {
      const size = channels[i] * voxels;
      out.set(parts[i].subarray(n * size, (n + 1) * size), offset);
      offset += size;
    }
  }
  return out;
}

/** Backward of {@link concatChannels}. */
export function splitChannels(whole: Float64Array, channels: number[], batch: number, voxels: number): Float64Array[] {
  const total = channels.reduce((sum, c) => sum + c, 0);
  let first = 0;
  return channels.map((c) => {
    const size = c * voxels;
    const part = new Float64Array(batch * size);
    for (let n = 0; n < batch; n++) {
      const start = (n * total + first) * voxels;
      part.set(whole.subarray(start, start + size), n * size);
    }
    first += c;
    return part;
  });
}

/**
 * Calls `row(a, b, length, tap)` for every tap of one (input channel, output channel) plane pair: `a` is the offset in the
 * input plane and `b` in the output plane of a run of voxels along W that the tap joins; the zero padding is what is left out.
 */
function forRows({ shape, kernel }: ConvSizes, row: (a: number, b: number, length: number, tap: number) => void): void {
  const [D, H, W] = shape;
  let tap = 0;
  const [rd, rh, rw] = kernel.map((k) => (k - 1) / 2);
  for (let kd = -rd; kd <= rd; kd++) {
    for (let kh = -rh; kh <= rh; kh++) {
      for (let kw = -rw; kw <= rw; kw++, tap++) {
        const w0 = Math.max(0, -kw);
        const length = W - Math.abs(kw);
        for (let d = Math.max(0, -kd); d < Math.min(D, D - kd); d++) {
          for (let h = Math.max(0, -kh); h < Math.min(H, H - kh); h++) {
            row(((d + kd) * H + h + kh) * W + w0 + kw, (d * H + h) * W + w0, length, tap);
          }
        }
      }
    }
  }
}

/** y[n, o, v] = bias[o] + sum over i, taps of weight[o, i, tap] x[n, i, v + tap]. `weight` is [Cout, Cin, kD, kH, kW]. */
export function convForward(x: Float64Array, weight: Float64Array, bias: Float64Array, sizes: ConvSizes): Float64Array {
  const { batch, cin, cout } = sizes;
  const voxels = voxelCount(sizes.shape);
  const taps = voxelCount(sizes.kernel);
  const y = new Float64Array(batch * cout * voxels);
  for (let n = 0; n < batch; n++) {
    for (let o = 0; o < cout; o++) {
      const out = (n * cout + o) * voxels;
      y.fill(bias[o], out, out + voxels);
      for (let i = 0; i < cin; i++) {
        const plane = (n * cin + i) * voxels;
        forRows(sizes, (a, b, length, tap) => {
          const w = weight[(o * cin + i) * taps + tap];
          for (let k = 0; k < length; k++) y[out + b + k] += w * x[plane + a + k];
        });
      }
    }
  }
  return y;
}

/** Gradients of {@link convForward} for the output gradient `dy`. */
export function convBackward(
  dy: Float64Array,
  x: Float64Array,
  weight: Float64Array,
  sizes: ConvSizes,
): { x: Float64Array; weight: Float64Array; bias: Float64Array } {
  const { batch, cin, cout } = sizes;
  const voxels = voxelCount(sizes.shape);
  const taps = voxelCount(sizes.kernel);
  const dx = new Float64Array(x.length);
  const dw = new Float64Array(weight.length);
  const db = new Float64Array(cout);
  for (let n = 0; n < batch; n++) {
    for (let o = 0; o < cout; o++) {
      const out = (n * cout + o) * voxels;
      for (let v = 0; v < voxels; v++) db[o] += dy[out + v];
      for (let i = 0; i < cin; i++) {
        const plane = (n * cin + i) * voxels;
        forRows(sizes, (a, b, length, tap) => {
          const index = (o * cin + i) * taps + tap;
          const w = weight[index];
          let sum = 0;
          for (let k = 0; k < length; k++) {
            const g = dy[out + b + k];
            sum += g * x[plane + a + k];
            dx[plane + a + k] += w * g;
          }
          dw[index] += sum;
        });
      }
    }
  }
  return { x: dx, weight: dw, bias: db };
}
