import { bootstrapMean, type Interval } from "../evaluate/bootstrap.ts";
import { average } from "../study/statistics.ts";

/** Mean Dice over classes of each case, in one order of cases. */
export type CaseMeans = readonly number[];

/**
 * Interval of the mean difference a - b over cases (bootstrap); where `subjects` are given, one a case, over subjects, each counting
 * with the mean over its cases, since cases of one subject are not independent.
 */
export function pairedDifference(a: CaseMeans, b: CaseMeans, subjects?: readonly string[]): Interval {
  const differences = a.map((value, i) => value - b[i]);
  if (!subjects) return bootstrapMean(differences)!;
  const bySubject = Map.groupBy(differences.keys(), (i) => subjects[i]);
  return bootstrapMean([...bySubject.values()].map((own) => average(own.map((i) => differences[i]))))!;
}

/** Index of the highest mean; of equals the first. */
export function highest(candidates: readonly CaseMeans[]): number {
  const means = candidates.map(average);
  return means.indexOf(Math.max(...means));
}
