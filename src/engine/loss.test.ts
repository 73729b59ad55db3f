import { describe, expect, test } from "vitest";
import { accumulateVoxel, createSums, type LossSums, logitGradient, lossFromSums } from "./loss.ts";
import type { LossSpec } from "./types.ts";

const ln = Math.log;
const plain: LossSpec = { eps: 0, includeBackground: true };

/** Sums over voxels given as [logits, truth]. */
function sumsOf(kind: "softmax" | "sigmoid", voxels: [number[], number][], gamma = 0, smoothing = 0): LossSums {
  const sums = createSums(voxels[0][0].length);
  const p = new Float64Array(voxels[0][0].length);
  for (const [logits, truth] of voxels)
    accumulateVoxel(kind, logits, truth, { gamma, smoothing, temperature: 1 }, p, sums);
  return sums;
}

describe("softmax by hand", () => {
  // Probabilities (1/4, 3/4), truth 1; (1/2, 1/2), truth 0.
  const sums = sumsOf(
    "softmax",
    [
      [[0, ln(3)], 1],
      [[5, 5], 0],
    ],
    2,
  );
  const loss = (spec: Partial<LossSpec>): number => lossFromSums({ ...plain, ...spec }, "softmax", sums).loss;
  test("sums", () => {
    expect([...sums.g, sums.voxels]).toEqual([1, 1, 2]);
    for (const [found, value] of [
      [sums.p[0], 0.75],
      [sums.p[1], 1.25],
      [sums.pg[0], 0.5],
      [sums.pg[1], 0.75],
      [sums.crossEntropy[0], ln(2)],
      [sums.crossEntropy[1], ln(4 / 3)],
      [sums.focal[0], ln(2) / 4],
      [sums.focal[1], ln(4 / 3) / 16],
    ]) {
      expect(found).toBeCloseTo(value, 14);
    }
  });
  test("each term", () => {
    const dice = [1 / 1.75, 1.5 / 2.25];
    expect(lossFromSums(plain, "softmax", sums).dice).toEqual(dice.map((d) => expect.closeTo(d, 14)));
    expect(loss({ dice: 1 })).toBeCloseTo(1 - (dice[0] + dice[1]) / 2, 14);
    expect(loss({ dice: 1, includeBackground: false })).toBeCloseTo(1 - dice[1], 14);
    expect(loss({ dice: 2, eps: 1, includeBackground: false })).toBeCloseTo(2 * (1 - 2.5 / 3.25), 14);
    expect(loss({ crossEntropy: 1 })).toBeCloseTo((ln(2) + ln(4 / 3)) / 2, 14);
    expect(loss({ crossEntropy: 1, classWeights: [3, 1] })).toBeCloseTo((3 * ln(2) + ln(4 / 3)) / 2, 14);
    expect(loss({ focal: { weight: 2, gamma: 2 } })).toBeCloseTo(ln(2) / 4 + ln(4 / 3) / 16, 14);
    // Class 1: 0.75 / (0.75 + 0.2 * 0.5 + 0.8 * 0.25).
    expect(loss({ tversky: { weight: 1, alpha: 0.2, beta: 0.8 }, includeBackground: false })).toBeCloseTo(
      1 - 0.75 / 1.05,
      14,
    );
    // Tversky with both 1/2 is Dice.
    expect(loss({ tversky: { weight: 1, alpha: 0.5, beta: 0.5 } })).toBeCloseTo(loss({ dice: 1 }), 14);
  });
});

test("sigmoid by hand: regions overlap, background flag ignored", () => {
  // Region probabilities (3/4, 1/2) and (1/4, 1/2); masks 0b11 and 0b10.
  const sums = sumsOf(
    "sigmoid",
    [
      [[ln(3), 0], 3],
      [[-ln(3), 0], 2],
    ],
    1,
  );
  const loss = (spec: Partial<LossSpec>): number =>
    lossFromSums({ ...plain, includeBackground: false, ...spec }, "sigmoid", sums).loss;
  expect([...sums.g]).toEqual([1, 2]);
  expect(loss({ dice: 1 })).toBeCloseTo(1 - (1.5 / 2 + 2 / 3) / 2, 14);
  expect(loss({ crossEntropy: 1 })).toBeCloseTo((2 * ln(4 / 3) + 2 * ln(2)) / 4, 14);
  expect(loss({ focal: { weight: 1, gamma: 1 } })).toBeCloseTo((2 * ln(4 / 3) * 0.25 + 2 * ln(2) * 0.5) / 4, 14);
});

test("label smoothing by hand", () => {
  // Softmax (1/4, 3/4), truth 1, s = 0.4: targets (0.2, 0.8). Sigmoid 3/4 and 1/4, mask 0b01: targets 0.8 and 0.2.
  const soft = -(0.2 * ln(1 / 4) + 0.8 * ln(3 / 4));
  const sums = sumsOf("softmax", [[[0, ln(3)], 1]], 2, 0.4);
  expect(sums.crossEntropy[1]).toBeCloseTo(soft, 14);
  expect(sums.focal[1], "focal keeps the hard truth").toBeCloseTo(ln(4 / 3) / 16, 14);
  const regions = sumsOf("sigmoid", [[[ln(3), -ln(3)], 1]], 0, 0.4);
  expect([...regions.crossEntropy]).toEqual([expect.closeTo(soft, 14), expect.closeTo(soft, 14)]);
  // The gradient is 0 where the probabilities are the smoothed targets, weighted or not.
  const spec: LossSpec = {
    crossEntropy: 1,
    labelSmoothing: 0.4,
    eps: 0,
    includeBackground: true,
    classWeights: [1, 3],
  };
  for (const kind of ["softmax", "sigmoid"] as const) {
    const { coefficients } = lossFromSums(spec, kind, kind === "softmax" ? sums : regions);
    const gradient = new Float64Array(2);
    const targets = [0.2, 0.8];
    logitGradient(kind, coefficients, targets, kind === "softmax" ? 1 : 2, gradient);
    expect([...gradient]).toEqual([expect.closeTo(0, 14), expect.closeTo(0, 14)]);
  }
});

test("distillation by hand", () => {
  // Softmax of (0, ln 9) / 2 is (1/4, 3/4), of a teacher (1/2, 1/2); sigmoid of ln 9 / 2 is 3/4.
  const voxel = { truth: 1, soft: [0.5, 0.5], logits: [0, ln(9)] };
  const spec: LossSpec = { ...plain, distil: { weight: 3, temperature: 2 } };
  const run = (kind: "softmax" | "sigmoid", soft = voxel.soft) => {
    const sums = createSums(2);
    const p = new Float64Array(2);
    accumulateVoxel(kind, voxel.logits, voxel.truth, { gamma: 0, smoothing: 0, temperature: 2 }, p, sums, soft);
    const { loss, coefficients } = lossFromSums(spec, kind, sums);
    const gradient = new Float64Array(2);
    logitGradient(kind, coefficients, p, voxel.truth, gradient, soft);
    return { loss, gradient: [...gradient] };
  };
  const near = (values: number[]): unknown[] => values.map((value) => expect.closeTo(value, 13));
  // 3 T^2 times the cross-entropy; 3 T times (p - q).
  const softmax = run("softmax");
  expect(softmax.loss).toBeCloseTo(12 * (-ln(1 / 4) / 2 - ln(3 / 4) / 2), 13);
  expect(softmax.gradient).toEqual(near([-1.5, 1.5]));
  const sigmoid = run("sigmoid");
  expect(sigmoid.loss).toBeCloseTo((12 * (ln(2) - ln(1 / 4) / 2 - ln(3 / 4) / 2)) / 2, 13);
  expect(sigmoid.gradient).toEqual(near([0, 0.75]));
  // Nothing pulls where the student says what the teacher says: the loss is then the teacher's entropy.
  expect(run("softmax", [0.25, 0.75]).gradient).toEqual(near([0, 0]));
});

test.each(["softmax", "sigmoid"] as const)("%s: extreme logits stay finite", (kind) => {
  const spec: LossSpec = {
    dice: 1,
    crossEntropy: 1,
    focal: { weight: 1, gamma: 0.5 },
    eps: 1e-5,
    includeBackground: true,
  };
  const voxels: [number[], number][] = [
    [[1000, -1000], 0],
    [[1000, -1000], 1],
    [[-1000, 1000], 2 - Number(kind === "softmax")],
  ];
  const sums = sumsOf(kind, voxels, 0.5);
  const { loss, coefficients } = lossFromSums(spec, kind, sums);
  expect(Number.isFinite(loss)).toBe(true);
  for (const [logits, truth] of voxels) {
    const p = new Float64Array(2);
    accumulateVoxel(kind, logits, truth, { gamma: 0.5, smoothing: 0, temperature: 1 }, p, createSums(2));
    const gradient = new Float64Array(2);
    logitGradient(kind, coefficients, p, truth, gradient);
    expect(gradient.every(Number.isFinite)).toBe(true);
  }
  // A wrong voxel at logit distance 2000 costs that much in cross-entropy.
  if (kind === "softmax") expect(sums.crossEntropy[1]).toBeCloseTo(2000, 9);
});

test("a class or region the net does not have is an error in words", () => {
  expect(() => sumsOf("softmax", [[[0, 0], 2]])).toThrow("Expected target classes 0 to 1, but a voxel has class 2.");
  expect(() => sumsOf("sigmoid", [[[0, 0], 4]])).toThrow("Expected target masks of 2 regions, but a voxel has mask 4.");
});
