import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { random } from "../util/random.ts";
import type { Vec3 } from "../volume/volume.ts";
import { cutPatch } from "./sample.ts";
import { preparedOf } from "./testing.ts";
import { drawSpatial, spatialMatrix, warpPatch } from "./warp.ts";

const identity = [1, 0, 0, 0, 1, 0, 0, 0, 1];
const cube: Vec3 = [5, 6, 7];
const source = random(3);
const noise = Float32Array.from({ length: 2 * 210 }, () => source.normal());
const classes = Uint8Array.from({ length: 210 }, () => source.int(3));
const prepared = preparedOf(cube, noise, classes);

describe("warpPatch", () => {
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

describe("drawSpatial", () => {
  const always = { degrees: 30, zoom: [0.7, 1.4] as [number, number], probability: 1 };

  test("in millimetres a rotation keeps lengths, whatever the spacing", () => {
    const spacing: Vec3 = [2, 1, 0.8];
    const m = spatialMatrix(spacing, [20, -35, 50], [1, 1, 1]);
    const offset = [3, -2, 5];
    const moved = [0, 1, 2].map((r) => m[r * 3] * offset[0] + m[r * 3 + 1] * offset[1] + m[r * 3 + 2] * offset[2]);
    const length = (v: number[]) => Math.hypot(...v.map((x, axis) => x * spacing[axis]));
    expect(length(moved)).toBeCloseTo(length(offset), 9);
  });

  test("thick slices and single slices are only turned in the plane", () => {
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
      const m = drawSpatial(shape, spacing, random(1), always)!;
      expect([m[1], m[2], m[3], m[6]].map(Math.abs)).toEqual([0, 0, 0, 0]);
      expect(Math.abs(m[5])).toBeGreaterThan(0.01);
    }
    expect(drawSpatial([1, 8, 8], [1, 1, 1], random(1), always)![0]).toBe(1);
  });

  test("nothing is drawn at probability 0", () => {
    expect(drawSpatial(cube, [1, 1, 1], random(1), { ...always, probability: 0 })).toBeUndefined();
  });
});
