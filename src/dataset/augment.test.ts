import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { random } from "../util/random.ts";
import type { Vec3 } from "../volume/volume.ts";
import { augmentPatch, flip } from "./augment.ts";
import { addNoise, blur, changeBrightness, changeContrast, changeGamma, lowerResolution } from "./intensity.ts";
import { meanAndSd } from "./statistics.ts";
import { planOf, preparedOf } from "./testing.ts";

const shape: Vec3 = [4, 5, 6];
const values = (seed: number): Float32Array => {
  const r = random(seed);
  return Float32Array.from({ length: 120 }, () => r.normal());
};
const extremes = (x: Float32Array): number[] => [Math.min(...x), Math.max(...x)];
const seeds = fc.nat();

describe("intensity changes", () => {
  test("brightness is one factor between 0.75 and 1.25", () => {
    fc.assert(
      fc.property(seeds, (seed) => {
        const x = Float32Array.of(1, -2, 4);
        changeBrightness(x, random(seed));
        expect(x[0] >= 0.75 && x[0] <= 1.25).toBe(true);
        expect([x[1], x[2]]).toEqual([-2 * x[0], 4 * x[0]]);
      }),
    );
  });

  test("contrast keeps the range, gamma keeps mean and sd (1e-4) and the order of values", () => {
    fc.assert(
      fc.property(seeds, fc.boolean(), (seed, invert) => {
        const before = values(seed);
        const contrast = before.slice();
        changeContrast(contrast, random(seed));
        expect(contrast).not.toEqual(before);
        expect(extremes(contrast)[0]).toBeGreaterThanOrEqual(extremes(before)[0]);
        expect(extremes(contrast)[1]).toBeLessThanOrEqual(extremes(before)[1]);
        const gamma = before.slice();
        changeGamma(gamma, random(seed), invert);
        expect(meanAndSd(gamma).mean).toBeCloseTo(meanAndSd(before).mean, 4);
        expect(meanAndSd(gamma).sd).toBeCloseTo(meanAndSd(before).sd, 4);
        const order = [...before.keys()].sort((a, b) => before[a] - before[b]);
        for (let i = 1; i < order.length; i++)
          expect(gamma[order[i]]).toBeGreaterThanOrEqual(gamma[order[i - 1]] - 1e-6);
      }),
      { numRuns: 30 },
    );
    const flat = new Float32Array(5).fill(2);
    changeGamma(flat, random(1));
    expect([...flat]).toEqual([2, 2, 2, 2, 2]);
  });

  test("blur and lower resolution keep constants, single slices and the range; blur spreads a point evenly", () => {
    for (const change of [blur, lowerResolution]) {
      const constant = new Float32Array(120).fill(3);
      change(constant, random(2), shape);
      for (const v of constant) expect(v).toBeCloseTo(3, 5);
      const x = values(4);
      change(x, random(3), shape);
      expect(x).not.toEqual(values(4));
      expect(extremes(x)[0]).toBeGreaterThanOrEqual(extremes(values(4))[0]);
      expect(extremes(x)[1]).toBeLessThanOrEqual(extremes(values(4))[1]);
      const slice = Float32Array.of(1, 2, 3, 4);
      change(slice, random(3), [4, 1, 1]);
      expect(slice).not.toEqual(Float32Array.of(1, 2, 3, 4));
    }
    const point = new Float32Array(81);
    point[40] = 1;
    blur(point, random(1), [1, 9, 9]);
    expect(point.reduce((sum, v) => sum + v, 0)).toBeCloseTo(1, 4);
    expect(point[31]).toBeCloseTo(point[49], 6);
    expect(point[39]).toBeCloseTo(point[41], 6);
  });

  test("noise has mean 0 and sd at most 0.1", () => {
    const x = new Float32Array(20000);
    addNoise(x, random(9));
    const { mean, sd } = meanAndSd(x);
    expect(Math.abs(mean)).toBeLessThan(0.004);
    expect(sd > 0 && sd < 0.103).toBe(true);
  });
});

describe("augmentPatch", () => {
  const prepared = preparedOf(
    shape,
    values(1),
    Uint8Array.from({ length: 120 }, (_, i) => (i % 7 === 0 ? 1 : 0)),
  );

  test("flip twice is the identity and flip moves the ends", () => {
    const x = Float32Array.of(1, 2, 3, 4, 5, 6);
    flip(x, [1, 2, 3], 2);
    expect([...x]).toEqual([3, 2, 1, 6, 5, 4]);
    flip(x, [1, 2, 3], 1);
    expect([...x]).toEqual([6, 5, 4, 3, 2, 1]);
    for (let axis = 0; axis < 3; axis++) {
      const y = values(3);
      flip(y, shape, axis);
      expect(y).not.toEqual(values(3));
      flip(y, shape, axis);
      expect(y).toEqual(values(3));
    }
  });

  test("the stream decides: same keys same patch, other keys another; level none changes nothing", () => {
    const run = (seed: number, level: "none" | "light" | "full") =>
      augmentPatch(prepared, planOf({ mirrorAxes: [0, 1, 2] }), shape, [0, 0, 0], random(seed), level);
    for (const level of ["light", "full"] as const) {
      expect(run(1, level)).toEqual(run(1, level));
      const different = Array.from({ length: 10 }, (_, s) => run(s, level).image.join());
      expect(new Set(different).size).toBeGreaterThan(4);
    }
    expect(run(1, "none").image).toEqual(prepared.image);
  });

  test("only the allowed axes are mirrored, image and label together", () => {
    // The label marks the positive voxels; noise-free levels keep that mark in place under mirroring.
    const image = Float32Array.from({ length: 120 }, (_, i) => (i % 5 === 0 ? 10 : -10));
    const marked = preparedOf(
      shape,
      image,
      image.map((v) => (v > 0 ? 1 : 0)),
    );
    let mirrored = 0;
    for (let seed = 0; seed < 60; seed++) {
      const patch = augmentPatch(marked, planOf({ mirrorAxes: [2] }), shape, [0, 0, 0], random(seed), "light");
      const signs = patch.image.map((v) => (v > 0 ? 1 : 0));
      expect([...patch.label]).toEqual([...signs]);
      if (patch.label.join() !== marked.label!.join()) {
        mirrored++;
        flip(patch.label, shape, 2);
        expect(patch.label).toEqual(marked.label);
      }
      const off = augmentPatch(marked, planOf(), shape, [0, 0, 0], random(seed), "light");
      expect(off.label).toEqual(marked.label);
    }
    expect(mirrored > 15 && mirrored < 45).toBe(true);
  });
});
