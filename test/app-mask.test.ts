import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { diceByValue, differenceMap, referenceFor } from "../app/segment/compare.ts";
import { countValues, createMask, mostStrokes } from "../app/segment/mask.ts";
import { bytes, dice, duration, ml } from "../app/shared/format.ts";
import type { Vec3, Volume } from "../src/volume/volume.ts";

const affine = Float64Array.of(1, 0, 0, 0, 0, 1, 0, 0, 0, 0, 1, 0, 0, 0, 0, 1);
const empty = (shape: Vec3): Volume<Uint8Array> => ({
  data: new Uint8Array(shape[0] * shape[1] * shape[2]),
  shape,
  affine,
});

describe("a mask that is drawn on", () => {
  it("gets discs of the pen's size in mm on one slice, cut off at the edge", () => {
    const mask = createMask(empty([3, 5, 5]), [1, 1, 2]);
    mask.begin(2);
    mask.disc([1, 2, 2], 0, 2);
    expect(mask.end()).toBe(true);
    // 2 mm reach two voxels along H and one along W, where they are 2 mm wide.
    const slice = [...mask.volume.data.slice(25, 50)].map((v) => (v ? "#" : "."));
    expect([0, 5, 10, 15, 20].map((at) => slice.slice(at, at + 5).join(""))).toEqual([
      "..#..",
      "..#..",
      ".###.",
      "..#..",
      "..#..",
    ]);
    expect(countValues(mask.volume.data)[2]).toBe(7);
    mask.begin(1);
    mask.disc([0, 0, 0], 2, 1);
    mask.end();
    expect(countValues(mask.volume.data)[1]).toBe(3);
  });

  it("comes back by undo and goes on by redo, whatever was drawn", () => {
    const stroke = fc.record({
      value: fc.nat(3),
      discs: fc.array(fc.tuple(fc.nat(3), fc.nat(4), fc.nat(5), fc.nat(2), fc.double({ min: 0, max: 3, noNaN: true }))),
    });
    fc.assert(
      fc.property(fc.array(stroke, { maxLength: 8 }), (strokes) => {
        const mask = createMask(empty([4, 5, 6]), [1.5, 1, 0.7]);
        const states = [mask.volume.data.slice()];
        for (const { value, discs } of strokes) {
          mask.begin(value);
          for (const [d, h, w, axis, radius] of discs) mask.disc([d, h, w], axis, radius);
          if (mask.end()) states.push(mask.volume.data.slice());
        }
        for (let i = states.length - 2; i >= 0; i--) {
          expect(mask.undo()).toBe(true);
          expect(mask.volume.data).toEqual(states[i]);
        }
        expect([mask.undo(), mask.canUndo, mask.edited]).toEqual([false, false, false]);
        for (const state of states.slice(1)) {
          expect(mask.redo()).toBe(true);
          expect(mask.volume.data).toEqual(state);
        }
        expect([mask.redo(), mask.canRedo]).toEqual([false, false]);
      }),
      { numRuns: 100 },
    );
  });
});

it("a mask stays edited when more strokes were drawn than can be taken back", () => {
  const mask = createMask(empty([1, 1, 1]), [1, 1, 1]);
  for (let i = 0; i <= mostStrokes; i++) {
    mask.begin(1 + (i % 2));
    mask.disc([0, 0, 0], 0, 0);
    mask.end();
  }
  let taken = 0;
  while (mask.undo()) taken++;
  expect([taken, mask.volume.data[0], mask.edited]).toEqual([mostStrokes, 1, true]);
});

describe("a reference", () => {
  const labels = [0, 1, 5].map((value) => ({ value, name: `label ${value}` }));
  it("is compared voxel by voxel", () => {
    const [mask, truth] = [Uint8Array.of(0, 1, 1, 5, 0, 5), Uint8Array.of(0, 1, 5, 5, 1, 0)];
    expect([...differenceMap(mask, truth)]).toEqual([0, 1, 4, 1, 3, 2]);
    expect([...diceByValue(mask, truth, labels)]).toEqual([
      [1, 0.5],
      [5, 0.5],
    ]);
  });

  it("is turned to the scan's axes, and refused on another grid or with other values", () => {
    const scan = empty([1, 2, 3]);
    const mirrored = {
      data: Float32Array.of(0, 1, 5, 0, 0, 1),
      shape: [1, 2, 3] as Vec3,
      affine: Float64Array.of(-1, 0, 0, 2, 0, 1, 0, 0, 0, 0, 1, 0, 0, 0, 0, 1),
    };
    expect([...referenceFor(mirrored, "m", scan, labels)]).toEqual([5, 1, 0, 1, 0, 0]);
    const moved = { ...mirrored, affine: mirrored.affine.with(3, 3) };
    expect(() => referenceFor(moved, "m", scan, labels)).toThrow("The reference m lies 1.00 mm off the scan");
    const other = { ...mirrored, data: mirrored.data.with(0, 0.5) };
    expect(() => referenceFor(other, "m", scan, labels)).toThrow("holds the value 0.5");
    expect(() => referenceFor(empty([2, 2, 3]), "m", scan, labels)).toThrow("has 2 x 2 x 3 voxels");
  });
});

it("numbers are written with their units, three digits or so", () => {
  expect([0, 2017, 12_340, 123_456].map(ml)).toEqual(["0 ml", "2.02 ml", "12.3 ml", "123 ml"]);
  expect([340, 1320, 9960, 59_700, 125_000].map(duration)).toEqual([
    "340 ms",
    "1.3 s",
    "10 s",
    "1 min 00 s",
    "2 min 05 s",
  ]);
  expect([812, 41_000, 999_700, 1.5e6, 210e6, 4.1e9].map(bytes)).toEqual([
    "812 bytes",
    "41 kB",
    "1.0 MB",
    "1.5 MB",
    "210 MB",
    "4.1 GB",
  ]);
  expect(dice(0.9127)).toBe("0.913");
});
