import { expect, test } from "vitest";
import { random } from "../util/random.ts";
import { addNoise } from "./augment-noise.ts";

test("noise is normal: moments and the share below each bound (5 standard errors)", () => {
  const n = 400_000;
  const x = new Float32Array(n);
  addNoise(x, 1, random(9));
  const moment = (k: number): number => x.reduce((sum, v) => sum + v ** k, 0) / n;
  // Variances of x^k over n: 1, 2, 15, 96.
  for (const [k, mean, variance] of [
    [1, 0, 1],
    [2, 1, 2],
    [3, 0, 15],
    [4, 3, 96],
  ]) {
    expect(Math.abs(moment(k) - mean), `moment ${k}`).toBeLessThan(5 * Math.sqrt(variance / n));
  }
  // Normal distribution function; beyond 3.4426 numbers come from the tail's own rule.
  for (const [bound, share] of [
    [-3.6, 0.000159109],
    [-2, 0.0227501],
    [-0.3, 0.3820886],
    [0, 0.5],
    [0.3, 0.6179114],
    [1, 0.8413447],
    [3, 0.9986501],
    [3.6, 0.999840891],
  ]) {
    const below = x.reduce((count, v) => count + (v < bound ? 1 : 0), 0) / n;
    expect(Math.abs(below - share), `below ${bound}`).toBeLessThan(5 * Math.sqrt((share * (1 - share)) / n));
  }
});

test("noise is added in proportion to sigma, from four words of the stream whatever the size", () => {
  const one = new Float32Array(10).fill(5);
  const half = new Float32Array(3).fill(5);
  const [a, b] = [random(4), random(4)];
  addNoise(one, 1, a);
  addNoise(half, 0.5, b);
  expect(a.state()).toEqual(b.state());
  for (let i = 0; i < 3; i++) expect(half[i] - 5).toBeCloseTo((one[i] - 5) / 2, 5);
  addNoise(half, 0, a);
  expect(a.state()).not.toEqual(b.state());
});
