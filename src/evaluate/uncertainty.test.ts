import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { createUncertaintyMeter, type Uncertainty, type UncertaintyOptions } from "./uncertainty.ts";

/** Measures planes, each a list of members' probabilities; the mean is made here. */
function measure(planes: number[][][], options: Partial<UncertaintyOptions> = {}): Uncertainty {
  const members = planes[0].length;
  const meter = createUncertaintyMeter({ kind: "classes", names: ["organ"], members, voxelMm3: 1000, ...options });
  for (const plane of planes) {
    for (const member of plane) meter.member(Float64Array.from(member));
    const mean = plane[0].map((_, i) => plane.reduce((sum, member) => sum + member[i], 0) / members);
    meter.mean(Float64Array.from(mean));
  }
  return meter.result();
}

describe("one model", () => {
  test("entropy, probability inside the mask, soft and hard volume, by hand over two planes", () => {
    // Background, then organ: three voxels with p = 0.5 (a tie: background), 0.8, 1 and one with 0.
    const { entropy, foregroundEntropy, largestEntropy, classes, disagreement } = measure([
      [[0.5, 0.2, 0.5, 0.8]],
      [[0, 1, 1, 0]],
    ]);
    const h = -(0.8 * Math.log(0.8) + 0.2 * Math.log(0.2));
    expect(entropy).toBeCloseTo((Math.log(2) + h) / 4, 12);
    expect(foregroundEntropy).toBeCloseTo(h / 2, 12);
    expect(largestEntropy).toBeCloseTo(Math.log(2), 12);
    expect(classes).toHaveLength(1);
    expect(classes[0]).toMatchObject({ name: "organ", ml: 2 });
    expect(classes[0].softMl).toBeCloseTo(2.3, 12);
    expect(classes[0].probability).toBeCloseTo(0.9, 12);
    expect(disagreement).toBeUndefined();
  });

  test("nothing predicted: no foreground entropy, no probability, still a soft volume", () => {
    const { foregroundEntropy, classes } = measure([[[0.75, 0.25]]], { voxelMm3: 4000 });
    expect(foregroundEntropy).toBeNull();
    expect(classes).toEqual([{ name: "organ", ml: 0, softMl: 1, probability: null }]);
  });

  test("regions are measured each for itself, and may overlap", () => {
    // Two voxels; whole: 0.9 and 0.6, core: 0.7 and 0.5 (not above 0.5).
    const { entropy, foregroundEntropy, largestEntropy, classes } = measure([[[0.9, 0.6, 0.7, 0.5]]], {
      kind: "regions",
      names: ["whole", "core"],
    });
    const h = (p: number): number => -(p * Math.log(p) + (1 - p) * Math.log(1 - p));
    expect(entropy).toBeCloseTo((h(0.9) + h(0.6) + h(0.7) + h(0.5)) / 4, 12);
    expect(foregroundEntropy).toBeCloseTo(entropy, 12);
    expect(largestEntropy).toBeCloseTo(Math.log(2), 12);
    expect(classes.map(({ ml }) => ml)).toEqual([2, 1]);
    expect(classes[0].softMl).toBeCloseTo(1.5, 12);
    expect(classes[1].probability).toBeCloseTo(0.7, 12);
  });
});

describe("an ensemble", () => {
  test("pair Dice and the share of variance between members, by hand", () => {
    // Organ masks 110, 100, 111 of three voxels: pairs 2/3, 4/5, 1/2.
    const a = [0.9, 0.8, 0.1];
    const b = [0.9, 0.2, 0.1];
    const c = [0.9, 0.8, 0.7];
    const of = (p: number[]): number[] => [...p.map((x) => 1 - x), ...p];
    const { disagreement } = measure([[of(a), of(b), of(c)]]);
    expect(disagreement?.members).toBe(3);
    expect(disagreement?.pairDice[0]).toBeCloseTo((2 / 3 + 4 / 5 + 1 / 2) / 3, 12);
    expect(disagreement?.meanPairDice).toBeCloseTo((2 / 3 + 4 / 5 + 1 / 2) / 3, 12);
    // Voxel 1: mean 0.6, variance (0.04 + 0.16 + 0.04) / 3 = 0.08 of 0.24; voxel 2: mean 0.3, 0.08 of 0.21; voxel 0: 0 of 0.09.
    expect(disagreement?.varianceShare).toBeCloseTo(0.16 / 0.54, 12);
  });

  test("equal members agree; opposite and sure ones share nothing and vary only between each other", () => {
    const one = [0.3, 0.6, 0.7, 0.4];
    expect(measure([[one, one]]).disagreement).toEqual({
      members: 2,
      pairDice: [1],
      meanPairDice: 1,
      varianceShare: expect.closeTo(0, 12),
    });
    const { disagreement } = measure([
      [
        [1, 0, 0, 1],
        [0, 1, 1, 0],
      ],
    ]);
    expect(disagreement).toEqual({ members: 2, pairDice: [0], meanPairDice: 0, varianceShare: 1 });
  });

  test("a class that no member predicts counts as agreement", () => {
    const plane = [
      [0.9, 0.1, 0],
      [0.8, 0.2, 0],
    ];
    expect(measure([plane], { names: ["a", "b"] }).disagreement?.pairDice).toEqual([1, 1]);
  });
});

test("planes add up to the volume, entropy lies in 0..log K, soft volumes of classes and background fill it", () => {
  const voxel = fc
    .array(fc.double({ min: 0.001, max: 1, noNaN: true }), { minLength: 3, maxLength: 3 })
    .map((raw) => raw.map((x) => x / raw.reduce((sum, y) => sum + y, 0)));
  fc.assert(
    fc.property(fc.array(fc.tuple(voxel, voxel), { minLength: 1, maxLength: 12 }), (cells) => {
      const planeOf = (some: typeof cells): number[][] =>
        [0, 1].map((m) => [0, 1, 2].flatMap((k) => some.map((members) => members[m][k])));
      const options = { names: ["a", "b"] };
      const whole = measure([planeOf(cells)], options);
      const apart = measure(
        cells.map((cell) => planeOf([cell])),
        options,
      );
      const flatten = (u: Uncertainty): number[] => [
        u.entropy,
        u.foregroundEntropy ?? -1,
        ...u.classes.flatMap(({ ml, softMl, probability }) => [ml, softMl, probability ?? -1]),
        ...(u.disagreement?.pairDice ?? []),
        u.disagreement!.varianceShare,
      ];
      for (const [i, value] of flatten(whole).entries()) expect(flatten(apart)[i]).toBeCloseTo(value, 9);
      expect(whole.entropy).toBeGreaterThanOrEqual(0);
      expect(whole.entropy).toBeLessThanOrEqual(Math.log(3) + 1e-12);
      const background = cells.reduce((sum, [a, b]) => sum + (a[0] + b[0]) / 2, 0);
      expect(whole.classes.reduce((sum, { softMl }) => sum + softMl, background)).toBeCloseTo(cells.length, 9);
      expect(whole.disagreement!.varianceShare).toBeLessThanOrEqual(1 + 1e-12);
    }),
  );
});
