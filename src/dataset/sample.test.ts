import fc from "fast-check";
import { expect, test } from "vitest";
import { random } from "../util/random.ts";
import type { Vec3 } from "../volume/volume.ts";
import { cutPatch, foregroundOf, patchStart } from "./sample.ts";
import { preparedOf } from "./testing.ts";

test("a patch is a copy of the volume, zero outside, in every channel", () => {
  // 1 x 2 x 3, channel 0 counts from 1, channel 1 is ten times that.
  const prepared = preparedOf([1, 2, 3], [1, 2, 3, 4, 5, 6, 10, 20, 30, 40, 50, 60], [0, 1, 0, 0, 2, 2]);
  const patch = cutPatch(prepared, [1, 2, 2], [0, 0, 1]);
  expect([...patch.image]).toEqual([2, 3, 5, 6, 20, 30, 50, 60]);
  expect([...patch.label]).toEqual([1, 0, 2, 2]);
  const over = cutPatch(prepared, [1, 3, 4], [0, -1, 2]);
  expect([...over.image.subarray(0, 12)]).toEqual([0, 0, 0, 0, 3, 0, 0, 0, 6, 0, 0, 0]);
  expect([...over.label]).toEqual([0, 0, 0, 0, 0, 0, 0, 0, 2, 0, 0, 0]);
});

test("foreground lists hold the flat indices of each present class", () => {
  const prepared = preparedOf([1, 2, 3], [1, 2, 3, 4, 5, 6], [0, 1, 0, 0, 3, 3]);
  expect(foregroundOf(prepared).map((list) => [...list])).toEqual([[1], [4, 5]]);
  expect(foregroundOf(prepared)).toBe(foregroundOf(prepared));
});

test("random patches stay inside; small volumes lie in the middle; foreground patches hold foreground", () => {
  const side = fc.integer({ min: 1, max: 9 });
  fc.assert(
    fc.property(fc.tuple(side, side, side), fc.tuple(side, side, side), fc.nat(), fc.boolean(), (s, p, seed, near) => {
      const shape = s as Vec3;
      const patch = p as Vec3;
      const voxels = shape[0] * shape[1] * shape[2];
      const label = new Uint8Array(voxels);
      label[seed % voxels] = 1;
      const prepared = preparedOf(shape, new Float32Array(voxels), label);
      const start = patchStart(prepared, patch, random(seed), near);
      for (let axis = 0; axis < 3; axis++) {
        const room = shape[axis] - patch[axis];
        if (room > 0) expect(start[axis] >= 0 && start[axis] <= room).toBe(true);
        else expect(Math.abs(-start[axis] - (start[axis] - room))).toBeLessThanOrEqual(1);
      }
      if (near) expect(cutPatch(prepared, patch, start).label.includes(1)).toBe(true);
    }),
  );
});

test("all starts occur, and each class is as likely as the other however small", () => {
  const label = new Uint8Array(100).fill(1);
  label[0] = 2;
  const prepared = preparedOf([1, 1, 100], new Float32Array(100), label);
  const starts = new Set<number>();
  let small = 0;
  for (let i = 0; i < 2000; i++) {
    starts.add(patchStart(prepared, [1, 1, 96], random(5, i), false)[2]);
    if (patchStart(prepared, [1, 1, 2], random(6, i), true)[2] === 0) small++;
  }
  expect([...starts].sort()).toEqual([0, 1, 2, 3, 4]);
  // Class 2 is voxel 0 (start 0) half the time; class 1 adds its voxel 1: 1000 + 10 expected, sd 22.
  expect(Math.abs(small - 1010)).toBeLessThan(110);
});

test("shift moves windows as large as the volume by its share, over the edge, and larger volumes only as far as they lack room", () => {
  const label = new Uint8Array(100);
  label[50] = 1;
  const prepared = preparedOf([1, 10, 10], new Float32Array(100), label);
  const starts = (patch: Vec3, foreground: boolean, shift: number): number[] => {
    const drawn = Array.from({ length: 600 }, (_, i) => patchStart(prepared, patch, random(7, i), foreground, shift));
    for (const start of drawn) expect(start[0] + 0).toBe(0);
    return [...new Set(drawn.map((start) => start[2]))].sort((a, b) => a - b);
  };
  const range = (low: number, high: number): number[] => Array.from({ length: high - low + 1 }, (_, i) => low + i);
  expect(starts([1, 10, 10], false, 0.25)).toEqual(range(-2, 2));
  expect(starts([1, 10, 10], false, 0)).toEqual([0]);
  // Room of 2 is 1 to each side of the middle; a quarter of 8 is 2.
  expect(starts([1, 8, 8], false, 0.25)).toEqual(range(-1, 3));
  expect(starts([1, 4, 4], false, 0.25)).toEqual(range(0, 6));
  // Larger than the volume: about the middle, -2.
  expect(starts([1, 14, 14], false, 0.25)).toEqual(range(-5, 1));
  // Voxel 50 lies at the edge, W = 0: the window goes as far over the edge to it as it may.
  expect(starts([1, 10, 10], true, 0.25)).toEqual([-2]);
  expect(starts([1, 4, 4], true, 0.25)).toEqual([0]);
});

test("with shift the middle of a picture lies anywhere in the middle half of its windows, foreground or not", () => {
  const label = new Uint8Array(64 * 64);
  label[32 * 64 + 32] = 1;
  const prepared = preparedOf([1, 64, 64], new Float32Array(64 * 64), label);
  for (const foreground of [true, false]) {
    const places = Array.from({ length: 500 }, (_, i) => {
      const { label: cut } = cutPatch(
        prepared,
        [1, 64, 64],
        patchStart(prepared, [1, 64, 64], random(3, i), foreground, 0.25),
      );
      return cut.indexOf(1) % 64;
    });
    expect([Math.min(...places), Math.max(...places)]).toEqual([16, 48]);
  }
});
