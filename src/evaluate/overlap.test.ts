import fc from "fast-check";
import { expect, test } from "vitest";
import { countClasses, countRegions, diceOf, overlapOf } from "./overlap.ts";

const maps = fc
  .integer({ min: 1, max: 60 })
  .chain((n) =>
    fc.tuple(
      fc.uint8Array({ minLength: n, maxLength: n, max: 2 }),
      fc.uint8Array({ minLength: n, maxLength: n, max: 2 }),
    ),
  );

test("hand values: 3 predicted, 2 true, 1 shared, voxels of 2 ml", () => {
  const [, one, two] = countClasses(Uint8Array.of(1, 1, 1, 0, 2), Uint8Array.of(0, 0, 1, 1, 2), 3);
  expect(one).toEqual({ predicted: 3, truth: 2, both: 1 });
  expect(two).toEqual({ predicted: 1, truth: 1, both: 1 });
  const metrics = overlapOf(one, 2000);
  expect(metrics.dice).toBeCloseTo(2 / 5, 15);
  expect(metrics.iou).toBeCloseTo(1 / 4, 15);
  expect(metrics.precision).toBeCloseTo(1 / 3, 15);
  expect(metrics.recall).toBeCloseTo(1 / 2, 15);
  expect(metrics).toMatchObject({ predictedMl: 6, truthMl: 4, volumeErrorMl: 2, relativeVolumeError: 0.5 });
});

test("empty masks have the documented values", () => {
  expect(overlapOf({ predicted: 0, truth: 0, both: 0 }, 1)).toEqual({
    dice: 1,
    iou: 1,
    precision: 1,
    recall: 1,
    predictedMl: 0,
    truthMl: 0,
    volumeErrorMl: 0,
    relativeVolumeError: 0,
  });
  const missed = overlapOf({ predicted: 0, truth: 4, both: 0 }, 1);
  expect(missed).toMatchObject({ dice: 0, iou: 0, precision: null, recall: 0, relativeVolumeError: -1 });
  const invented = overlapOf({ predicted: 4, truth: 0, both: 0 }, 1);
  expect(invented).toMatchObject({ dice: 0, iou: 0, precision: 0, recall: null, relativeVolumeError: null });
});

test("Dice is symmetric, 1 on itself, and 2 IoU / (1 + IoU)", () => {
  fc.assert(
    fc.property(maps, ([a, b]) => {
      const there = countClasses(a, b, 3);
      const back = countClasses(b, a, 3);
      for (let c = 0; c < 3; c++) {
        expect(diceOf(there[c])).toBe(diceOf(back[c]));
        const { dice, iou } = overlapOf(there[c], 1);
        expect(dice).toBeCloseTo((2 * iou) / (1 + iou), 12);
        expect(diceOf(countClasses(a, a, 3)[c])).toBe(1);
      }
    }),
  );
});

test("maps of different length are refused", () => {
  expect(() => countClasses(new Uint8Array(3), new Uint8Array(4), 2)).toThrow("3 and 4");
});

test("regions count as if each were compared alone", () => {
  const bytes = fc
    .integer({ min: 1, max: 40 })
    .chain((n) => fc.tuple(...[0, 1].map(() => fc.uint8Array({ minLength: n, maxLength: n, max: 7 }))));
  fc.assert(
    fc.property(bytes, ([p, t]) => {
      const alone = [0, 1, 2].map((r) => {
        const [a, b] = [p, t].map((masks) => masks.map((mask) => (mask >> r) & 1));
        return countClasses(a, b, 2)[1];
      });
      expect(countRegions(p, t, 3)).toEqual(alone);
    }),
  );
});
