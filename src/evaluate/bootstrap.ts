import { random } from "../util/random.ts";

export interface Interval {
  n: number;
  mean: number;
  low: number;
  high: number;
}

export interface BootstrapOptions {
  /** Same seed, same interval. */
  seed?: number;
  resamples?: number;
  /** Coverage of the interval. */
  level?: number;
}

/**
 * Percentile bootstrap interval of the mean (Efron 1979): `resamples` means of n values drawn with replacement, and the
 * quantiles of those means that leave (1 - level) / 2 on either side. Null for no values; one value gives no width.
 */
export function bootstrapMean(values: readonly number[], options: BootstrapOptions = {}): Interval | null {
  const { seed = 0, resamples = 2000, level = 0.95 } = options;
  const n = values.length;
  if (n === 0) return null;
  const generator = random(seed, n, resamples);
  const means = new Float64Array(resamples);
  for (let r = 0; r < resamples; r++) {
    let sum = 0;
    for (let i = 0; i < n; i++) sum += values[generator.int(n)];
    means[r] = sum / n;
  }
  means.sort();
  const mean = values.reduce((sum, value) => sum + value, 0) / n;
  return { n, mean, low: quantile(means, (1 - level) / 2), high: quantile(means, (1 + level) / 2) };
}

/** Quantile of ascending values with linear interpolation between order statistics (Hyndman and Fan's type 7). */
export function quantile(sorted: ArrayLike<number>, share: number): number {
  const place = share * (sorted.length - 1);
  const below = Math.floor(place);
  const above = Math.min(below + 1, sorted.length - 1);
  return sorted[below] + (place - below) * (sorted[above] - sorted[below]);
}
