import { fail } from "../src/util/errors.ts";
import type { Runner } from "./cases.ts";
import type { BenchRun } from "./history.ts";
import { type CaseSummary, cell, decimal, mib } from "./summary.ts";

const [start, end] = ["<!-- bench:start -->", "<!-- bench:end -->"];
const columns = [
  ...["net", "work", "lunet, ms", "onnxruntime, ms", "PyTorch, ms", "onnxruntime / lunet", "PyTorch / lunet"],
  ...["share of peak", "peak MiB: lunet / onnxruntime / PyTorch", "first call, ms: lunet / onnxruntime / PyTorch"],
];
const runners: Runner[] = ["lunet", "onnxruntime", "torch"];

/** A run as Markdown: what it was measured with, then a table. */
export function readmeBlock(run: BenchRun): string {
  const row = (cells: string[]): string => `| ${cells.join(" | ")} |`;
  const rule = columns.map((_, i) => (i < 2 ? "---" : "--:"));
  const rows = run.summaries.map((summary) => row(cells(summary, run.summaries)));
  return [caption(run), "", row(columns), row(rule), ...rows].join("\n");
}

function caption({ date, commit, machine, summaries }: BenchRun): string {
  const day = new Intl.DateTimeFormat("en-GB", { dateStyle: "long", timeZone: "UTC" }).format(new Date(date));
  const names = new Set(summaries.flatMap(({ versions }) => [versions.onnxruntime, versions.torch]));
  const versions = [...names].filter((version) => version !== undefined).sort();
  const programs = [
    `Node ${machine.node}`,
    ...versions.map((version) => version.replace(/^torch /, "PyTorch ").replace(/\+.*/, "")),
  ];
  const threads = [...new Set(summaries.map((s) => s.threads))].sort((a, b) => a - b).join(" and ");
  const others = Math.max(0, ...summaries.map((s) => s.otherCores ?? 0));
  return [
    `${machine.processor}, ${threads} of ${machine.processors} processors; ${programs.join(", ")}; ${day}${commit ? `, commit ${commit}` : ""}.`,
    "Medians over processes that took turns; ratios above 1: lunet is faster.",
    ...(others > 0.2 ? [`Other programs kept up to ${others.toFixed(1)} processors busy.`] : []),
  ].join(" ");
}

function cells(s: CaseSummary, all: readonly CaseSummary[]): string[] {
  const work = s.mode === "train" ? "training step" : "inference";
  const several = all.some((other) => other.threads !== s.threads);
  const each = (values: CaseSummary["medians"], scale: typeof mib): string =>
    runners.map((runner) => cell(s, scale(values[runner]), runner, 0)).join(" / ");
  const time = (runner: Runner): string => {
    const ms = s.medians[runner];
    return cell(s, ms, runner, ms !== undefined && ms < 100 ? 1 : 0);
  };
  return [
    `\`${s.net}\``,
    `${work} ${s.batch} x ${s.size}${s.dimensions === 2 ? "²" : "³"}${several ? `, ${s.threads} threads` : ""}`,
    ...runners.map(time),
    ...[decimal(s.ratios.onnxruntime, 2), decimal(s.ratios.torch, 2)],
    decimal(s.share === null ? null : 100 * s.share, 0, " %"),
    each(s.peakBytes, mib),
    each(s.firstMs, (ms) => ms),
  ];
}

/** The text with `block` between the two markers. Throws UserError where they are missing. */
export function insertBlock(text: string, block: string): string {
  const [from, to] = bounds(text) ?? fail(`Expected the lines ${start} and ${end} in README.md, in this order.`);
  return `${text.slice(0, from)}\n\n${block}\n\n${text.slice(to)}`;
}

/** The table between the markers as cells, its head first and its rule left out; undefined without markers. */
export function readBlock(text: string): string[][] | undefined {
  const found = bounds(text);
  if (!found) return undefined;
  const lines = text.slice(...found).split("\n");
  const rows = lines.filter((line) => line.startsWith("|")).map((line) => line.slice(1, -1).split("|"));
  return rows.filter((_, i) => i !== 1).map((row) => row.map((text) => text.trim()));
}

function bounds(text: string): [number, number] | undefined {
  const [from, to] = [text.indexOf(start), text.indexOf(end)];
  return from < 0 || to < from ? undefined : [from + start.length, to];
}
