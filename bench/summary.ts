import { flopsOf, type Job, type Measurement, type Runner } from "./cases.ts";

/** Everything measured for one net and mode: the child processes of each runner, or why one failed. */
export interface CaseResult {
  job: Job;
  runs: Partial<Record<Runner, Measurement[]>>;
  failures: Partial<Record<Runner, string>>;
}

/** One line of the table. */
export interface CaseSummary {
  net: string;
  mode: Job["mode"];
  batch: number;
  size: number;
  /** Median ms over all repetitions of all processes. */
  medians: Partial<Record<Runner, number>>;
  /** Peer's median over ours: above 1 we are faster. */
  ratios: Partial<Record<Runner, number>>;
  /** Ours. */
  gflops: number | null;
  /** Ours, share of the probed peak. */
  share: number | null;
  /** Median over processes of the peak memory. */
  peakBytes: Partial<Record<Runner, number>>;
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
  const medians: CaseSummary["medians"] = {};
  const peakBytes: CaseSummary["peakBytes"] = {};
  for (const [runner, list] of Object.entries(runs) as [Runner, Measurement[]][]) {
    if (list.length === 0) continue;
    medians[runner] = median(list.flatMap((run) => run.ms));
    peakBytes[runner] = median(list.map((run) => run.peakBytes));
  }
  const ours = medians.lunet;
  const ratios: CaseSummary["ratios"] = {};
  for (const peer of ["onnxruntime", "torch"] as const) {
    const theirs = medians[peer];
    if (ours !== undefined && theirs !== undefined) ratios[peer] = theirs / ours;
  }
  const gflops = ours === undefined ? null : flopsOf(job) / ours / 1e6;
  const peaks = (runs.lunet ?? []).flatMap((run) => run.peakGflops ?? []);
  const others = Object.values(runs).flatMap((list) => list.flatMap((run) => run.otherCores ?? []));
  const { net, mode, batch, size } = job;
  return {
    ...{ net, mode, batch, size, medians, ratios, gflops, peakBytes, failures },
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
  const { net, mode } = result.job;
  return `${net} ${mode}: lunet's output (${ours.toFixed(5)}) differs from onnxruntime's (${theirs.toFixed(5)}).`;
}

const columns = [
  ...["net", "mode", "input", "lunet ms", "ort ms", "torch ms", "ort/lunet", "torch/lunet"],
  ...["GFLOP/s", "of peak", "MiB lunet", "ort", "torch", "other cores"],
];

export function table(summaries: CaseSummary[]): string {
  const rows = [columns, ...summaries.map(cells)];
  const widths = columns.map((_, i) => Math.max(...rows.map((row) => row[i].length)));
  return rows
    .map((row) => row.map((cell, i) => (i < 3 ? cell.padEnd(widths[i]) : cell.padStart(widths[i]))).join("  "))
    .join("\n");
}

function cells(s: CaseSummary): string[] {
  const number = (value: number | null | undefined, digits: number, end = ""): string =>
    value === null || value === undefined ? "-" : value.toFixed(digits) + end;
  const time = (runner: Runner): string => (runner in s.failures ? "failed" : number(s.medians[runner], 1));
  const memory = (runner: Runner): string => {
    const bytes = s.peakBytes[runner];
    return number(bytes === undefined ? bytes : bytes / 2 ** 20, 0);
  };
  return [
    ...[s.net, s.mode, `${s.batch} x ${s.size}^3`],
    ...[time("lunet"), time("onnxruntime"), time("torch")],
    ...[number(s.ratios.onnxruntime, 2, "x"), number(s.ratios.torch, 2, "x")],
    ...[number(s.gflops, 1), number(s.share === null ? null : 100 * s.share, 0, " %")],
    ...[memory("lunet"), memory("onnxruntime"), memory("torch"), number(s.otherCores, 2)],
  ];
}
