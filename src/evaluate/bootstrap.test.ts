import { expect, test } from "vitest";
import { random } from "../util/random.ts";
import { bootstrapMean, quantile } from "./bootstrap.ts";

test("quantiles interpolate between order statistics", () => {
  expect(quantile([1, 2, 3, 4], 0)).toBe(1);
  expect(quantile([1, 2, 3, 4], 1)).toBe(4);
  expect(quantile([1, 2, 3, 4], 0.5)).toBe(2.5);
  expect(quantile([7], 0.3)).toBe(7);
});

test("none, one and equal values", () => {
  expect(bootstrapMean([])).toBeNull();
  expect(bootstrapMean([0.5])).toEqual({ n: 1, mean: 0.5, low: 0.5, high: 0.5 });
  expect(bootstrapMean([2, 2, 2])).toEqual({ n: 3, mean: 2, low: 2, high: 2 });
});

test("same seed, same interval; another seed, another one", () => {
  const values = Array.from({ length: 30 }, (_, i) => Math.sin(i));
  expect(bootstrapMean(values, { seed: 3 })).toEqual(bootstrapMean(values, { seed: 3 }));
  expect(bootstrapMean(values, { seed: 3 })?.low).not.toBe(bootstrapMean(values, { seed: 4 })?.low);
});

test("for many normal values the interval is mean -+ 1.96 sd / sqrt(n)", () => {
  const generator = random(1);
  const values = Array.from({ length: 400 }, () => generator.normal());
  const mean = values.reduce((s, v) => s + v, 0) / 400;
  const error = Math.sqrt(values.reduce((s, v) => s + (v - mean) ** 2, 0) / 400) / 20;
  const interval = bootstrapMean(values, { resamples: 5000 })!;
  // Monte Carlo error of a 2.5 % quantile with 5000 resamples is about 0.04 standard errors; 0.15 is four of them.
  expect(Math.abs(interval.low - (mean - 1.96 * error)) / error).toBeLessThan(0.15);
  expect(Math.abs(interval.high - (mean + 1.96 * error)) / error).toBeLessThan(0.15);
});
