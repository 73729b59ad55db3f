import type { CurveRecord } from "../prune/types.ts";

/**
 * Records of a pruning curve to judge on the test cases: every `every`-th, so that runs can be compared after equally many removals
 * whatever they removed, the last one, and the one with the best mean validation Dice.
 */
export function chooseSizes(curve: readonly CurveRecord[], every: number): CurveRecord[] {
  const best = curve.reduce((top, one) => ((one.meanDice ?? -1) > (top.meanDice ?? -1) ? one : top));
  return curve.filter((record, index) => index % every === 0 || index === curve.length - 1 || record === best);
}
