import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, expect, test } from "vitest";
import { appendHistory, type BenchRun, historyTable, readHistory } from "./history.ts";
import type { CaseSummary } from "./summary.ts";

let folder: string;
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), "lunet-history-"));
});
afterAll(() => rm(folder, { recursive: true }));

const machine = { processor: "P", processors: 2, platform: "linux x64", node: "26.0.0" };
const summary = (name: string, lunet?: number, torch?: number): CaseSummary => ({
  ...{ case: name, net: "lean:8", mode: "train", dimensions: 3, size: 64, batch: 2, threads: 2, engine: "wasm" },
  ...{ medians: lunet === undefined ? {} : { lunet }, shortest: {}, gflops: null, share: null, otherCores: 0 },
  ratios: torch === undefined || lunet === undefined ? {} : { torch: torch / lunet },
  ...{ peakBytes: {}, firstMs: {}, versions: {}, failures: {} },
});
const run = (day: number, summaries: CaseSummary[], more: Partial<BenchRun> = {}): BenchRun => ({
  ...{
    version: 1,
    date: `2026-11-0${day}T12:00:00.000Z`,
    commit: `c${day}`,
    machine,
    quick: false,
    summaries,
    ...more,
  },
});

test("runs come back as they were added, oldest first; a missing file is an empty history", async () => {
  const path = join(folder, "new", "history.jsonl");
  expect(await readHistory(path)).toEqual([]);
  const runs = [run(1, [summary("a", 100)]), run(2, [summary("a", 90)])];
  for (const each of runs) await appendHistory(path, each);
  expect(await readHistory(path)).toEqual(runs);
});

test("a line that is no run is named, and nothing is added to such a file", async () => {
  const path = join(folder, "broken.jsonl");
  await writeFile(path, `${JSON.stringify(run(1, []))}\n{"version":1`);
  await expect(appendHistory(path, run(2, []))).rejects.toThrow(
    `Expected a run of the benchmark (version 1) in ${path}, line 2`,
  );
});

test("each case's latest run stands against the one before and against the fastest", () => {
  const runs = [
    run(1, [summary("a", 100, 150), summary("b", 50)]),
    run(2, [summary("a", 80)]),
    // Another machine, a quick look and a failure have no part in it.
    run(3, [summary("a", 10)], { machine: { ...machine, processor: "Q" } }),
    run(4, [summary("a", 11)], { quick: true }),
    run(5, [summary("a")]),
    run(6, [summary("a", 100, 200), summary("b", 52)]),
  ];
  const lines = historyTable(runs).split("\n");
  expect(lines[1]).toMatch(
    /^a +2026-11-06 12:00 +c6 +c2 +2 +2 +3 +80\.0 +100\.0 +25 % slower +25 % slower +2\.00x +0\.00$/,
  );
  // 4 % is what two processes of one program may differ by.
  expect(lines[2]).toMatch(/^b +2026-11-06 12:00 +c6 +c1 +2 +2 +2 +50\.0 +52\.0 +same +same +- +0\.00$/);
  expect(lines.slice(3).map((line) => line.split(/ {2,}/)[0])).toEqual(["a", "a (quick)"]);
  expect(historyTable(runs, ["b"]).split("\n")).toHaveLength(2);
  expect(historyTable([], ["b"])).toBe("The history has no run of these cases.");
});

test("the ratio to PyTorch is shown as it moved", () => {
  const table = historyTable([run(1, [summary("a", 100, 150)]), run(2, [summary("a", 90, 153)])]);
  expect(table).toMatch(/10 % faster +same +1\.50x > 1\.70x +0\.00$/);
});
