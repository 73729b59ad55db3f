import type { Interval } from "../evaluate/bootstrap.ts";
import type { StudyData } from "./report-load.ts";
import { average, holm } from "./statistics.ts";
import { crossedInterval } from "./statistics-bootstrap.ts";
import { type SignedRank, signedRank } from "./statistics-wilcoxon.ts";
import type { CaseScore, CaseScores, RunResult, SizeResult, StudyArm } from "./types.ts";

export type Metric = "dice" | "hd95" | "nsd";

/** A paired difference between two arms, `a` minus `b`, with what it rests on. */
export interface Comparison {
  /** Comparisons that are corrected together. */
  family: string;
  /** As tables and figures show it. */
  label: string;
  a: string;
  b: string;
  metric: Metric;
  /** Mean difference and its 95 % bootstrap interval over units and runs; null where no pair of runs shares a scored case. */
  interval: Interval | null;
  test: SignedRank | null;
  /** p of `test` after Holm's correction over the family. */
  holm: number | null;
  /** What is counted: cases, or patients where the study tells them. */
  unit: "case" | "patient";
  units: number;
  cases: number;
  folds: number;
  seeds: number;
  /** Mean difference of each pair of runs with equal fold and seed. */
  runs: { fold: number; seed: number; difference: number }[];
}

/** A case's score: mean over the classes where it is defined; null where it is defined for none. */
export function caseValue(score: CaseScore, metric: Metric): number | null {
  const values: (number | null)[] = score[metric];
  const known = values.filter((value) => value !== null);
  return known.length === 0 ? null : average(known);
}

/** Values of a metric by case. */
export function caseValues(scores: CaseScores | null, metric: Metric): Map<string, number> {
  const out = new Map<string, number>();
  for (const [id, score] of Object.entries(scores ?? {})) {
    const value = caseValue(score, metric);
    if (value !== null) out.set(id, value);
  }
  return out;
}

/** Mean of a metric over the scored cases; null where there are none. */
export function meanScore(scores: CaseScores | null, metric: Metric): number | null {
  const values = [...caseValues(scores, metric).values()];
  return values.length === 0 ? null : average(values);
}

/** The size that was best on the validation cases. */
export function chosenSize(run: RunResult): SizeResult {
  return run.sizes[run.chosen];
}

/** Finished runs of an arm. */
export function runsOf(data: StudyData, arm: string): RunResult[] {
  return data.results.filter((run) => run.arm === arm);
}

/** What a run contributes to a comparison, one number a case. */
export type ValuesOfRuns = (runs: RunResult[]) => Map<string, number>[];

/** One run of every arm that is compared, all of the same fold and seed. */
function matchedRuns(data: StudyData, arms: readonly string[]): RunResult[][] {
  return runsOf(data, arms[0]).flatMap((first) => {
    const others = arms
      .slice(1)
      .map((arm) => runsOf(data, arm).find((r) => r.fold === first.fold && r.seed === first.seed));
    return others.every((run) => run !== undefined) ? [[first, ...others]] : [];
  });
}

/**
 * A contrast of arms: for every fold and seed that all of them finished and every case that all of them scored,
 * sum of weight x value. Each case (or patient) counts once, with its mean over seeds and folds, however often nets were
 * trained. The test takes the trained nets as given; the interval also covers training again (see {@link crossedInterval}).
 */
export function contrast(
  data: StudyData,
  terms: readonly { arm: string; weight: number }[],
  about: { family: string; label: string; metric?: Metric; values?: ValuesOfRuns },
): Comparison {
  const { family, label, metric = "dice" } = about;
  const values = about.values ?? ((runs) => runs.map((run) => caseValues(chosenSize(run).test, metric)));
  const { groups } = data.study;
  const cases = new Set<string>();
  const units = new Map<string, Map<string, number>>();
  const runs: Comparison["runs"] = [];
  const matched = matchedRuns(
    data,
    terms.map((term) => term.arm),
  );
  for (const group of matched) {
    const scores = values(group);
    const [{ fold, seed }] = group;
    const byUnit = new Map<string, number[]>();
    for (const id of scores[0].keys()) {
      if (!scores.every((of) => of.has(id))) continue;
      const unit = groups?.[id] ?? id;
      const difference = terms.reduce((sum, term, i) => sum + term.weight * scores[i].get(id)!, 0);
      byUnit.set(unit, [...(byUnit.get(unit) ?? []), difference]);
      cases.add(id);
    }
    if (byUnit.size === 0) continue;
    for (const [unit, differences] of byUnit) {
      units.set(unit, (units.get(unit) ?? new Map()).set(`${fold} ${seed}`, average(differences)));
    }
    runs.push({ fold, seed, difference: average([...byUnit.values()].map(average)) });
  }
  const unitValues = [...units.values()];
  return {
    family,
    label,
    a: terms[0].arm,
    b: terms.at(-1)!.arm,
    metric,
    interval: crossedInterval(unitValues),
    test: signedRank(unitValues.map((unit) => average([...unit.values()]))),
    holm: null,
    unit: groups ? "patient" : "case",
    units: units.size,
    cases: cases.size,
    folds: new Set(runs.map((run) => run.fold)).size,
    seeds: new Set(runs.map((run) => run.seed)).size,
    runs,
  };
}

/** Difference of two arms at their chosen sizes on the test cases. */
export function difference(
  data: StudyData,
  a: StudyArm,
  b: StudyArm,
  family: string,
  metric: Metric = "dice",
): Comparison {
  const terms = [
    { arm: a.id, weight: 1 },
    { arm: b.id, weight: -1 },
  ];
  return contrast(data, terms, { family, label: `${a.label} \u2212 ${b.label}`, metric });
}

/** Fills in Holm's correction, family by family. */
export function correct(comparisons: readonly Comparison[]): Comparison[] {
  const families = Map.groupBy(comparisons, (c) => c.family);
  const adjusted = new Map<Comparison, number | null>();
  for (const family of families.values()) {
    const values = holm(family.map((c) => c.test?.p ?? null));
    family.forEach((c, i) => {
      adjusted.set(c, values[i]);
    });
  }
  return comparisons.map((c) => ({ ...c, holm: adjusted.get(c) ?? null }));
}
