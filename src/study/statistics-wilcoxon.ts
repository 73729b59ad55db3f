import { ranks } from "./statistics.ts";

export interface SignedRank {
  /** Pairs that differ; zero differences are dropped, as Wilcoxon did. */
  n: number;
  /** Sum of the ranks of positive differences. */
  statistic: number;
  /** Two-sided. */
  p: number;
  method: "exact" | "normal";
}

/** Differences closer than this count as equal, so that rounding of sums does not hide ties. */
const tolerance = 1e-12;
const exactLimit = 25;

/**
 * Wilcoxon's signed-rank test of paired differences (Wilcoxon 1945). Zeros are dropped. For at most 25 differences
 * without ties the exact distribution is used, else the normal approximation with correction for ties and continuity.
 * Null where every difference is zero.
 */
export function signedRank(differences: readonly number[]): SignedRank | null {
  const kept = differences.filter((d) => Math.abs(d) > tolerance);
  const n = kept.length;
  if (n === 0) return null;
  const ranked = ranks(
    kept.map((d) => Math.abs(d)),
    tolerance,
  );
  const statistic = kept.reduce((sum, d, i) => (d > 0 ? sum + ranked.ranks[i] : sum), 0);
  if (n <= exactLimit && ranked.ties.length === 0) {
    return { n, statistic, p: exactP(n, statistic), method: "exact" };
  }
  const mean = (n * (n + 1)) / 4;
  const tied = ranked.ties.reduce((sum, t) => sum + (t ** 3 - t), 0);
  const variance = (n * (n + 1) * (2 * n + 1)) / 24 - tied / 48;
  const distance = Math.max(0, Math.abs(statistic - mean) - 0.5);
  return { n, statistic, p: Math.min(1, 2 * normalUpperTail(distance / Math.sqrt(variance))), method: "normal" };
}

/** Twice the smaller tail of the number of subsets of {1 .. n} with the given sum, all 2^n subsets being equally likely. */
function exactP(n: number, statistic: number): number {
  const total = (n * (n + 1)) / 2;
  const subsets = new Float64Array(total + 1);
  subsets[0] = 1;
  for (let rank = 1; rank <= n; rank++) for (let sum = total; sum >= rank; sum--) subsets[sum] += subsets[sum - rank];
  const smaller = Math.min(statistic, total - statistic);
  let tail = 0;
  for (let sum = 0; sum <= smaller; sum++) tail += subsets[sum];
  return Math.min(1, (2 * tail) / 2 ** n);
}

/**
 * P(Z > z) of the standard normal, z >= 0, to about 1e-14: Mills' ratio by its series for small z (Marsaglia 2004) and by
 * Laplace's continued fraction for large z.
 */
export function normalUpperTail(z: number): number {
  const density = Math.exp((-z * z) / 2) / Math.sqrt(2 * Math.PI);
  if (z < 4) {
    let term = z;
    let sum = z;
    for (let k = 3; Math.abs(term) > 1e-17 * sum; k += 2) {
      term *= (z * z) / k;
      sum += term;
    }
    return 0.5 - density * sum;
  }
  let fraction = z;
  for (let k = 60; k >= 1; k--) fraction = z + k / fraction;
  return density / fraction;
}
