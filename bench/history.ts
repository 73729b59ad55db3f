import { existsSync } from "node:fs";
import { fail } from "../src/util/errors.ts";
import { readBytes, writeFileAtomic } from "../src/util/files.ts";
import { textTable } from "../src/util/text-table.ts";
import type { Machine } from "./machine.ts";
import { type CaseSummary, decimal } from "./summary.ts";

/** A run of the benchmark: a line of the history, and the head of bench.json. */
export interface BenchRun {
  version: 1;
  /** ISO time. */
  date: string;
  commit: string | null;
  machine: Machine;
  /** One round of few repetitions. */
  quick: boolean;
  summaries: CaseSummary[];
}

/** Runs of one program differ by less than this between one process and the next. */
const noise = 0.05;

/** The runs of a history file, oldest first; none where there is no file. Throws UserError for a line that is no run. */
export async function readHistory(path: string): Promise<BenchRun[]> {
  if (!existsSync(path)) return [];
  const lines = new TextDecoder().decode(await readBytes(path)).split("\n");
  return lines.flatMap((line, i) => (line.trim() ? [parseRun(line, `${path}, line ${i + 1}`)] : []));
}

function parseRun(line: string, where: string): BenchRun {
  let run: Partial<BenchRun> | null = null;
  try {
    run = JSON.parse(line);
  } catch {}
  if (run?.version !== 1 || !run.machine || !Array.isArray(run.summaries)) {
    fail(`Expected a run of the benchmark (version 1) in ${where}: remove the line, or move the file away.`);
  }
  return run as BenchRun;
}

/** Adds a run as the file's last line. */
export async function appendHistory(path: string, run: BenchRun): Promise<void> {
  const runs = [...(await readHistory(path)), run];
  await writeFileAtomic(path, runs.map((entry) => `${JSON.stringify(entry)}\n`).join(""));
}

/** One case in one run. */
interface Entry {
  run: BenchRun;
  summary: CaseSummary;
}

/**
 * How each case of `names` (all where it is undefined) moved: its latest run against the one before and against the fastest, on the
 * same processor, with the same threads and engine.
 */
export function historyTable(runs: readonly BenchRun[], names?: readonly string[]): string {
  const series = new Map<string, Entry[]>();
  for (const run of runs) {
    for (const summary of run.summaries) {
      if (names && !names.includes(summary.case)) continue;
      if (summary.medians.lunet === undefined) continue;
      const { processor, processors, platform } = run.machine;
      const work = [summary.case, summary.batch, summary.threads, summary.engine, run.quick];
      const key = JSON.stringify([processor, processors, platform, ...work]);
      series.set(key, [...(series.get(key) ?? []), { run, summary }]);
    }
  }
  if (series.size === 0) return "The history has no run of these cases.";
  const head = [
    "case",
    "latest",
    "commit",
    "before",
    "batch",
    "threads",
    "runs",
    "ms before",
    "ms",
    "moved",
    "to fastest",
    "torch/lunet",
    "other cores",
  ];
  const rows = [...series.values()].map((entries) => {
    const latest = entries.at(-1)!;
    const before = entries.at(-2);
    const ms = (entry: Entry): number => entry.summary.medians.lunet!;
    const fastest = Math.min(...entries.map(ms));
    return [
      `${latest.summary.case}${latest.run.quick ? " (quick)" : ""}`,
      ...[day(latest.run), latest.run.commit ?? "-", before?.run.commit ?? "-"],
      ...[`${latest.summary.batch}`, `${latest.summary.threads}`, `${entries.length}`],
      ...[decimal(before && ms(before), 1), decimal(ms(latest), 1)],
      ...[before ? move(ms(before), ms(latest)) : "new", move(fastest, ms(latest))],
      ratios(before?.summary.ratios.torch, latest.summary.ratios.torch),
      decimal(latest.summary.otherCores, 2),
    ];
  });
  return textTable([head, ...rows], 4);
}

const day = (run: BenchRun): string => run.date.slice(0, 16).replace("T", " ");

/** In words, and "same" for what may be noise. */
function move(before: number, now: number): string {
  const change = now / before - 1;
  if (Math.abs(change) < noise) return "same";
  return change < 0 ? `${(-100 * change).toFixed(0)} % faster` : `${(100 * change).toFixed(0)} % slower`;
}

function ratios(before: number | undefined, now: number | undefined): string {
  if (now === undefined) return "-";
  return before === undefined ? `${now.toFixed(2)}x` : `${before.toFixed(2)}x > ${now.toFixed(2)}x`;
}
