import { expect, test } from "vitest";
import type { Volume } from "../volume/volume.ts";
import { evaluateCase } from "./case.ts";
import { formatSummary, summarise } from "./summary.ts";

const row = (...values: number[]): Volume => ({
  data: Uint8Array.from(values),
  shape: [1, 1, values.length],
  affine: Float64Array.of(1, 0, 0, 0, 0, 1, 0, 0, 0, 0, 1, 0, 0, 0, 0, 1),
});
const labels = [0, 1, 5].map((value) => ({ value, name: `label ${value}` }));
const regions = [
  { name: "whole", values: [1, 5], paint: 1 },
  { name: "core", values: [5], paint: 5 },
];

test("regions by hand: the whole is one piece whatever lies inside", () => {
  // Whole: voxels 1-4 against 1-5, 4 shared. Core: 2 against 3-4, none shared.
  const prediction = row(0, 1, 5, 1, 1, 0, 0);
  const truth = row(0, 1, 1, 5, 5, 1, 0);
  const result = evaluateCase("a", prediction, truth, labels, { regions, tolerance: 0 });
  const [whole, core] = result.classes;
  expect(whole).toMatchObject({ name: "whole", value: 1, values: [1, 5], predictedMl: 0.004, truthMl: 0.005 });
  expect(whole.dice).toBeCloseTo(8 / 9, 15);
  // Faces at 0.5 and 4.5 against 0.5 and 5.5 mm.
  expect([whole.hd95, whole.assd, whole.nsd]).toEqual([1, 0.5, 0.5]);
  expect(core).toMatchObject({ name: "core", dice: 0, recall: 0 });
  // Faces at 1.5 and 2.5 against 2.5 and 4.5 mm: distances 1, 0 and 0, 2.
  expect([core.hd95, core.assd, core.nsd]).toEqual([2, 0.75, 0.5]);
  const text = formatSummary(summarise([result]));
  expect(text).toMatch(/^1\+5 whole +0\.8889/m);
  expect(text).toMatch(/^5 core +0\.0000/m);
  const [label] = evaluateCase("a", prediction, truth, labels).classes;
  expect(label).toMatchObject({ value: 1, dice: 2 / 6 });
  expect(label).not.toHaveProperty("values");
});

test("a value that is in no region is an error in words", () => {
  expect(() => evaluateCase("a", row(0, 7), row(0, 1), labels, { regions })).toThrow("holds the value 7");
});
