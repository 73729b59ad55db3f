import { type ArmGroup, groupOf } from "./claims-arms.ts";
import { chosenSize, meanScore, runsOf } from "./claims-compare.ts";
import type { StudyData } from "./report-load.ts";
import { average, meanSd, median } from "./statistics.ts";
import type { RunResult, SizeResult, StudyArm } from "./types.ts";

/** Mean over runs (folds and seeds) of the runs' means over test cases, with the standard deviation over runs. */
export type Spread = { n: number; mean: number; sd: number | null } | null;

/** A figure of the nets at their chosen sizes: equal for all runs of a trained arm, not for those of a pruned one. */
export interface Range {
  median: number;
  min: number;
  max: number;
}

/** One row of the report's tables. */
export interface ArmRow {
  id: string;
  label: string;
  group: ArmGroup;
  kind: StudyArm["kind"];
  net: string;
  runs: number;
  failed: number;
  open: number;
  trainingCases: Range | null;
  /** Distinct test cases over all folds. */
  testCases: number;
  parameters: Range | null;
  parametersWithoutNorm: Range | null;
  macs: Range | null;
  inferenceBytes: Range | null;
  trainingBytes: Range | null;
  latencyMs: Range | null;
  /** Windows a training step can hold, by GiB of memory; of the largest net among the runs. */
  largestBatch: Record<string, number> | null;
  dice: Spread;
  /** By foreground class. */
  classDice: Spread[];
  hd95: Spread;
  nsd: Spread;
  /** Share of scores (test case, class and run) without HD95, since one of the surfaces was missing. */
  hd95Missing: number | null;
  secondsPerRun: number | null;
}

export const memories = [4, 8, 16];
/** Weights, gradients and two moments of Adam, float32. */
const bytesPerParameter = 16;

/**
 * Windows that fit a training step: what is left of the memory after weights, gradients and the optimiser's two moments,
 * over the activations and gradients of one window.
 */
export function largestBatch(size: Pick<SizeResult, "parameters" | "trainingBytes">, gib: number): number {
  const left = gib * 2 ** 30 - bytesPerParameter * size.parameters;
  return Math.max(0, Math.floor(left / size.trainingBytes));
}

/** One row an arm, in the order of the study. */
export function armRows(data: StudyData): ArmRow[] {
  return data.study.arms.map((arm) => armRow(data, arm));
}

function armRow(data: StudyData, arm: StudyArm): ArmRow {
  const runs = runsOf(data, arm.id);
  const sizes = runs.map(chosenSize);
  const range = (of: (size: SizeResult) => number | null): Range | null => rangeOf(sizes.flatMap((s) => of(s) ?? []));
  const overRuns = (of: (run: RunResult) => number | null): Spread => meanSd(runs.flatMap((run) => of(run) ?? []));
  const score = (metric: "dice" | "hd95" | "nsd"): Spread => overRuns((run) => meanScore(chosenSize(run).test, metric));
  const tests = sizes.map((size) => size.test ?? {});
  const classes = Math.max(0, ...tests.flatMap((test) => Object.values(test).map((one) => one.dice.length)));
  const distances = tests.flatMap((test) => Object.values(test).flatMap((one) => one.hd95));
  return {
    id: arm.id,
    label: arm.label,
    group: groupOf(arm),
    kind: arm.kind,
    net: arm.net,
    runs: runs.length,
    failed: data.failures.filter(({ config }) => config.arm === arm.id).length,
    open: data.open.filter((config) => config.arm === arm.id).length,
    trainingCases: rangeOf(runs.map((run) => run.trainingCases)),
    testCases: new Set(tests.flatMap((test) => Object.keys(test))).size,
    parameters: range((s) => s.parameters),
    parametersWithoutNorm: range((s) => s.parametersWithoutNorm),
    macs: range((s) => s.macs),
    inferenceBytes: range((s) => s.inferenceBytes),
    trainingBytes: range((s) => s.trainingBytes),
    latencyMs: range((s) => s.latencyMs),
    largestBatch:
      sizes.length === 0
        ? null
        : Object.fromEntries(memories.map((gib) => [gib, Math.min(...sizes.map((size) => largestBatch(size, gib)))])),
    dice: score("dice"),
    classDice: Array.from({ length: classes }, (_, c) =>
      overRuns((run) => {
        const values = Object.values(chosenSize(run).test ?? {}).map((one) => one.dice[c]);
        return values.length > 0 ? average(values) : null;
      }),
    ),
    hd95: score("hd95"),
    nsd: score("nsd"),
    hd95Missing: distances.length > 0 ? distances.filter((d) => d === null).length / distances.length : null,
    secondsPerRun: runs.length > 0 ? average(runs.map((run) => run.seconds)) : null,
  };
}

function rangeOf(values: readonly number[]): Range | null {
  if (values.length === 0) return null;
  return { median: median(values), min: Math.min(...values), max: Math.max(...values) };
}
