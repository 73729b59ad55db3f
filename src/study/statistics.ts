import type { Interval } from "../evaluate/bootstrap.ts";

/** Mean and sample standard deviation (n - 1); `sd` is null for a single value. Null for none. */
export function meanSd(values: readonly number[]): { n: number; mean: number; sd: number | null } | null {
  const n = values.length;
  if (n === 0) return null;
  const mean = average(values);
  const sd = n > 1 ? Math.sqrt(values.reduce((sum, v) => sum + (v - mean) ** 2, 0) / (n - 1)) : null;
  return { n, mean, sd };
}

/** Arithmetic mean; NaN for no values. */
export function average(values: readonly number[]): number {
  return values.reduce((sum, value) => sum + value, 0) / values.length;
}

/** Median; NaN for no values. */
export function median(values: readonly number[]): number {
  const sorted = values.toSorted((a, b) => a - b);
  const half = sorted.length >> 1;
  return sorted.length % 2 ? sorted[half] : (sorted[half - 1] + sorted[half]) / 2;
}

// 97.5 % quantiles of Student's t for 1 .. 30 degrees of freedom, as printed in every table.
const t975 = [
  12.706, 4.303, 3.182, 2.776, 2.571, 2.447, 2.365, 2.306, 2.262, 2.228, 2.201, 2.179, 2.16, 2.145, 2.131, 2.12, 2.11,
  2.101, 2.093, 2.086, 2.08, 2.074, 2.069, 2.064, 2.06, 2.056, 2.052, 2.048, 2.045, 2.042,
];

/**
 * 95 % interval of a mean by Student's t, for the few folds or seeds of a study, where a bootstrap would be too narrow.
 * Beyond 30 degrees of freedom the quantile is 1.96 + 2.4 / df, right to 0.003. Null for fewer than two values.
 */
export function studentInterval(values: readonly number[]): Interval | null {
  const summary = meanSd(values);
  if (!summary || summary.sd === null) return null;
  const { n, mean, sd } = summary;
  const half = ((t975[n - 2] ?? 1.96 + 2.4 / (n - 1)) * sd) / Math.sqrt(n);
  return { n, mean, low: mean - half, high: mean + half };
}

/** Ranks from 1, equal values sharing the mean of their ranks; values within `tolerance` of the one before count as equal. */
export function ranks(values: readonly number[], tolerance = 0): { ranks: number[]; ties: number[] } {
  const order = values.map((_, i) => i).sort((a, b) => values[a] - values[b]);
  const out = new Array<number>(values.length);
  const ties: number[] = [];
  for (let from = 0; from < order.length; ) {
    let to = from + 1;
    while (to < order.length && values[order[to]] - values[order[to - 1]] <= tolerance) to++;
    for (let i = from; i < to; i++) out[order[i]] = (from + 1 + to) / 2;
    if (to - from > 1) ties.push(to - from);
    from = to;
  }
  return { ranks: out, ties };
}

/** Spearman's rank correlation: Pearson's of the ranks, ties sharing ranks. Null where one side does not vary. */
export function spearman(x: readonly number[], y: readonly number[]): number | null {
  const [a, b] = [ranks(x).ranks, ranks(y).ranks];
  const spread = Math.sqrt(covariance(a, a) * covariance(b, b));
  return spread > 0 ? covariance(a, b) / spread : null;
}

/** Least-squares slope of y on x. Null where x does not vary. */
export function slope(x: readonly number[], y: readonly number[]): number | null {
  const spread = covariance(x, x);
  return spread > 0 ? covariance(x, y) / spread : null;
}

function covariance(x: readonly number[], y: readonly number[]): number {
  const [mx, my] = [average(x), average(y)];
  return x.reduce((sum, value, i) => sum + (value - mx) * (y[i] - my), 0);
}

/**
 * Holm's step-down correction (Holm 1979): p values of one family of comparisons, adjusted so that the chance of any
 * false finding in the family stays below the level. In the order given; null entries stay null and do not count.
 */
export function holm(pValues: readonly (number | null)[]): (number | null)[] {
  const order = pValues.flatMap((p, i) => (p === null ? [] : [{ p, i }])).sort((a, b) => a.p - b.p);
  const out: (number | null)[] = pValues.map(() => null);
  let highest = 0;
  order.forEach(({ p, i }, rank) => {
    highest = Math.max(highest, Math.min(1, p * (order.length - rank)));
    out[i] = highest;
  });
  return out;
}
