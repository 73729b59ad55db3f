import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { random } from "../util/random.ts";
import type { Vec3 } from "../volume/volume.ts";
import { cutPatch } from "./sample.ts";
import { preparedOf } from "./testing.ts";
import { warpPatch } from "./warp.ts";
import { drawSpatial, type Matrix3, spatialMatrix, spatialRanges, zoomAcross } from "./warp-matrix.ts";

const identity = [1, 0, 0, 0, 1, 0, 0, 0, 1];
const cube: Vec3 = [5, 6, 7];
const source = random(3);
const noise = Float32Array.from({ length: 2 * 210 }, () => source.normal());
const classes = Uint8Array.from({ length: 210 }, () => source.int(3));
const prepared = preparedOf(cube, noise, classes);

/** The definition, a neighbour at a time. */
function plainWarp(shape: Vec3, start: Vec3, m: Matrix3): { image: number[][]; scores: number[][] } {
  const [image, scores]: number[][][] = [[], []];
  const offset = (i: number): number[] =>
    [Math.floor(i / (shape[1] * shape[2])), Math.floor(i / shape[2]) % shape[1], i % shape[2]].map(
      (at, axis) => at - (shape[axis] - 1) / 2,
    );
  for (let i = 0; i < shape[0] * shape[1] * shape[2]; i++) {
    const o = offset(i);
    const at = [0, 1, 2].map(
      (r) => start[r] + (shape[r] - 1) / 2 + m[3 * r] * o[0] + m[3 * r + 1] * o[1] + m[3 * r + 2] * o[2],
    );
    const values = [0, 0];
    const votes = [1, 0, 0];
    for (let k = 0; k < 8; k++) {
      const p = at.map((v, axis) => Math.floor(v) + ((k >> axis) & 1));
      if (p.some((v, axis) => v < 0 || v >= cube[axis])) continue;
      const weight = p.reduce((product, v, axis) => product * (1 - Math.abs(v - at[axis])), 1);
      const voxel = (p[0] * cube[1] + p[1]) * cube[2] + p[2];
      for (const c of [0, 1]) values[c] += weight * noise[c * 210 + voxel];
      votes[0] -= weight;
      votes[classes[voxel]] += weight;
    }
    image.push(values);
    scores.push(votes);
  }
  return { image, scores };
}

describe("warpPatch", () => {
  test("agrees with the plain definition, for any matrix and place, in two channels (float32 apart; labels away from ties)", () => {
    const angle = fc.constantFrom(0, 13, -77, 90, 180, 201);
    const zoom = fc.constantFrom(0.7, 1, 1.4);
    const part = fc.integer({ min: -6, max: 6 });
    const side = fc.integer({ min: 1, max: 7 });
    const triple = <T>(one: fc.Arbitrary<T>) => fc.tuple(one, one, one);
    fc.assert(
      fc.property(triple(angle), triple(zoom), triple(part), triple(side), (degrees, zooms, start, shape) => {
        const m = spatialMatrix([2, 1, 1], degrees, zooms);
        const { image, label } = warpPatch(prepared, shape, start, m);
        const plain = plainWarp(shape, start, m);
        plain.image.forEach((values, i) => {
          for (const c of [0, 1]) expect(image[c * label.length + i]).toBeCloseTo(values[c], 5);
        });
        plain.scores.forEach((votes, i) => {
          const best = votes.indexOf(Math.max(...votes));
          if (votes.filter((v) => v > votes[best] - 1e-9).length === 1) expect(label[i]).toBe(best);
        });
      }),
    );
  });

  test("the identity equals cutPatch exactly, over the edge too, with slices of one voxel too", () => {
    const part = fc.integer({ min: -4, max: 7 });
    const side = fc.integer({ min: 1, max: 9 });
    fc.assert(
      fc.property(fc.tuple(part, part, part), fc.tuple(side, side, side), (start, shape) => {
        const warped = warpPatch(prepared, shape as Vec3, start as Vec3, identity);
        const cut = cutPatch(prepared, shape as Vec3, start as Vec3);
        expect([...warped.image]).toEqual([...cut.image].map((v) => v + 0));
        expect(warped.label).toEqual(cut.label);
      }),
    );
    const slice = preparedOf([1, 3, 3], [1, 2, 3, 4, 5, 6, 7, 8, 9], [0, 1, 0, 1, 0, 1, 0, 1, 0]);
    expect([...warpPatch(slice, [1, 3, 3], [0, 0, 0], identity).image]).toEqual([1, 2, 3, 4, 5, 6, 7, 8, 9]);
  });

  test("a linear ramp is read back exactly at the warped coordinates", () => {
    // Trilinear interpolation is exact on z + 10 y + 100 x (tolerance: float32).
    const shape: Vec3 = [11, 12, 13];
    const ramp = new Float32Array(11 * 12 * 13);
    for (let i = 0; i < ramp.length; i++)
      ramp[i] = Math.floor(i / 156) + 10 * (Math.floor(i / 13) % 12) + 100 * (i % 13);
    const m = spatialMatrix([1, 1, 1], [10, -20, 15], [0.9, 0.9, 0.9]);
    const { image } = warpPatch(preparedOf(shape, ramp), [3, 3, 3], [4, 4, 5], m);
    for (let i = 0; i < 27; i++) {
      const o = [Math.floor(i / 9) - 1, (Math.floor(i / 3) % 3) - 1, (i % 3) - 1];
      const at = [0, 1, 2].map((r) => [5, 5, 6][r] + m[r * 3] * o[0] + m[r * 3 + 1] * o[1] + m[r * 3 + 2] * o[2]);
      expect(image[i]).toBeCloseTo(at[0] + 10 * at[1] + 100 * at[2], 3);
    }
  });

  test("a quarter turn moves voxels to where rotation about the patch centre says", () => {
    // About D by 90 degrees: output offset (h, w) reads source offset (-w, h).
    const slice = preparedOf([1, 3, 3], [1, 2, 3, 4, 5, 6, 7, 8, 9], [0, 1, 2, 0, 1, 2, 0, 1, 2]);
    const m = spatialMatrix([1, 1, 1], [90, 0, 0], [1, 1, 1]);
    const { image, label } = warpPatch(slice, [1, 3, 3], [0, 0, 0], m);
    for (const [i, v] of [7, 4, 1, 8, 5, 2, 9, 6, 3].entries()) expect(image[i]).toBeCloseTo(v, 5);
    expect([...label]).toEqual([0, 0, 0, 1, 1, 1, 2, 2, 2]);
  });

  test("labels go to the heaviest class; outside counts as background", () => {
    // Zoom 0.5 about the centre of 2 voxels: the outputs read 0.25 and 0.75.
    const pair = preparedOf([1, 1, 2], [0, 1], [1, 2]);
    expect([...warpPatch(pair, [1, 1, 2], [0, 0, 0], [1, 0, 0, 0, 1, 0, 0, 0, 0.5]).label]).toEqual([1, 2]);
    // Zoom 2: reads -0.5 and 1.5, half in, half out: a tie, so background.
    const wide = warpPatch(pair, [1, 1, 2], [0, 0, 0], [1, 0, 0, 0, 1, 0, 0, 0, 2]);
    expect([...wide.label]).toEqual([0, 0]);
    expect([...wide.image]).toEqual([0, 0.5]);
  });

  test("one-hot warp and argmax agree with the label warp (3 classes, away from ties)", () => {
    const m = spatialMatrix([1, 1, 1.5], [12, 25, -17], [1.1, 1.1, 1.1]);
    const oneHot = new Float32Array(3 * 210);
    for (let i = 0; i < 210; i++) oneHot[classes[i] * 210 + i] = 1;
    const scores = warpPatch(preparedOf(cube, oneHot), [6, 6, 6], [0, 0, 0], m).image;
    const { label } = warpPatch(prepared, [6, 6, 6], [0, 0, 0], m);
    for (let i = 0; i < 216; i++) {
      const s = [scores[i], scores[216 + i], scores[432 + i]];
      s[0] += 1 - s[0] - s[1] - s[2];
      const best = s.indexOf(Math.max(...s));
      if (s.filter((v) => v > s[best] - 1e-5).length === 1) expect(label[i]).toBe(best);
    }
  });
});

describe("spatialRanges", () => {
  test.each<[string, Vec3, Vec3, number | null, Vec3]>([
    ["even", [40, 56, 40], [1, 1, 1], null, [30, 30, 30]],
    ["a patch of 3 to 1 is not yet flat", [32, 96, 96], [3, 1, 1], null, [30, 30, 30]],
    ["flat along D", [16, 96, 64], [3, 1, 1], 0, [180, 0, 0]],
    ["flat along W", [96, 64, 16], [1, 1, 3], 2, [0, 0, 180]],
    ["flat along an axis that is not coarse", [16, 64, 64], [1, 1, 2], null, [30, 30, 30]],
    ["flat, all spacings but for rounding the same", [64, 16, 64], [1, 0.9999, 1], 1, [0, 180, 0]],
    ["thick slices in a cube", [8, 8, 8], [5, 1, 1], 0, [180, 0, 0]],
    ["2D", [1, 128, 96], [1, 1, 1], 0, [180, 0, 0]],
    ["long 2D", [1, 128, 80], [1, 1, 1], 0, [15, 0, 0]],
    ["a flat scan along H", [64, 1, 64], [1, 1, 1], 1, [0, 180, 0]],
    ["a line", [1, 1, 64], [1, 1, 1], 0, [0, 0, 0]],
  ])("%s", (_, shape, spacing, thick, degrees) => {
    expect(spatialRanges(shape, spacing)).toMatchObject({ thick, degrees });
  });
});

describe("drawSpatial", () => {
  const always = { ...spatialRanges(cube, [1, 1, 1]), probability: 1 };

  test("in millimetres a rotation keeps lengths, whatever the spacing", () => {
    const spacing: Vec3 = [2, 1, 0.8];
    const m = spatialMatrix(spacing, [20, -35, 50], [1, 1, 1]);
    const offset = [3, -2, 5];
    const moved = [0, 1, 2].map((r) => m[r * 3] * offset[0] + m[r * 3 + 1] * offset[1] + m[r * 3 + 2] * offset[2]);
    const length = (v: number[]) => Math.hypot(...v.map((x, axis) => x * spacing[axis]));
    expect(length(moved)).toBeCloseTo(length(offset), 9);
  });

  test("what has a thick axis is turned by all angles and zoomed across it, and stays in its slice", () => {
    for (const [shape, spacing] of [
      [
        [8, 8, 8],
        [5, 1, 1],
      ],
      [
        [1, 8, 8],
        [1, 1, 1],
      ],
    ] as [Vec3, Vec3][]) {
      const ranges = { ...spatialRanges(shape, spacing), probability: 1 };
      const drawn = Array.from({ length: 300 }, (_, seed) => drawSpatial(spacing, ranges, random(seed))!);
      for (const m of drawn) expect([m[0], m[1], m[2], m[3], m[6]].map((v) => v + 0)).toEqual([1, 0, 0, 0, 0]);
      const angles = drawn.map((m) => Math.atan2(m[7], m[4]));
      expect(Math.min(...angles)).toBeLessThan(-3);
      expect(Math.max(...angles)).toBeGreaterThan(3);
      const zooms = drawn.map((m) => Math.hypot(m[4], m[7]));
      expect(Math.min(...zooms) >= 0.7 && Math.max(...zooms) <= 1.4).toBe(true);
      // Below and above 1 equally likely: 150 expected, sd 8.7.
      expect(Math.abs(zooms.filter((z) => z < 1).length - 150)).toBeLessThan(44);
    }
    expect(zoomAcross(1, 0.7)).toEqual([0.7, 1, 0.7]);
  });

  test("rotation and zoom come with their probabilities, each on its own", () => {
    const ranges = spatialRanges(cube, [1, 1, 1]);
    const drawn = Array.from({ length: 5000 }, (_, seed) => drawSpatial([1, 1, 1], ranges, random(seed, 1)));
    // Neither: 0.8 x 0.8 = 3200, sd 34; a zoom alone, which leaves the axes: 0.2 x 0.8 = 800, sd 26.
    expect(Math.abs(drawn.filter((m) => m === undefined).length - 3200)).toBeLessThan(170);
    expect(Math.abs(drawn.filter((m) => m && m[1] === 0).length - 800)).toBeLessThan(130);
  });

  test("nothing is drawn at probability 0", () => {
    expect(drawSpatial([1, 1, 1], { ...always, probability: 0 }, random(1))).toBeUndefined();
  });
});
