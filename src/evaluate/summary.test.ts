import { expect, test } from "vitest";
import type { Vec3, Volume } from "../volume/volume.ts";
import { evaluateCase, labelValues } from "./case.ts";
import { formatSummary, summarise } from "./summary.ts";

const labels = [
  { value: 0, name: "background" },
  { value: 1, name: "anterior" },
  { value: 4, name: "posterior" },
];

function volume(data: number[], shape: Vec3, spacing = 1, origin = 0): Volume {
  const affine = Float64Array.of(spacing, 0, 0, origin, 0, spacing, 0, 0, 0, 0, spacing, 0, 0, 0, 0, 1);
  return { data: Float32Array.from(data), shape, affine };
}

test("a case with one perfect and one missed class", () => {
  const truth = volume([1, 1, 0, 4], [1, 1, 4], 10);
  const result = evaluateCase("c", volume([1, 1, 0, 0], [1, 1, 4], 10), truth, labels);
  expect(result.classes[0]).toMatchObject({ value: 1, name: "anterior", dice: 1, hd95: 0, nsd: 1, truthMl: 2 });
  expect(result.classes[1]).toMatchObject({ value: 4, dice: 0, recall: 0, precision: null, hd95: null, nsd: 0 });
});

test("pairs that do not fit are refused with the reason", () => {
  const truth = volume([0, 1], [1, 1, 2]);
  const check = (prediction: Volume) => () =>
    evaluateCase("c", prediction, truth, labels, {}, { prediction: "p.nii.gz", truth: "t.nii.gz" });
  expect(check(volume([0, 1, 1], [1, 1, 3]))).toThrow(
    "p.nii.gz and t.nii.gz must have the same shape, but have 1 x 1 x 3 and 1 x 1 x 2",
  );
  expect(check(volume([0, 1], [1, 1, 2], 1, 3))).toThrow("a corner 3.00 mm apart");
  expect(check(volume([0, 1], [1, 1, 2], Number.NaN))).toThrow("same place");
  expect(check(volume([0, 2], [1, 1, 2]))).toThrow("p.nii.gz holds the value 2, which is not among its labels 0, 1, 4");
  // Rounding of float32 affines is no difference.
  expect(check(volume([0, 1], [1, 1, 2], 1 + 1e-6))).not.toThrow();
  // What verify lets pass (5 % of a voxel) can be evaluated too.
  expect(check(volume([0, 1], [1, 1, 2], 1, 0.04))).not.toThrow();
  expect(check(volume([0, 1], [1, 1, 2], 1, 0.06))).toThrow("a corner 0.0600 mm apart");
});

test("label values are whole numbers", () => {
  expect(labelValues(volume([3, 0, 3, 1], [1, 1, 4]), "m")).toEqual([0, 1, 3]);
  expect(() => labelValues(volume([0.5], [1, 1, 1]), "m.nii")).toThrow("m.nii holds 0.5");
});

test("means skip undefined metrics and say over how many cases they are", () => {
  const truth = volume([1, 1, 0, 4], [1, 1, 4]);
  const cases = [
    evaluateCase("perfect", truth, truth, labels),
    evaluateCase("missed", volume([1, 0, 0, 0], [1, 1, 4]), truth, labels),
  ];
  const summary = summarise(cases);
  expect(summary.classes[0].dice).toMatchObject({ n: 2, mean: (1 + 2 / 3) / 2 });
  expect(summary.classes[1].hd95).toMatchObject({ n: 1, mean: 0 });
  expect(summary.classes[1].dice).toMatchObject({ n: 2, mean: 0.5 });
  // Case means are 1 and (2/3 + 0) / 2.
  expect(summary.mean.dice?.mean).toBeCloseTo((1 + 1 / 3) / 2, 12);
  expect(JSON.parse(JSON.stringify(summary))).toEqual(summary);
});

test("the text table is aligned and complete", () => {
  const truth = volume([1, 1, 0, 4], [1, 1, 4]);
  const summary = summarise([evaluateCase("case_1", volume([1, 1, 0, 0], [1, 1, 4]), truth, labels)]);
  const lines = formatSummary(summary, { cases: true }).split("\n");
  expect(lines).toHaveLength(6);
  expect(lines[1]).toMatch(/^case_1 +0\.5000 /);
  expect(lines[3]).toMatch(/^1 anterior +1\.0000 .* 1\.0000 - 1\.0000 +1$/);
  expect(lines[4]).toMatch(/^4 posterior +0\.0000 +0\.0000 +- +0\.0000 +- +- +0\.0000/);
  expect(new Set([lines[0], lines[3], lines[4], lines[5]].map((line) => line.length)).size).toBe(1);
});
