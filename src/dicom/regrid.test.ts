import { expect, test } from "vitest";
import { planRegrid, regrid } from "./regrid.ts";

test("a linear field stays what it is, wherever slices reach, however they are shifted", () => {
  const places = [
    { along: 0, i: 0, j: 0 },
    { along: 2, i: 0.5, j: -1.25 },
    { along: 3, i: 1, j: -2 },
    { along: 6, i: 1.5, j: -3.5 },
  ];
  const [columns, rows] = [9, 10];
  const field = (i: number, j: number, z: number): number => 3 * i - 2 * j + 5 * z + 100;
  const data = places.flatMap((place) =>
    Array.from({ length: columns * rows }, (_, at) =>
      field((at % columns) + place.i, Math.floor(at / columns) + place.j, place.along),
    ),
  );
  const plan = planRegrid(places, 1.5, columns, rows);
  expect([plan.slices, plan.i0, plan.j0, plan.columns, plan.rows]).toEqual([5, 0, -4, 11, 14]);
  const out = regrid(data, columns, rows, plan);
  const lowest = Math.min(...data);
  let inside = 0;
  for (let k = 0; k < plan.slices; k++) {
    for (let y = 0; y < plan.rows; y++) {
      for (let x = 0; x < plan.columns; x++) {
        const value = out[(k * plan.rows + y) * plan.columns + x];
        const [i, j] = [x + plan.i0, y + plan.j0];
        // Inside all slices at once; near the rim the lowest value mixes in.
        if (i >= 1.5 && i <= columns - 1 && j >= 0 && j <= rows - 1 - 3.5) {
          expect(value).toBeCloseTo(field(i, j, 1.5 * k), 3);
          inside++;
        }
        expect(value).toBeGreaterThanOrEqual(lowest - 1e-3);
      }
    }
  }
  expect(inside).toBe(5 * 7 * 6);
  expect(out[plan.columns - 1]).toBeCloseTo(lowest, 3); // above the first slice there is nothing
});

test("a straight, even stack comes back as it is", () => {
  const places = [0, 1, 2].map((k) => ({ along: 2 * k, i: 0, j: 0 }));
  const data = Array.from({ length: 3 * 12 }, (_, i) => (i * 7) % 31);
  const plan = planRegrid(places, 2, 4, 3);
  expect([...regrid(data, 4, 3, plan)]).toEqual(data);
});
