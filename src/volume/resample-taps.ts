/** How values between voxel centres are found: the nearest voxel, linear, or the interpolating cubic B-spline. */
export type ResampleOrder = "nearest" | "linear" | "cubic";

/** Where output samples of one axis lie between the input's: `count` source positions and weights for each. */
export interface Taps {
  count: number;
  /** [size * count]; cubic positions run from -2 to n + 1, past the edges. */
  positions: Int32Array;
  weights: Float64Array;
}

/**
 * Taps for resampling n samples to `size`. Sample i of the output lies at x = (i + 0.5) * n / size - 0.5 of the input (pixel
 * areas line up at both ends: skimage.transform.resize, nnU-Net); beyond the edge samples the edge value goes on.
 */
export function tapsFor(n: number, size: number, order: ResampleOrder): Taps {
  const count = order === "nearest" ? 1 : order === "linear" ? 2 : 4;
  const positions = new Int32Array(size * count);
  const weights = new Float64Array(size * count);
  for (let i = 0; i < size; i++) {
    // One division of integers: no rounding where sample positions coincide.
    const x = ((2 * i + 1) * n - size) / (2 * size);
    const at = i * count;
    if (order === "nearest") {
      positions[at] = Math.min(n - 1, Math.floor(x + 0.5));
      weights[at] = 1;
    } else if (order === "linear") {
      const clamped = Math.min(n - 1, Math.max(0, x));
      const low = Math.floor(clamped);
      positions[at] = low;
      positions[at + 1] = Math.min(n - 1, low + 1);
      weights[at + 1] = clamped - low;
      weights[at] = 1 - (clamped - low);
    } else {
      const low = Math.floor(x);
      const t = x - low;
      const u = 1 - t;
      for (let tap = 0; tap < 4; tap++) positions[at + tap] = low - 1 + tap;
      weights[at] = (u * u * u) / 6;
      weights[at + 1] = (4 - 6 * t * t + 3 * t * t * t) / 6;
      weights[at + 2] = (4 - 6 * u * u + 3 * u * u * u) / 6;
      weights[at + 3] = (t * t * t) / 6;
    }
  }
  return { count, positions, weights };
}

/** Samples that the cubic needs on either side of the line. */
export const CUBIC_PAD = 2;

const POLE = Math.sqrt(3) - 2;

/**
 * Replaces samples by cubic B-spline coefficients, so that the spline goes through every sample (Unser, Aldroubi and Eden
 * 1993), for a signal whose edge values go on for ever. `lines` is [n + 2 * CUBIC_PAD, width]: `width` lines side by side,
 * samples from row CUBIC_PAD; the pad rows are filled here.
 */
export function cubicCoefficients(lines: Float64Array, n: number, width: number): void {
  const rows = n + 2 * CUBIC_PAD;
  const last = (rows - 1) * width;
  for (let b = 0; b < width; b++) {
    for (let pad = 0; pad < CUBIC_PAD; pad++) {
      lines[pad * width + b] = lines[CUBIC_PAD * width + b];
      lines[last - pad * width + b] = lines[last - CUBIC_PAD * width + b];
    }
    // Causal filter c[k] = s[k] + z c[k-1], started from its value after infinitely many edge samples.
    lines[b] /= 1 - POLE;
  }
  for (let at = width; at < last; at++) lines[at] += POLE * lines[at - width];
  for (let b = 0; b < width; b++) {
    // The last causal value and the infinite tail behind it, summed: settles geometrically to edge / (1 - z).
    const settled = lines[last + b] / (1 - POLE);
    const end = lines[last + b] + POLE * lines[last + b - width];
    lines[last + b] = -POLE * (settled / (1 - POLE) + (end - settled) / (1 - POLE * POLE));
  }
  // Anticausal filter c[k] = z (c[k+1] - c[k]).
  for (let at = last - 1; at >= 0; at--) lines[at] = POLE * (lines[at + width] - lines[at]);
  for (let at = 0; at < rows * width; at++) lines[at] *= 6;
}
