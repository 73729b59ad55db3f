import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { random } from "../util/random.ts";
import type { Vec3 } from "../volume/volume.ts";
import { augmentPatch, drawValue, flip } from "./augment.ts";
import { type AugmentLevel, augmentLevels, type IntensityStep, intensitySteps } from "./augment-chain.ts";
import { meanAndSd } from "./statistics.ts";
import { planOf, preparedOf } from "./testing.ts";

const shape: Vec3 = [4, 5, 6];
const values = (seed: number, n = 120): Float32Array => {
  const r = random(seed);
  return Float32Array.from({ length: n }, () => r.normal());
};
const levels = Object.keys(augmentLevels) as AugmentLevel[];

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

describe("the intensity steps", () => {
  test("are nnU-Net's, in its order", () => {
    expect(
      intensitySteps.map(({ name, probability, perChannel, range }) => [name, probability, perChannel, ...range]),
    ).toEqual([
      ["noise", 0.1, 1, 0, 0.1],
      ["blur", 0.2, 0.5, 0.5, 1],
      ["brightness", 0.15, 1, 0.75, 1.25],
      ["contrast", 0.15, 1, 0.75, 1.25],
      ["low resolution", 0.25, 0.5, 0.5, 1],
      ["inverted gamma", 0.1, 1, 0.7, 1.5],
      ["gamma", 0.3, 1, 0.7, 1.5],
    ]);
  });

  test("draw within their range; what lies around 1 is as often below as above", () => {
    for (const step of intensitySteps) {
      const drawn = Array.from({ length: 1000 }, (_, seed) => drawValue(step, random(seed)));
      expect(Math.min(...drawn) >= step.range[0] && Math.max(...drawn) <= step.range[1]).toBe(true);
      // 500 expected, sd 16.
      const low = drawn.filter((v) => v < 1).length;
      if (step.aroundOne) expect(Math.abs(low - 500)).toBeLessThan(80);
    }
  });

  test("each change the image at both ends of the range and leave a constant one as it is, but for noise and brightness", () => {
    const context = { shape, thick: null, random: random(1) };
    for (const step of intensitySteps) {
      for (const value of step.range) {
        const [x, constant] = [values(2), new Float32Array(120).fill(3)];
        step.apply(x, () => value, context);
        step.apply(constant, () => value, context);
        const idle = value === 0 || (step.name === "low resolution" && value === 1);
        expect(Array.from(x).every(Number.isFinite)).toBe(true);
        if (idle) expect(x, step.name).toEqual(values(2));
        else expect(x, step.name).not.toEqual(values(2));
        if (step.name === "noise" || step.name === "brightness") continue;
        for (const v of constant) expect(v, step.name).toBeCloseTo(3, 5);
      }
    }
  });

  test("leave the resolution across thick slices alone", () => {
    // Slices of one value each: whatever happens within them, they stay so.
    const x = Float32Array.from({ length: 120 }, (_, i) => (Math.floor(i / 30) * 7) % 5);
    const low = intensitySteps.find(({ name }) => name === "low resolution") as IntensityStep;
    const context = { shape, random: random(1) };
    const [kept, lost] = [x.slice(), x.slice()];
    low.apply(kept, () => 0.5, { ...context, thick: 0 });
    low.apply(lost, () => 0.5, { ...context, thick: null });
    expect(kept).toEqual(x);
    expect(lost).not.toEqual(x);
  });
});

describe("augmentPatch", () => {
  const prepared = preparedOf(
    shape,
    values(1),
    Uint8Array.from({ length: 120 }, (_, i) => (i % 7 === 0 ? 1 : 0)),
  );

  test("the stream decides: same keys same patch, other keys another; level none changes nothing", () => {
    const run = (seed: number, level: AugmentLevel) =>
      augmentPatch(prepared, planOf({ mirrorAxes: [0, 1, 2] }), shape, [0, 0, 0], random(seed), level);
    for (const level of levels) {
      expect(run(1, level)).toEqual(run(1, level));
      if (level === "none") continue;
      const different = Array.from({ length: 12 }, (_, s) => run(s, level).image.join());
      expect(new Set(different).size, level).toBeGreaterThan(4);
    }
    expect(run(1, "none").image).toEqual(prepared.image);
  });

  test("spatial keeps the intensities and intensity the places", () => {
    // Two values, two labels: trilinear reading stays between the values, and a label far from a border stays with its voxels.
    const label = Uint8Array.from({ length: 120 }, (_, i) => (i % 6 < 3 ? 0 : 1));
    const two = preparedOf(
      shape,
      Array.from(label, (v) => 2 * v - 1),
      label,
    );
    const plan = planOf({ mirrorAxes: [0, 1, 2] });
    let moved = 0;
    for (let seed = 0; seed < 100; seed++) {
      const spatial = augmentPatch(two, plan, shape, [0, 0, 0], random(seed), "spatial");
      expect(spatial.image.every((v) => v >= -1 && v <= 1)).toBe(true);
      if (spatial.label.join() !== label.join()) moved++;
      expect(augmentPatch(two, plan, shape, [0, 0, 0], random(seed), "intensity").label).toEqual(label);
    }
    // A mirror along W in half of them, and warps.
    expect(moved).toBeGreaterThan(40);
  });

  test("channels get noise of one sigma, but each its own; blur and low resolution come to each in half of the cases", () => {
    const n = 6000;
    const big: Vec3 = [10, 20, 30];
    const pair = preparedOf(big, [...values(1, n), ...values(1, n)]);
    const counts = { both: 0, one: 0, sigmas: 0 };
    for (let seed = 0; seed < 400; seed++) {
      const { image } = augmentPatch(pair, planOf(), big, [0, 0, 0], random(seed), "light");
      const [a, b] = [0, 1].map((c) => image.subarray(c * n, (c + 1) * n).map((v, i) => v - pair.image[i]));
      // Noise alone: no trend along the image's own values.
      const trend = a.reduce((sum, v, i) => sum + v * pair.image[i], 0) / n;
      const [first, second] = [meanAndSd(a), meanAndSd(b)];
      if (first.sd > 0.01 && Math.abs(trend) < 0.02 * first.sd) {
        counts.sigmas++;
        expect(Math.abs(first.sd / second.sd - 1)).toBeLessThan(0.06);
        expect(a).not.toEqual(b);
      }
    }
    expect(counts.sigmas).toBeGreaterThan(5);
    const changed = (level: AugmentLevel, seed: number): number => {
      const { image } = augmentPatch(pair, planOf(), big, [0, 0, 0], random(seed), level);
      return [0, 1].filter((c) => image.subarray(c * n, (c + 1) * n).some((v, i) => v !== pair.image[i])).length;
    };
    for (let seed = 0; seed < 400; seed++) {
      const channels = changed("intensity", seed);
      if (channels === 2) counts.both++;
      if (channels === 1) counts.one++;
    }
    // Noise, brightness, contrast and both gammas change both channels: none of them in 0.9 x 0.85 x 0.85 x 0.9 x 0.7 = 0.41.
    // Blur (0.2) and low resolution (0.25) then change one alone in 2 x (0.9 x 0.875 - 0.85 x 0.8125) = 0.194, neither in 0.69:
    // one in 0.0794 (32, sd 5.4) and both in 0.638 (255, sd 9.6); within 5 sd.
    expect(Math.abs(counts.one - 32)).toBeLessThan(27);
    expect(Math.abs(counts.both - 255)).toBeLessThan(48);
  });

  test("only the allowed axes are mirrored, image and label together, half of the time", () => {
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

  test("thick slices stay apart: a patch of slices of one value each keeps them under every spatial draw", () => {
    const slices = preparedOf(
      [4, 9, 9],
      Array.from({ length: 324 }, (_, i) => Math.floor(i / 81) + 1),
    );
    fc.assert(
      fc.property(fc.nat(), (seed) => {
        const start: Vec3 = [0, 2, 2];
        const { image } = augmentPatch(
          slices,
          planOf({ spacing: [5, 1, 1] }),
          [4, 3, 3],
          start,
          random(seed),
          "spatial",
        );
        image.forEach((v, i) => {
          expect(v).toBeCloseTo(Math.floor(i / 9) + 1, 5);
        });
      }),
    );
  });
});
