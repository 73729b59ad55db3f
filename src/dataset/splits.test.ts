import fc from "fast-check";
import { expect, test } from "vitest";
import { foldsOf, makeFolds } from "./splits.ts";
import type { Dataset } from "./types.ts";

const ids = Array.from({ length: 13 }, (_, i) => `p${Math.floor(i / 3)}_${i}`);

test("every case is validated exactly once, folds are disjoint and even, the seed alone decides", () => {
  fc.assert(
    fc.property(fc.integer({ min: 2, max: 13 }), fc.nat(), (folds, seed) => {
      const made = makeFolds(ids, { folds, seed });
      expect(made.flatMap((fold) => fold.val).sort()).toEqual([...ids].sort());
      for (const { train, val } of made) expect([...train, ...val].sort()).toEqual([...ids].sort());
      const sizes = made.map((fold) => fold.val.length);
      expect(Math.max(...sizes) - Math.min(...sizes)).toBeLessThanOrEqual(1);
      expect(makeFolds([...ids].reverse(), { folds, seed })).toEqual(made);
    }),
    { numRuns: 30 },
  );
  expect(makeFolds(ids, { seed: 1 })).not.toEqual(makeFolds(ids, { seed: 2 }));
});

test("a subject's cases stay together, by pattern or by table", () => {
  const byPattern = makeFolds(ids, { folds: 3, groups: "^(p\\d+)_" });
  for (const { train, val } of byPattern) {
    const held = new Set(val.map((id) => id.split("_")[0]));
    expect(train.some((id) => held.has(id.split("_")[0]))).toBe(false);
  }
  const table = Object.fromEntries(ids.map((id) => [id, id.split("_")[0]]));
  expect(makeFolds(ids, { folds: 3, groups: table })).toEqual(byPattern);
});

test("clear errors", () => {
  expect(() => makeFolds(["a", "b"], { folds: 5 })).toThrow(/at least 5 cases for 5 folds, but there are 2/);
  expect(() => makeFolds(ids, { groups: "^(q)" })).toThrow(/"p0_0" gives none/);
  expect(() => makeFolds(ids, { groups: { p0_0: "a" } })).toThrow(/"p0_1" has none/);
});

test("a set's own splits win unless folds are asked for", () => {
  const splits = [{ train: ["a"], val: ["b"] }];
  const training = ["a", "b"].map((id) => ({ id, images: [] }));
  const dataset = { training, splits } as unknown as Dataset;
  expect(foldsOf(dataset)).toBe(splits);
  expect(foldsOf(dataset, { folds: 2 })).toHaveLength(2);
});
