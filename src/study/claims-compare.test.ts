import { expect, test } from "vitest";
import { type Comparison, caseValue, contrast, correct, difference, meanScore } from "./claims-compare.ts";
import type { StudyData } from "./report-load.ts";
import type { CaseScores, RunResult, StudyArm, StudyFile } from "./types.ts";

const a: StudyArm = { id: "a", label: "A", kind: "train", net: "lean:4" };
const b: StudyArm = { id: "b", label: "B", kind: "train", net: "unet:4" };

function scoresOf(dice: Record<string, number>): CaseScores {
  return Object.fromEntries(Object.entries(dice).map(([id, d]) => [id, { dice: [d], hd95: [null], nsd: [1] }]));
}

function run(arm: string, fold: number, seed: number, dice: Record<string, number>): RunResult {
  const size = { step: 0, widths: {}, parameters: 10, parametersWithoutNorm: 8, macs: 1, inferenceBytes: 1 };
  const test = scoresOf(dice);
  const sizes = [{ ...size, trainingBytes: 1, model: "m", validation: {}, test, latencyMs: null }];
  const about = { version: 1 as const, run: `${arm}${fold}${seed}`, arm, label: arm, kind: "train" as const };
  return { ...about, fold, seed, trainingCases: 5, sizes, chosen: 0, seconds: 1 };
}

function dataOf(results: RunResult[], more: Partial<StudyFile> = {}): StudyData {
  const study: StudyFile = {
    version: 1,
    name: "s",
    data: "d",
    scale: "x",
    arms: [a, b],
    folds: [0],
    seeds: [1],
    budgets: {},
    lunet: "0",
    ...more,
  };
  return { study, results, failures: [], open: [] };
}

test("a case's score is the mean over the classes where it is defined", () => {
  const score = { dice: [0.8, 0.6], hd95: [null, 3], nsd: [null, null] };
  expect([caseValue(score, "dice"), caseValue(score, "hd95"), caseValue(score, "nsd")]).toEqual([0.7, 3, null]);
  expect(meanScore({ x: score, y: { ...score, hd95: [1, 1] } }, "hd95")).toBe(2);
  expect(meanScore(null, "dice")).toBeNull();
});

test("cases count once, with their mean over seeds; only common folds, seeds and cases are compared", () => {
  const data = dataOf([
    run("a", 0, 1, { p: 0.8, q: 0.9, extra: 0.1 }),
    run("a", 0, 2, { p: 0.6, q: 0.9 }),
    run("a", 1, 1, { r: 0.5 }),
    run("b", 0, 1, { p: 0.7, q: 0.7 }),
    run("b", 0, 2, { p: 0.7, q: 0.7 }),
    run("b", 2, 1, { r: 0.9 }), // no such fold of a
  ]);
  const c = difference(data, a, b, "f");
  expect(c).toMatchObject({ label: "A \u2212 B", units: 2, cases: 2, folds: 1, seeds: 2, unit: "case", holm: null });
  // p: (0.1 - 0.1) / 2 = 0; q: 0.2.
  expect(c.interval!.mean).toBeCloseTo(0.1, 12);
  expect(c.test).toMatchObject({ n: 1 }); // p does not differ
  const runs = c.runs.map((one) => [one.fold, one.seed, Number(one.difference.toFixed(12))]);
  expect(runs).toEqual([
    [0, 1, 0.15],
    [0, 2, 0.05],
  ]);
});

test("patients are the unit where the study tells them", () => {
  const data = dataOf([run("a", 0, 1, { p1: 0.9, p2: 0.7, q: 0.5 }), run("b", 0, 1, { p1: 0.6, p2: 0.6, q: 0.6 })], {
    groups: { p1: "P", p2: "P", q: "Q" },
  });
  const c = difference(data, a, b, "f");
  expect(c).toMatchObject({ unit: "patient", units: 2, cases: 3 });
  expect(c.interval!.mean).toBeCloseTo(0.05, 12); // P: (0.3 + 0.1) / 2, Q: -0.1
});

test("a contrast of four arms adds up by weight", () => {
  const arms = ["w", "x", "y", "z"];
  const data = dataOf(arms.map((arm, i) => run(arm, 0, 1, { p: i / 10, q: i / 5 })));
  const terms = arms.map((arm, i) => ({ arm, weight: [1, -1, -1, 1][i] }));
  const c = contrast(data, terms, { family: "f", label: "l" });
  expect(c.interval!.mean).toBeCloseTo(0, 12); // 0 - i - 2i + 3i
});

test("no common runs give no interval", () => {
  const c = difference(dataOf([run("a", 0, 1, { p: 1 }), run("b", 1, 1, { q: 1 })]), a, b, "f");
  expect(c).toMatchObject({ interval: null, test: null, units: 0, runs: [] });
});

test("p values are corrected family by family", () => {
  const of = (family: string, p: number | null) =>
    ({ family, test: p === null ? null : { p, n: 9, statistic: 1, method: "exact" } }) as Comparison;
  const corrected = correct([of("f", 0.01), of("g", 0.04), of("f", 0.03), of("f", null)]);
  expect(corrected.map((c) => c.holm)).toEqual([0.02, 0.04, 0.03, null]);
});
