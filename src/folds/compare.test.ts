import { expect, test } from "vitest";
import { highest, pairedDifference } from "./compare.ts";

test("differences are paired, and cases of a subject count once", () => {
  const a = [0.9, 0.9, 0.5, 0.7];
  const b = [0.8, 0.8, 0.5, 0.7];
  expect(pairedDifference(a, b)).toMatchObject({ n: 4, mean: expect.closeTo(0.05, 12) });
  // Subjects p (0.1 twice), q and r (0): the mean is 0.1 / 3.
  const bySubject = pairedDifference(a, b, ["p", "p", "q", "r"]);
  expect(bySubject).toMatchObject({ n: 3, mean: expect.closeTo(0.1 / 3, 12), low: 0, high: expect.closeTo(0.1, 12) });
  expect(highest([a, b, [0.9, 0.9, 0.6, 0.7], [0.6, 0.9, 0.9, 0.7]])).toBe(2);
});
