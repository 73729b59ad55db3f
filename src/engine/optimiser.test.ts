import fc from "fast-check";
import { expect, test } from "vitest";
import { applyAverage, applyRunning, applyUpdate, clipFactor, sumOfSquares, usesSecondMoment } from "./optimiser.ts";
import type { OptimiserSpec } from "./types.ts";

const start = [1, -0.5, 0.25];
const gradients = [
  [0.1, -2, 0],
  [0.3, 1, -0.004],
  [-0.2, 0.5, 1.5],
];

/** Three steps on the gradients above, learning rate 0.1. */
function threeSteps(spec: OptimiserSpec, decay = true): Float32Array {
  const param = Float32Array.from(start);
  const [m, v] = [new Float32Array(3), new Float32Array(3)];
  gradients.forEach((g, i) => {
    const hyper = { learningRate: 0.1, step: i + 1, gradientScale: 1, decay };
    applyUpdate(spec, param, Float32Array.from(g), m, usesSecondMoment(spec) ? v : null, 0, 3, hyper);
  });
  return param;
}

// Truth: torch.optim of PyTorch 2.13, float32, same numbers.
const oracle: [OptimiserSpec, number[]][] = [
  [
    { kind: "sgd", momentum: 0.9, nesterov: false, weightDecay: 0.01 },
    [0.9303627610206604, -0.19585716724395752, 0.09935831278562546],
  ],
  [
    { kind: "sgd", momentum: 0.9, nesterov: true, weightDecay: 0.01 },
    [0.9144861102104187, -0.17587965726852417, -0.035926226526498795],
  ],
  [
    { kind: "adam", beta1: 0.9, beta2: 0.999, eps: 1e-8, weightDecay: 0.01 },
    [0.7779545187950134, -0.36666426062583923, 0.09139184653759003],
  ],
  [
    { kind: "adamw", beta1: 0.8, beta2: 0.99, eps: 1e-8, weightDecay: 0.1 },
    [0.7592991590499878, -0.3668588101863861, 0.24968141317367554],
  ],
];

test.each(oracle)("%j agrees with PyTorch to 1e-6", (spec, truth) => {
  const found = threeSteps(spec);
  for (const [i, value] of truth.entries()) expect(Math.abs(found[i] - value)).toBeLessThan(1e-6);
});

test.each(oracle)("%j without decay is as with weight decay 0", (spec) => {
  expect(threeSteps(spec, false)).toEqual(threeSteps({ ...spec, weightDecay: 0 }));
});

test("any split of the range gives the same bits", () => {
  const value = fc.float({ noNaN: true, noDefaultInfinity: true, min: -100, max: 100 });
  const tensors = fc.array(fc.tuple(value, value, value, fc.float({ noNaN: true, min: 0, max: 100 })), {
    minLength: 1,
  });
  fc.assert(
    fc.property(fc.constantFrom(...oracle.map(([spec]) => spec)), tensors, fc.nat(), (spec, rows, cut) => {
      const run = (edges: number[]): Float32Array[] => {
        const [param, grad, m, v] = [0, 1, 2, 3].map((k) => Float32Array.from(rows, (row) => row[k]));
        const hyper = { learningRate: 0.03, step: 4, gradientScale: 0.7, decay: true };
        for (let i = 1; i < edges.length; i++) applyUpdate(spec, param, grad, m, v, edges[i - 1], edges[i], hyper);
        return [param, m, v];
      };
      expect(run([0, cut % rows.length, rows.length])).toEqual(run([0, rows.length]));
    }),
  );
});

test("the gradient scale acts before moments and decay", () => {
  const spec: OptimiserSpec = { kind: "sgd", momentum: 0, nesterov: false, weightDecay: 0.5 };
  const param = Float32Array.of(2);
  const m = new Float32Array(1);
  applyUpdate(spec, param, Float32Array.of(8), m, null, 0, 1, {
    learningRate: 0.25,
    step: 1,
    gradientScale: 0.5,
    decay: true,
  });
  // 8 / 2 + 0.5 * 2 = 5.
  expect([param[0], m[0]]).toEqual([0.75, 5]);
});

test("norm, clip factor, average and running statistics by hand", () => {
  expect(sumOfSquares(Float32Array.of(3, 4, 100), 0, 2)).toBe(25);
  expect(clipFactor(5, 0.5)).toBeCloseTo(0.1, 6);
  expect(clipFactor(5, 10)).toBe(1);
  expect(clipFactor(5, 0)).toBe(1);
  const average = Float32Array.of(1, 1);
  applyAverage(average, Float32Array.of(3, 5), 1, 2, 0.75);
  expect([...average]).toEqual([1, 2]);
  const running = Float32Array.of(8, 0);
  applyRunning(running, [4, 16], 0.25);
  expect([...running]).toEqual([7, 4]);
});
