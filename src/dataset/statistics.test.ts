import fc from "fast-check";
import { expect, test } from "vitest";
import { meanAndSd, percentiles } from "./statistics.ts";

test("percentiles interpolate between order statistics as numpy does", () => {
  // numpy.percentile([4, 1, 3, 2], [0, 25, 50, 100]) = [1, 1.75, 2.5, 4]
  expect(percentiles([4, 1, 3, 2], [0, 25, 50, 100])).toEqual([1, 1.75, 2.5, 4]);
  expect(percentiles([7], [0.5, 99.5])).toEqual([7, 7]);
});

test("percentiles equal those of the sorted list", () => {
  fc.assert(
    fc.property(
      fc.array(fc.integer({ min: -50, max: 50 }), { minLength: 1 }),
      fc.integer({ min: 0, max: 100 }),
      (list, p) => {
        const sorted = [...list].sort((a, b) => a - b);
        const at = (p / 100) * (list.length - 1);
        const k = Math.floor(at);
        const expected = sorted[k] + (at - k) * ((sorted[k + 1] ?? sorted[k]) - sorted[k]);
        expect(percentiles(list, [p])[0]).toBeCloseTo(expected, 9);
      },
    ),
  );
});

test("mean and population sd", () => {
  expect(meanAndSd([2, 4, 4, 4, 5, 5, 7, 9])).toEqual({ mean: 5, sd: 2 });
});
