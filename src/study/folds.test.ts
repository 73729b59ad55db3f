import fc from "fast-check";
import { describe, expect, it } from "vitest";
import type { Dataset } from "../dataset/types.ts";
import { partsOf, someCases } from "./folds.ts";

const ids = (count: number): string[] =>
  Array.from({ length: count }, (_, i) => `p${String(i >> 1).padStart(2, "0")}_${i}`);
const dataset = (cases: string[], splits?: Dataset["splits"]): Dataset => ({
  name: "test",
  root: "",
  channels: ["MRI"],
  labels: [],
  training: cases.map((id) => ({ id, images: [] })),
  test: [],
  ...(splits ? { splits } : {}),
});

it("tests every case once, and never lets a case choose or teach the net that it judges", () => {
  fc.assert(
    fc.property(
      fc.integer({ min: 6, max: 40 }),
      fc.integer({ min: 3, max: 5 }),
      fc.boolean(),
      (count, split, grouped) => {
        const all = ids(2 * count);
        const parts = partsOf(dataset(all), { split, groups: grouped ? /^(p\d+)/ : undefined });
        expect(parts.flatMap(({ test }) => test).sort()).toEqual([...all].sort());
        for (const [k, { training, validation, test }] of parts.entries()) {
          expect([...training, ...validation, ...test].sort()).toEqual([...all].sort());
          expect(validation).toEqual(parts[(k + 1) % split].test);
          if (!grouped) continue;
          const subject = (list: string[]): Set<string> => new Set(list.map((id) => id.slice(0, 3)));
          const apart = (a: string[], b: string[]): boolean => [...subject(a)].every((id) => !subject(b).has(id));
          expect(apart(test, [...training, ...validation])).toBe(true);
          expect(apart(validation, training)).toBe(true);
        }
      },
    ),
    { numRuns: 30 },
  );
});

it("takes the set's own folds, and a share of each where not all cases are wanted", () => {
  const all = ids(12);
  const splits = [0, 1, 2, 3].map((k) => {
    const val = all.filter((_, i) => i % 4 === k);
    return { train: all.filter((id) => !val.includes(id)), val };
  });
  const parts = partsOf(dataset(all, splits));
  expect(parts.map(({ test }) => test)).toEqual(splits.map(({ val }) => val));
  const fewer = partsOf(dataset(all, splits), { cases: 8 });
  expect(fewer.map(({ test }) => test.length)).toEqual([2, 2, 2, 2]);
  for (const [k, { test }] of fewer.entries()) expect(parts[k].test).toEqual(expect.arrayContaining(test));
});

it("takes fewer training cases as part of more", () => {
  const [{ training }] = partsOf(dataset(ids(40)));
  const [five, ten] = [5, 10].map((count) => someCases(training, count, 0, 3));
  expect(five).toHaveLength(5);
  expect(ten).toEqual(expect.arrayContaining(five));
  expect(training).toEqual(expect.arrayContaining(ten));
  expect(someCases(training, 5, 0, 4)).not.toEqual(five);
  expect(() => someCases(training, 25, 0, 3)).toThrow(
    "Expected training-cases of at most 24, which fold 0 has, but got 25.",
  );
});

describe("refuses", () => {
  it("too few folds, and subjects on two sides", () => {
    const all = ids(4);
    const fold = (val: string[]) => ({ train: all.filter((id) => !val.includes(id)), val });
    expect(() => partsOf(dataset(all, [fold([all[0]]), fold([all[1]])]))).toThrow(
      "Expected 3 folds or more for a study",
    );
    const own = all.map((id) => fold([id]));
    expect(() => partsOf(dataset(all, own), { groups: /^(p\d+)/ })).toThrow(
      "Expected every subject in one fold of splits.json, but p00 is in the folds 0 and 1",
    );
    expect(() => partsOf(dataset(all, [...own, own[0]]))).toThrow("Expected every case in one fold of splits.json");
  });
});
