import type { Random } from "../util/random.ts";
import type { Vec3 } from "../volume/volume.ts";
import { meanAndSd } from "./statistics.ts";

// Each function changes one channel of a patch in place; its only other inputs are the Random and, where space matters, the shape.
// Probabilities and ranges are nnU-Net's (Isensee et al. 2021, supplementary note 4); whether a function runs is the caller's choice.

function range(x: Float32Array): [number, number] {
  let low = Number.POSITIVE_INFINITY;
  let high = Number.NEGATIVE_INFINITY;
  for (let i = 0; i < x.length; i++) {
    if (x[i] < low) low = x[i];
    if (x[i] > high) high = x[i];
  }
  return [low, high];
}

/** Adds Gaussian noise, sigma U(0, 0.1). */
export function addNoise(x: Float32Array, random: Random): void {
  const sigma = random.uniform(0, 0.1);
  for (let i = 0; i < x.length; i++) x[i] += sigma * random.normal();
}

/** Multiplies by U(0.75, 1.25). */
export function changeBrightness(x: Float32Array, random: Random): void {
  const factor = random.uniform(0.75, 1.25);
  for (let i = 0; i < x.length; i++) x[i] *= factor;
}

/** Stretches about the mean by 0.75-1.25 (below and above 1 equally likely) and clips to the range it had. */
export function changeContrast(x: Float32Array, random: Random): void {
  const factor = random.chance(0.5) ? random.uniform(0.75, 1) : random.uniform(1, 1.25);
  const { mean } = meanAndSd(x);
  const [low, high] = range(x);
  for (let i = 0; i < x.length; i++) x[i] = Math.min(high, Math.max(low, mean + factor * (x[i] - mean)));
}

/**
 * Scales to 0..1, raises to the power 0.7-1.5 (below and above 1 equally likely), scales back and restores mean and standard
 * deviation. `invert`: on the negative image, so that bright values are spread instead of dark ones.
 */
export function changeGamma(x: Float32Array, random: Random, invert = false): void {
  const gamma = random.chance(0.5) ? random.uniform(0.7, 1) : random.uniform(1, 1.5);
  const before = meanAndSd(x);
  const [low, high] = range(x);
  const span = high - low;
  if (!(span > 1e-7)) return;
  for (let i = 0; i < x.length; i++) {
    // float32 rounding may put the quotient a hair outside 0..1, where a power is NaN.
    const unit = Math.min(1, Math.max(0, (x[i] - low) / span));
    x[i] = invert ? high - span * (1 - unit) ** gamma : low + span * unit ** gamma;
  }
  const after = meanAndSd(x);
  const gain = before.sd / Math.max(after.sd, 1e-8);
  for (let i = 0; i < x.length; i++) x[i] = before.mean + (x[i] - after.mean) * gain;
}

/** Gaussian blur, sigma U(0.5, 1) voxels, edges repeated. */
export function blur(x: Float32Array, random: Random, shape: Vec3): void {
  const sigma = random.uniform(0.5, 1);
  const radius = Math.ceil(3 * sigma);
  const kernel = Array.from({ length: 2 * radius + 1 }, (_, i) => Math.exp(-((i - radius) ** 2) / (2 * sigma * sigma)));
  const total = kernel.reduce((sum, k) => sum + k, 0);
  for (let i = 0; i < kernel.length; i++) kernel[i] /= total;
  const strides = [shape[1] * shape[2], shape[2], 1];
  for (let axis = 0; axis < 3; axis++) {
    const n = shape[axis];
    if (n === 1) continue;
    const line = new Float64Array(n + 2 * radius);
    eachLine(shape, axis, (start) => {
      for (let i = -radius; i < n + radius; i++) {
        line[i + radius] = x[start + Math.min(n - 1, Math.max(0, i)) * strides[axis]];
      }
      for (let i = 0; i < n; i++) {
        let sum = 0;
        for (let k = 0; k < kernel.length; k++) sum += kernel[k] * line[i + k];
        x[start + i * strides[axis]] = sum;
      }
    });
  }
}

/** Simulates a coarser scan: keeps every 1/zoom-th voxel (nearest) and interpolates linearly between them, zoom U(0.5, 1). */
export function lowerResolution(x: Float32Array, random: Random, shape: Vec3): void {
  const zoom = random.uniform(0.5, 1);
  const strides = [shape[1] * shape[2], shape[2], 1];
  for (let axis = 0; axis < 3; axis++) {
    const n = shape[axis];
    const small = Math.max(1, Math.round(n * zoom));
    if (small === n) continue;
    // Voxel centres of the coarse grid: coarse s lies at (s + 0.5) n / small - 0.5.
    const low = new Int32Array(n);
    const share = new Float64Array(n);
    for (let i = 0; i < n; i++) {
      const at = Math.min(small - 1, Math.max(0, ((i + 0.5) * small) / n - 0.5));
      low[i] = Math.min(Math.max(0, small - 2), Math.floor(at));
      share[i] = at - low[i];
    }
    const coarse = new Float64Array(small + 1);
    eachLine(shape, axis, (start) => {
      for (let s = 0; s < small; s++) coarse[s] = x[start + Math.floor(((s + 0.5) * n) / small) * strides[axis]];
      coarse[small] = coarse[small - 1];
      for (let i = 0; i < n; i++) {
        const a = coarse[low[i]];
        x[start + i * strides[axis]] = a + share[i] * (coarse[low[i] + 1] - a);
      }
    });
  }
}

/** Calls `visit` with the index of the first voxel of every line along an axis. */
export function eachLine(shape: Vec3, axis: number, visit: (start: number) => void): void {
  const strides = [shape[1] * shape[2], shape[2], 1];
  const [a, b] = [0, 1, 2].filter((other) => other !== axis);
  for (let i = 0; i < shape[a]; i++) for (let j = 0; j < shape[b]; j++) visit(i * strides[a] + j * strides[b]);
}
