import fc from "fast-check";
import { expect, test } from "vitest";
import { layoutOf } from "./layout.ts";
import { slabStart, slabsOf } from "./slabs.ts";

const small = fc.integer({ min: 1, max: 40 });

test("slabs cover every row of every sample once, in whole units, none empty", () => {
  fc.assert(
    fc.property(
      small,
      small,
      fc.integer({ min: 1, max: 20 }),
      fc.integer({ min: 1, max: 6 }),
      (D, units, batch, unit) => {
        const H = units * unit;
        const seen = new Uint8Array(batch * D * H);
        for (const slab of slabsOf([D, H, 3], batch, unit)) {
          expect(slab.planes).toBeGreaterThan(0);
          expect(slab.rows).toBeGreaterThan(0);
          expect(slab.h % unit).toBe(0);
          expect(slab.rows % unit).toBe(0);
          for (let d = slab.d; d < slab.d + slab.planes; d++) {
            for (let h = slab.h; h < slab.h + slab.rows; h++) seen[(slab.n * D + d) * H + h]++;
          }
        }
        expect(seen.every((count) => count === 1)).toBe(true);
      },
    ),
  );
});

test("the cut by hand: planes of a volume, rows of a slice", () => {
  expect(slabsOf([3, 5, 7], 1)).toEqual([0, 1, 2].map((d) => ({ n: 0, d, planes: 1, h: 0, rows: 5 })));
  expect(slabsOf([1, 6, 7], 1, 3)).toEqual([0, 3].map((h) => ({ n: 0, d: 0, planes: 1, h, rows: 3 })));
  expect(slabsOf([20, 4, 4], 2)).toHaveLength(16);
});

test("a slab starts behind the halo, scaled for a finer tensor", () => {
  // 5 channels lie in 8 floats; rows of 4 + 2 voxels, planes of 3 + 2 rows, a plane of halo.
  const layout = layoutOf(5, [2, 3, 4], 1);
  const [pixel, row, plane] = [32, 32 * 6, 32 * 6 * 5];
  const slab = { n: 1, d: 1, planes: 1, h: 2, rows: 1 };
  expect(slabStart(slab, layout)).toBe(4 * plane + plane + row + pixel + plane + 2 * row);
  expect(slabStart(slab, layout, [2, 1, 2])).toBe(4 * plane + plane + row + pixel + 2 * plane + 2 * row);
});
