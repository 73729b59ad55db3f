import { textTable } from "../src/util/text-table.ts";
import { type BenchCase, caseName, flopsOf, type Job, type Measurement, type Runner } from "./cases.ts";
import type { CaseResult } from "./rounds.ts";

/** What is kept of a case: a line of the tables, and of the history. */
export interface CaseSummary extends BenchCase {
  /** Its name as {@link caseName} gives it. */
  case: string;
  batch: number;
  threads: number;
  engine: Job["engine"];
  /** Median ms over all repetitions of all processes. */
  medians: Partial<Record<Runner, number>>;
  /** The shortest of them. */
  shortest: Partial<Record<Runner, number>>;
  /** Peer's median over ours: above 1 we are faster. */
  ratios: Partial<Record<Runner, number>>;
  /** Ours. */
  gflops: number | null;
  /** Ours, share of the probed peak. */
  share: number | null;
  /** Medians over processes of the peak memory, and of the time of the first call. */
  peakBytes: Partial<Record<Runner, number>>;
  firstMs: Partial<Record<Runner, number>>;
  versions: Partial<Record<Runner, string>>;
  /** The most cores that other processes kept busy during a measurement; null where none could tell. */
  otherCores: number | null;
  failures: Partial<Record<Runner, string>>;
}

export function median(values: number[]): number {
  const sorted = values.toSorted((a, b) => a - b);
  const middle = sorted.length >> 1;
  return sorted.length % 2 === 1 ? sorted[middle] : (sorted[middle - 1] + sorted[middle]) / 2;
}

export function summarise(result: CaseResult): CaseSummary {
  const { job, runs, failures } = result;
  const { net, mode, dimensions, size, batch, threads, engine } = job;
  const ofEach = <T>(pick: (list: Measurement[]) => T): Partial<Record<Runner, T>> =>
    Object.fromEntries(Object.entries(runs).flatMap(([runner, list]) => (list.length ? [[runner, pick(list)]] : [])));
  const medians = ofEach((list) => median(list.flatMap((run) => run.ms)));
  const ours = medians.lunet;
  const ratios: CaseSummary["ratios"] = {};
  for (const peer of ["onnxruntime", "torch"] as const) {
    const theirs = medians[peer];
    if (ours !== undefined && theirs !== undefined) ratios[peer] = theirs / ours;
  }
  const gflops = ours === undefined ? null : flopsOf(job) / ours / 1e6;
  const peaks = (runs.lunet ?? []).flatMap((run) => run.peakGflops ?? []);
  const others = Object.values(runs).flatMap((list) => list.flatMap((run) => run.otherCores ?? []));
  return {
    case: caseName(job),
    ...{ net, mode, dimensions, size, batch, threads, engine, medians, ratios, gflops, failures },
    shortest: ofEach((list) => Math.min(...list.flatMap((run) => run.ms))),
    peakBytes: ofEach((list) => median(list.map((run) => run.peakBytes))),
    firstMs: ofEach((list) => median(list.map((run) => run.firstMs))),
    versions: ofEach((list) => list[0].version),
    share: gflops === null || peaks.length === 0 ? null : gflops / median(peaks),
    otherCores: others.length === 0 ? null : Math.max(...others),
  };
}

/**
 * Why the outputs of two runners are not the same work, or undefined. Inference shares weights and input, and the
 * fingerprint is a probability, so float32 rounding leaves differences far below 1e-3.
 */
export function disagreement(result: CaseResult): string | undefined {
  const ours = result.runs.lunet?.at(-1)?.value;
  const theirs = result.runs.onnxruntime?.at(-1)?.value;
  if (ours === undefined || theirs === undefined || Math.abs(ours - theirs) < 1e-3) return undefined;
  return `${caseName(result.job)}: lunet's output (${ours.toFixed(5)}) differs from onnxruntime's (${theirs.toFixed(5)}).`;
}

/** A number with so many decimals, or - where there is none. */
export function decimal(value: number | null | undefined, digits: number, end = ""): string {
  return value === null || value === undefined ? "-" : value.toFixed(digits) + end;
}

/** A measured value of a runner, or why there is none. */
export function cell(summary: CaseSummary, value: number | undefined, runner: Runner, digits: number): string {
  return runner in summary.failures ? "failed" : decimal(value, digits);
}

const MIB = 2 ** 20;

export const mib = (bytes: number | undefined): number | undefined => (bytes === undefined ? undefined : bytes / MIB);

/** Times and ratios, a line a case. */
export function timeTable(summaries: readonly CaseSummary[]): string {
  const head = [
    ...["case", "batch", "threads", "lunet ms", "ort ms", "torch ms", "ort/lunet", "torch/lunet"],
    ...["GFLOP/s", "of peak", "other cores"],
  ];
  const rows = summaries.map((s) => {
    const time = (runner: Runner): string => cell(s, s.medians[runner], runner, 1);
    return [
      ...[s.case, `${s.batch}`, `${s.threads}`, time("lunet"), time("onnxruntime"), time("torch")],
      ...[decimal(s.ratios.onnxruntime, 2, "x"), decimal(s.ratios.torch, 2, "x")],
      ...[decimal(s.gflops, 1), decimal(s.share === null ? null : 100 * s.share, 0, " %"), decimal(s.otherCores, 2)],
    ];
  });
  return textTable([head, ...rows], 1);
}

/** Peak memory and the time of the first call, a line a case. */
export function memoryTable(summaries: readonly CaseSummary[]): string {
  const head = ["case", "lunet MiB", "ort", "torch", "first call: lunet ms", "ort", "torch"];
  const runners: Runner[] = ["lunet", "onnxruntime", "torch"];
  const rows = summaries.map((s) => [
    s.case,
    ...runners.map((runner) => cell(s, mib(s.peakBytes[runner]), runner, 0)),
    ...runners.map((runner) => cell(s, s.firstMs[runner], runner, 0)),
  ]);
  return textTable([head, ...rows], 1);
}
