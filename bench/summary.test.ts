import { expect, test } from "vitest";
import { flopsOf, type Job, type Measurement } from "./cases.ts";
import type { CaseResult } from "./rounds.ts";
import { disagreement, median, memoryTable, summarise, timeTable } from "./summary.ts";

const job: Job = {
  ...{ net: "lean:8", mode: "infer", dimensions: 3, size: 64, batch: 1 },
  ...{ threads: 2, warmup: 3, reps: 3, engine: "wasm" },
} as const;
const run = (ms: number[], more: Partial<Measurement> = {}): Measurement => ({
  ...{ ms, firstMs: 400, peakBytes: 2 ** 20, otherCores: 0.1, value: 0.5, version: "x", ...more },
});

test("work of the published comparison: flat 8 is 4.43 GFLOP at 64^3, a training step three times that", () => {
  // 2 x 2.2147 GMAC, the sum of the rows of `lunet info lean:8 --patch 64x64x64`.
  expect(flopsOf(job) / 1e9).toBeCloseTo(4.43, 2);
  expect(flopsOf({ ...job, mode: "train", batch: 2 })).toBe(6 * flopsOf(job));
});

test("medians over all processes, ratios above 1 where we are faster", () => {
  const result: CaseResult = {
    job,
    runs: {
      lunet: [
        run([10, 30, 20], { peakGflops: 100 }),
        run([20, 20], { peakGflops: 120, otherCores: 0.4, firstMs: 600 }),
      ],
      onnxruntime: [run([50, 60])],
    },
    failures: { torch: "did not start" },
  };
  const summary = summarise(result);
  expect(summary).toMatchObject({
    case: "lean:8/infer/64",
    medians: { lunet: 20, onnxruntime: 55 },
    shortest: { lunet: 10, onnxruntime: 50 },
    firstMs: { lunet: 500, onnxruntime: 400 },
    ratios: { onnxruntime: 2.75 },
    otherCores: 0.4,
  });
  expect(summary.gflops).toBeCloseTo(flopsOf(job) / 20e6, 9);
  expect(summary.share).toBeCloseTo(flopsOf(job) / 20e6 / 110, 9);
  expect(timeTable([summary]).split("\n")[1]).toMatch(
    /^lean:8\/infer\/64 +1 +2 +20\.0 +55\.0 +failed +2\.75x +- +221\.\d +201 % +0\.40$/,
  );
  expect(memoryTable([summary]).split("\n")[1]).toMatch(/^lean:8\/infer\/64 +1 +1 +failed +500 +400 +failed$/);
});

test("median of an even number is the middle of the two", () => {
  expect([median([3, 1, 2]), median([4, 1, 2, 3])]).toEqual([2, 2.5]);
});

test("outputs that differ are reported", () => {
  const pair = (theirs: number): CaseResult => ({
    ...{ job, failures: {}, runs: { lunet: [run([1])], onnxruntime: [run([1], { value: theirs })] } },
  });
  expect(disagreement(pair(0.5004))).toBeUndefined();
  expect(disagreement(pair(0.6))).toBe(
    "lean:8/infer/64: lunet's output (0.50000) differs from onnxruntime's (0.60000).",
  );
  expect(disagreement({ job, failures: {}, runs: { lunet: [run([1])] } })).toBeUndefined();
});
