import { readFileSync } from "node:fs";
import { expect, test } from "vitest";
import type { BenchRun } from "./history.ts";
import { insertBlock, readBlock, readmeBlock } from "./readme.ts";

const run: BenchRun = {
  ...{ version: 1, date: "2026-11-24T10:00:00.000Z", commit: "abc1234", quick: false },
  machine: { processor: "AMD EPYC", processors: 2, platform: "linux x64", node: "26.10.0" },
  summaries: [
    {
      ...{ case: "lean:8/infer/2d512", net: "lean:8", mode: "infer", dimensions: 2, size: 512, batch: 1, threads: 2 },
      ...{ engine: "wasm", medians: { lunet: 41.26, onnxruntime: 105.4 }, shortest: {}, gflops: 100, share: 0.424 },
      ...{ ratios: { onnxruntime: 2.554 }, peakBytes: { lunet: 200 * 2 ** 20, onnxruntime: 100 * 2 ** 20 } },
      ...{ firstMs: { lunet: 412.3, onnxruntime: 90 }, otherCores: 0, failures: { torch: "did not start" } },
      versions: { lunet: "node 26.10.0", onnxruntime: "onnxruntime 1.30.0" },
    },
  ],
};

test("a run as a table, with what it was measured on", () => {
  const block = readmeBlock(run);
  expect(block).toContain(
    "AMD EPYC, 2 of 2 processors; Node 26.10.0, onnxruntime 1.30.0; 24 November 2026, commit abc1234.",
  );
  expect(block.split("\n").at(-1)).toBe(
    "| `lean:8` | inference 1 x 512² | 41.3 | 105 | failed | 2.55 | - | 42 % | 200 / 100 / failed | 412 / 90 / failed |",
  );
});

test("the block takes the place between the markers, again and again", () => {
  const text = "# A\n<!-- bench:start -->\nold\n<!-- bench:end -->\n## B\n";
  const once = insertBlock(text, readmeBlock(run));
  expect(once).toMatch(/^# A\n<!-- bench:start -->\n\nAMD EPYC/);
  expect(once).toMatch(/failed \|\n\n<!-- bench:end -->\n## B\n$/);
  expect(insertBlock(once, readmeBlock(run))).toBe(once);
  expect(readBlock(once)).toEqual([expect.arrayContaining(["net"]), expect.arrayContaining(["`lean:8`", "41.3"])]);
  expect(() => insertBlock("# A\n", "x")).toThrow("Expected the lines <!-- bench:start --> and <!-- bench:end -->");
});

test("README's own table has as many cells in each row as in its head, and a number in each row", () => {
  const readme = readFileSync(new URL("../README.md", import.meta.url), "utf8");
  const [head, ...rows] = readBlock(readme)!;
  expect(rows.length).toBeGreaterThan(0);
  for (const row of rows) {
    expect(row).toHaveLength(head.length);
    expect(row[0]).toMatch(/^`\w+:\d+`$/);
    expect(row.slice(1).some((cell) => Number.isFinite(Number.parseFloat(cell)))).toBe(true);
  }
});
