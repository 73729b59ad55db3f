import type { Comparison } from "./claims-compare.ts";
import { basis, pointsOf, pointsWithInterval, pWords } from "./claims-words.ts";

export type Verdict = "shown" | "not shown" | "contradicted" | "not tested";

/** One question of a claim with its answer. */
export interface ClaimPart {
  /** "2a". */
  id: string;
  /** The claim as a statement that data can support or not. */
  statement: string;
  verdict: Verdict;
  /** The answer in words, with figures and intervals; one sentence a comparison. */
  sentences: string[];
  /** What the answer rests on. */
  cases: number;
  folds: number;
  seeds: number;
  comparisons: Comparison[];
}

/** One of the paper's claims. */
export interface Claim {
  id: number;
  title: string;
  verdict: Verdict;
  parts: ClaimPart[];
}

/** Below this many pairs Wilcoxon's test cannot reach 5 % and a bootstrap interval is too narrow to judge by. */
const fewestUnits = 6;
/** A single run of each arm cannot tell the arm from the luck of its training. */
const fewestRuns = 2;
const level = 0.05;

/**
 * Reads "as good as" from the 95 % interval of a difference (a two-sided reading of the two one-sided tests of Schuirmann
 * 1987): shown where the interval stays above -margin, contradicted where it lies below -margin, else not shown.
 */
export function judgeAsGood(c: Comparison, margin: number): { verdict: Verdict; sentence: string } {
  const { interval } = c;
  if (!interval) return { verdict: "not tested", sentence: noPairs(c) };
  const head = `${c.label}: ${pointsWithInterval(interval)}`;
  const band = pointsOf(margin);
  const few = tooFew(c);
  if (few) return { verdict: "not shown", sentence: `${head}; ${few} (${basis(c)}).` };
  const tail = `(${basis(c)})`;
  const { low, high } = interval;
  if (low > -margin) {
    if (low > 0) return { verdict: "shown", sentence: `${head}: better ${tail}.` };
    if (high < 0) return { verdict: "shown", sentence: `${head}: worse, but by less than ${band} ${tail}.` };
    const within = high < margin ? `no difference beyond \u00b1${band}` : `no loss beyond ${band}`;
    return { verdict: "shown", sentence: `${head}: ${within} ${tail}.` };
  }
  if (high < -margin) return { verdict: "contradicted", sentence: `${head}: worse by more than ${band} ${tail}.` };
  const unclear = high < 0 ? `worse, perhaps by more than ${band}` : `a loss of more than ${band} is not excluded`;
  return { verdict: "not shown", sentence: `${head}: ${unclear} ${tail}.` };
}

/**
 * Reads "better than" (sign 1) or "worse than" (sign -1): shown where the interval lies on that side of zero and
 * Holm's p is below 5 %, contradicted where both speak for the other side, else not shown.
 */
export function judgeSign(c: Comparison, sign: 1 | -1): { verdict: Verdict; sentence: string } {
  const { interval } = c;
  if (!interval) return { verdict: "not tested", sentence: noPairs(c) };
  const p = c.holm === null ? "all differences are zero" : pWords(c.holm);
  const few = tooFew(c);
  const sentence = `${c.label}: ${pointsWithInterval(interval)}, ${p}${few ? `; ${few}` : ""} (${basis(c)}).`;
  const clear = few === null && c.holm !== null && c.holm < level;
  const [near, far] = sign > 0 ? [interval.low, interval.high] : [-interval.high, -interval.low];
  return { verdict: clear && near > 0 ? "shown" : clear && far < 0 ? "contradicted" : "not shown", sentence };
}

function tooFew(c: Comparison): string | null {
  if (c.units < fewestUnits) return `too few ${c.unit}s for a verdict`;
  return c.runs.length < fewestRuns ? "one run of each arm is too few for a verdict: add folds or seeds" : null;
}

function noPairs(c: Comparison): string {
  return `${c.label}: no fold and seed that all these arms finished.`;
}

/** A claim holds where all its parts do: one that is contradicted, not shown or not tested decides, in this order. */
export function together(verdicts: readonly Verdict[]): Verdict {
  const order: Verdict[] = ["contradicted", "not shown", "not tested", "shown"];
  return order.find((verdict) => verdicts.includes(verdict)) ?? "not tested";
}

/** Where several comparisons answer one part: those that could be made decide. */
export function decided(verdicts: readonly Verdict[]): Verdict {
  return together(verdicts.some((v) => v !== "not tested") ? verdicts.filter((v) => v !== "not tested") : verdicts);
}

/** A part that the study has no arms for; `add` says which would answer it. */
export function untested(id: string, statement: string, add: string): ClaimPart {
  return {
    id,
    statement,
    verdict: "not tested",
    sentences: [`Not tested: ${add}`],
    cases: 0,
    folds: 0,
    seeds: 0,
    comparisons: [],
  };
}

/** A part answered by comparisons and the sentences about them. */
export function answered(
  id: string,
  statement: string,
  judged: readonly { comparison: Comparison; verdict: Verdict; sentence: string }[],
): ClaimPart {
  const of = (key: "cases" | "folds" | "seeds") => Math.max(...judged.map((j) => j.comparison[key]));
  return {
    id,
    statement,
    verdict: decided(judged.map((j) => j.verdict)),
    sentences: judged.map((j) => j.sentence),
    cases: of("cases"),
    folds: of("folds"),
    seeds: of("seeds"),
    comparisons: judged.map((j) => j.comparison),
  };
}
