import { expect, test } from "vitest";
import { autoWeights, checkClassWeights, checkWeightCount, parseClassWeights } from "./class-weights.ts";

const labels = [0, 1, 2].map((value) => ({ value, name: `label ${value}` }));
const regions = [
  { name: "whole", values: [1, 2], paint: 1 },
  { name: "core", values: [2], paint: 2 },
];

test("weights by hand: the root of how much rarer a class is, with a mean voxel of 1", () => {
  // Shares 0.9, 0.09, 0.01; roots 1, sqrt(10), sqrt(90); mean voxel 0.9 + 0.09 sqrt(10) + 0.01 sqrt(90) = 1.27947.
  const { auto, values } = autoWeights([900, 90, 10], { labels });
  expect(auto).toBe(true);
  expect(values).toEqual([0.7816, 2.472, 7.415]);
  expect(0.9 * values[0] + 0.09 * values[1] + 0.01 * values[2]).toBeCloseTo(1, 3);
});

test("a class with hardly a voxel, or none, weighs ten times the most frequent one", () => {
  for (const rare of [1, 0]) {
    const [most, , least] = autoWeights([1e6, 1e6, rare], { labels }).values;
    expect(least / most).toBeCloseTo(10, 2);
  }
});

test("regions: shares of their unions, with a mean of 1", () => {
  // Shares 0.1 and 0.025: roots 1 and 2, mean 1.5.
  expect(autoWeights([900, 75, 25], { labels, regions }).values).toEqual([0.6667, 1.333]);
  expect(autoWeights([9, 0, 0], { labels, regions }).values).toEqual([1, 1]);
});

test("words and checks", () => {
  expect(parseClassWeights("auto")).toEqual({ auto: true, values: [] });
  expect(parseClassWeights("1, 2.5,0")).toEqual({ auto: false, values: [1, 2.5, 0] });
  for (const text of ["", "1,,2", "1,-1", "a", "0,0"]) expect(() => parseClassWeights(text)).toThrow("as in 1,2,5");
  const two = { auto: false, values: [1, 2] };
  expect(() => checkWeightCount(two, { labels })).toThrow(
    "3 numbers in --class-weights (label 0, label 1, label 2), but got 2",
  );
  expect(() => checkWeightCount(two, { labels, regions })).not.toThrow();
  expect(() => checkClassWeights({ dice: 1, eps: 1, includeBackground: true })).toThrow("add ce to --loss");
  expect(() => checkClassWeights({ focal: { weight: 1, gamma: 2 }, eps: 1, includeBackground: true })).not.toThrow();
});
