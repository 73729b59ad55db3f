import { textTable } from "../src/util/text-table.ts";
import type { BenchCase, Runner } from "./cases.ts";
import { type CaseSummary, cell, decimal } from "./summary.ts";

const runners: Runner[] = ["lunet", "onnxruntime", "torch"];
const sizes = [32, 48, 64, 96, 128];

/** The nets and modes of the 3D cases at growing sizes. */
export function scalingCases(cases: readonly BenchCase[]): BenchCase[] {
  const works = new Map(cases.filter((c) => c.dimensions === 3).map((c) => [`${c.net}/${c.mode}`, c]));
  return [...works.values()].flatMap((work) => sizes.map((size) => ({ ...work, size })));
}

/** How the time of one volume grows with its size: what is flat in ns a voxel grows with the voxels. */
export function scalingTable(summaries: readonly CaseSummary[]): string {
  const head = ["case", ...["threads", "lunet ms", "ns a voxel", "ort ms", "ns a voxel", "torch ms", "ns a voxel"]];
  const rows = summaries.map((s) => {
    const voxels = s.batch * s.size ** s.dimensions;
    const times = runners.flatMap((runner) => {
      const ms = s.medians[runner];
      return [cell(s, ms, runner, 1), decimal(ms === undefined ? ms : (1e6 * ms) / voxels, 1)];
    });
    return [s.case, `${s.threads}`, ...times];
  });
  return textTable([head, ...rows], 1);
}

/** What more threads bring: the time on the fewest over the time on each number of threads. Empty for one number of threads. */
export function threadTable(summaries: readonly CaseSummary[]): string {
  const numbers = [...new Set(summaries.map((s) => s.threads))].sort((a, b) => a - b);
  if (numbers.length < 2) return "";
  const [fewest, ...more] = numbers;
  const names = [...new Set(summaries.map((s) => s.case))];
  const rows = names.flatMap((name) =>
    runners.flatMap((runner) => {
      const at = (threads: number): number | undefined =>
        summaries.find((s) => s.case === name && s.threads === threads)?.medians[runner];
      const base = at(fewest);
      if (base === undefined) return [];
      const gains = more.map((threads) => {
        const ms = at(threads);
        return decimal(ms === undefined ? ms : base / ms, 2, "x");
      });
      return [[name, runner, decimal(base, 1), ...gains]];
    }),
  );
  return textTable([["case", "", `ms on ${fewest}`, ...more.map((n) => `${fewest} > ${n} threads`)], ...rows], 2);
}
