import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { random } from "../util/random.ts";
import { changeContrast, changeGamma, scaleBrightness } from "./intensity.ts";
import { meanAndSd } from "./statistics.ts";

const values = (seed: number, n = 120): Float32Array => {
  const r = random(seed);
  return Float32Array.from({ length: n }, () => r.normal());
};
const extremes = (x: ArrayLike<number>): [number, number] => [Math.min(...Array.from(x)), Math.max(...Array.from(x))];

test("brightness is one factor", () => {
  const x = Float32Array.of(1, -2, 4);
  scaleBrightness(x, 0.75);
  expect([...x]).toEqual([0.75, -1.5, 3]);
});

test("contrast stretches about the mean and keeps the range", () => {
  // Mean 3: 0 -> -1.5, clipped to 0; 2 -> 1.5; 4 -> 4.5; 6 -> 7.5, clipped to 6.
  const x = Float32Array.of(0, 2, 4, 6);
  changeContrast(x, 1.5);
  expect([...x]).toEqual([0, 1.5, 4.5, 6]);
  changeContrast(x, 0.5);
  expect([...x]).toEqual([1.5, 2.25, 3.75, 4.5]);
});

describe("gamma", () => {
  /** nnU-Net's definition with the power itself. */
  const plain = (x: Float32Array, gamma: number, invert: boolean): number[] => {
    const sign = invert ? -1 : 1;
    const y = Array.from(x, (v) => sign * v);
    const [low, high] = extremes(y);
    const before = meanAndSd(y);
    const raised = y.map((v) => ((v - low) / (high - low)) ** gamma);
    const after = meanAndSd(raised);
    return raised.map((v) => sign * (before.mean + ((v - after.mean) * before.sd) / after.sd));
  };

  test("agrees with the power, and keeps mean, sd and order", () => {
    fc.assert(
      fc.property(fc.nat(), fc.constantFrom(0.7, 0.93, 1.2, 1.5), fc.boolean(), (seed, gamma, invert) => {
        const before = values(seed);
        const x = before.slice();
        changeGamma(x, gamma, invert);
        const span = extremes(before)[1] - extremes(before)[0];
        // The table is within 7e-4 of the range; restoring the sd may add to it.
        plain(before, gamma, invert).forEach((v, i) => {
          expect(Math.abs(x[i] - v)).toBeLessThan(1e-3 * span);
        });
        expect(meanAndSd(x).mean).toBeCloseTo(meanAndSd(before).mean, 5);
        expect(meanAndSd(x).sd).toBeCloseTo(meanAndSd(before).sd, 5);
        const order = [...before.keys()].sort((a, b) => before[a] - before[b]);
        for (let i = 1; i < order.length; i++) expect(x[order[i]]).toBeGreaterThanOrEqual(x[order[i - 1]] - 1e-6);
      }),
    );
  });

  test("a constant image stays, and one far from 0 keeps its digits", () => {
    const flat = new Float32Array(5).fill(2);
    changeGamma(flat, 1.5);
    expect([...flat]).toEqual([2, 2, 2, 2, 2]);
    const far = Float32Array.of(10000, 10001, 10002, 10003);
    changeGamma(far, 1.5);
    // float32 holds 10000 to 0.001.
    plain(Float32Array.of(0, 1, 2, 3), 1.5, false).forEach((v, i) => {
      expect(far[i] - 10000).toBeCloseTo(v, 2);
    });
  });
});
