/** Sizes of a tensor [N, C, voxels]. */
export interface NormSizes {
  batch: number;
  channels: number;
  voxels: number;
}

/** What the backward pass keeps: normalised values and 1 / sd of each (n, c). */
export interface NormTape {
  normalised: Float64Array;
  inverse: Float64Array;
}

/** Mean and unbiased variance (divisor M - 1) of each channel over the batch: what the running statistics take up. */
export interface BatchStatistics {
  mean: Float64Array;
  variance: Float64Array;
}

/** Mean and sum of squared differences of x over the planes (n, c) for n in `items`. */
function moments(x: Float64Array, items: number[], c: number, sizes: NormSizes): { mean: number; squares: number } {
  const { channels, voxels } = sizes;
  let sum = 0;
  for (const n of items) {
    const start = (n * channels + c) * voxels;
    for (let v = 0; v < voxels; v++) sum += x[start + v];
  }
  const mean = sum / (items.length * voxels);
  let squares = 0;
  for (const n of items) {
    const start = (n * channels + c) * voxels;
    for (let v = 0; v < voxels; v++) squares += (x[start + v] - mean) ** 2;
  }
  return { mean, squares };
}

/** The sets of batch items that are normalised together: all (batch norm) or each alone (instance norm). */
function groups(kind: "batch" | "instance", batch: number): number[][] {
  const all = Array.from({ length: batch }, (_, n) => n);
  return kind === "batch" ? [all] : all.map((n) => [n]);
}

/** y = scale (x - mean) / sqrt(variance + eps) + shift, with the given mean and variance per channel. */
function apply(
  x: Float64Array,
  mean: ArrayLike<number>,
  inverse: ArrayLike<number>,
  scale: Float64Array,
  shift: Float64Array,
  sizes: NormSizes,
): { y: Float64Array; normalised: Float64Array } {
  const { channels, voxels } = sizes;
  const y = new Float64Array(x.length);
  const normalised = new Float64Array(x.length);
  for (let i = 0; i < x.length; i++) {
    const plane = Math.floor(i / voxels);
    normalised[i] = (x[i] - mean[plane]) * inverse[plane];
    y[i] = scale[plane % channels] * normalised[i] + shift[plane % channels];
  }
  return { y, normalised };
}

/**
 * Normalises by the input's own statistics with the biased variance (Ioffe & Szegedy 2015; Ulyanov et al. 2016): over N and
 * space for batch norm, over space for instance norm.
 */
export function normForward(
  kind: "batch" | "instance",
  x: Float64Array,
  scale: Float64Array,
  shift: Float64Array,
  eps: number,
  sizes: NormSizes,
): { y: Float64Array; tape: NormTape; statistics: BatchStatistics | null } {
  const { batch, channels, voxels } = sizes;
  const mean = new Float64Array(batch * channels);
  const inverse = new Float64Array(batch * channels);
  const statistics = { mean: new Float64Array(channels), variance: new Float64Array(channels) };
  for (let c = 0; c < channels; c++) {
    for (const items of groups(kind, batch)) {
      const count = items.length * voxels;
      const moment = moments(x, items, c, sizes);
      for (const n of items) {
        mean[n * channels + c] = moment.mean;
        inverse[n * channels + c] = 1 / Math.sqrt(moment.squares / count + eps);
      }
      statistics.mean[c] = moment.mean;
      statistics.variance[c] = moment.squares / Math.max(1, count - 1);
    }
  }
  const { y, normalised } = apply(x, mean, inverse, scale, shift, sizes);
  return { y, tape: { normalised, inverse }, statistics: kind === "batch" ? statistics : null };
}

/** Batch norm of inference: running mean and variance in place of the batch's. */
export function normInference(
  x: Float64Array,
  scale: Float64Array,
  shift: Float64Array,
  runningMean: Float64Array,
  runningVariance: Float64Array,
  eps: number,
  sizes: NormSizes,
): Float64Array {
  const planes = sizes.batch * sizes.channels;
  const mean = Array.from({ length: planes }, (_, i) => runningMean[i % sizes.channels]);
  const inverse = Array.from({ length: planes }, (_, i) => 1 / Math.sqrt(runningVariance[i % sizes.channels] + eps));
  return apply(x, mean, inverse, scale, shift, sizes).y;
}

/** Gradients of {@link normForward}: dx = scale inverse (dy - mean(dy) - normalised mean(dy normalised)), means over each group. */
export function normBackward(
  kind: "batch" | "instance",
  dy: Float64Array,
  tape: NormTape,
  scale: Float64Array,
  sizes: NormSizes,
): { x: Float64Array; scale: Float64Array; shift: Float64Array } {
  const { batch, channels, voxels } = sizes;
  const { normalised, inverse } = tape;
  const dx = new Float64Array(dy.length);
  const dscale = new Float64Array(channels);
  const dshift = new Float64Array(channels);
  for (let c = 0; c < channels; c++) {
    for (const items of groups(kind, batch)) {
      let sum = 0;
      let product = 0;
      for (const n of items) {
        const start = (n * channels + c) * voxels;
        for (let i = start; i < start + voxels; i++) {
          sum += dy[i];
          product += dy[i] * normalised[i];
        }
      }
      dscale[c] += product;
      dshift[c] += sum;
      const count = items.length * voxels;
      for (const n of items) {
        const start = (n * channels + c) * voxels;
        const factor = scale[c] * inverse[n * channels + c];
        for (let i = start; i < start + voxels; i++) {
          dx[i] = factor * (dy[i] - sum / count - (normalised[i] * product) / count);
        }
      }
    }
  }
  return { x: dx, scale: dscale, shift: dshift };
}
