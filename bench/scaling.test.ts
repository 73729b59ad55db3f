import { expect, test } from "vitest";
import { caseName, pickCases } from "./cases.ts";
import { scalingCases, scalingTable, threadTable } from "./scaling.ts";
import type { CaseSummary } from "./summary.ts";

const summary = (more: Partial<CaseSummary>): CaseSummary => ({
  ...{ case: "lean:8/infer/32", net: "lean:8", mode: "infer", dimensions: 3, size: 32, batch: 1, threads: 1 },
  ...{ engine: "wasm", medians: {}, shortest: {}, ratios: {}, gflops: null, share: null, otherCores: null },
  ...{ peakBytes: {}, firstMs: {}, versions: {}, failures: {}, ...more },
});

test("a net and a mode at five sizes, whatever sizes were picked; 2D has no part in it", () => {
  const cases = scalingCases(pickCases(["lean:8/infer", "unet:4/train/64"]));
  expect(cases.map(caseName)).toEqual([
    ...[32, 48, 64, 96, 128].map((size) => `lean:8/infer/${size}`),
    ...[32, 48, 64, 96, 128].map((size) => `unet:4/train/${size}`),
  ]);
  expect(scalingCases(pickCases(["2d256"]))).toEqual([]);
});

test("ms and ns a voxel", () => {
  // 32768 voxels in 3.2768 ms.
  const rows = scalingTable([summary({ medians: { lunet: 3.2768 }, failures: { torch: "no" } })]).split("\n");
  expect(rows[1]).toMatch(/^lean:8\/infer\/32 +1 +3\.3 +100\.0 +- +- +failed +-$/);
});

test("what more threads bring, for each program; nothing where there is one number of threads", () => {
  const one = summary({ threads: 1, medians: { lunet: 30, torch: 40 } });
  const two = summary({ threads: 2, medians: { lunet: 16 } });
  expect(threadTable([two, one]).split("\n")).toEqual([
    expect.stringMatching(/^case +ms on 1 +1 > 2 threads$/),
    expect.stringMatching(/^lean:8\/infer\/32 +lunet +30\.0 +1\.88x$/),
    expect.stringMatching(/^lean:8\/infer\/32 +torch +40\.0 +-$/),
  ]);
  expect(threadTable([one])).toBe("");
});
