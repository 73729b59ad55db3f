import fc from "fast-check";
import { describe, expect, it } from "vitest";
import type { Connectivity } from "../volume/components.ts";
import type { Vec3 } from "../volume/volume.ts";
import { keepLargest } from "./components.ts";

/** Rows of a slice: "." is 0. */
const slice = (...rows: string[]): Uint8Array => Uint8Array.from(rows.join(""), (c) => (c === "." ? 0 : Number(c)));

const kept = (map: Uint8Array, shape: Vec3, values: number[], connectivity?: Connectivity) => {
  const copy = map.slice();
  const removed = keepLargest(copy, shape, values, connectivity);
  return { map: copy, removed };
};

describe("keeping the largest component", () => {
  it("takes the other ones away and leaves other values alone", () => {
    const map = slice(
      "11...2",
      "11..11", //
      ".....2",
    );
    expect(kept(map, [1, 3, 6], [1])).toEqual({ map: slice("11...2", "11....", ".....2"), removed: 2 });
    // Together 1 and 2 are a column of 2 1 2 with a 1 beside it: four voxels against four, and the first one stays.
    expect(kept(map, [1, 3, 6], [1, 2])).toEqual({ map: slice("11....", "11....", "......"), removed: 4 });
    expect(kept(map, [1, 3, 6], [2])).toEqual({ map: slice("11...2", "11..11", "......"), removed: 1 });
  });

  it("counts corners as neighbours with 26, and not with 6", () => {
    const map = slice(
      "1..",
      ".1.", //
      "..1",
    );
    expect(kept(map, [1, 3, 3], [1]).removed).toBe(0);
    expect(kept(map, [1, 3, 3], [1], 6)).toEqual({ map: slice("1..", "...", "..."), removed: 2 });
    // Across planes: (0, 0, 0) and (1, 1, 1) share a corner; (0, 0, 0) and (1, 0, 0) a face.
    expect(kept(Uint8Array.of(1, 0, 0, 0, 0, 0, 0, 1), [2, 2, 2], [1]).removed).toBe(0);
    expect(kept(Uint8Array.of(1, 0, 0, 0, 0, 0, 0, 1), [2, 2, 2], [1], 6).removed).toBe(1);
    expect(kept(Uint8Array.of(1, 0, 0, 0, 1, 0, 0, 0), [2, 2, 2], [1], 6).removed).toBe(0);
  });

  it("joins arms that meet late, and does not join the end of a row to the start of the next", () => {
    const comb = slice(
      "1.1.1",
      "1.1.1", //
      "11111",
    );
    expect(kept(comb, [1, 3, 5], [1], 6).removed).toBe(0);
    expect(kept(slice("..11", "1..."), [1, 2, 4], [1])).toEqual({ map: slice("..11", "...."), removed: 1 });
    expect(kept(slice("....", "...."), [1, 2, 4], [1])).toEqual({ map: slice("....", "...."), removed: 0 });
    expect(kept(slice("1111", "1111"), [2, 1, 4], [1]).removed).toBe(0);
  });

  it("does as a flood fill does, for all maps", () => {
    const sides = fc.tuple(
      fc.integer({ min: 1, max: 4 }),
      fc.integer({ min: 1, max: 6 }),
      fc.integer({ min: 1, max: 7 }),
    );
    const maps = sides.chain(([d, h, w]) =>
      fc.record({
        shape: fc.constant<Vec3>([d, h, w]),
        map: fc.uint8Array({ minLength: d * h * w, maxLength: d * h * w, max: 2 }),
        values: fc.constantFrom<number[]>([1], [2], [1, 2]),
        connectivity: fc.constantFrom<Connectivity>(6, 26),
      }),
    );
    fc.assert(
      fc.property(maps, ({ shape, map, values, connectivity }) => {
        expect(kept(map, shape, values, connectivity).map).toEqual(flooded(map, shape, values, connectivity));
      }),
      { numRuns: 500 },
    );
  });
});

/** The same, voxel by voxel. */
function flooded(map: Uint8Array, [D, H, W]: Vec3, values: number[], connectivity: Connectivity): Uint8Array {
  const component = new Int32Array(map.length).fill(-1);
  const sizes: number[] = [];
  for (let first = 0; first < map.length; first++) {
    if (!values.includes(map[first]) || component[first] >= 0) continue;
    const queue = [first];
    component[first] = sizes.length;
    for (const i of queue) {
      const [d, h, w] = [Math.floor(i / (H * W)), Math.floor(i / W) % H, i % W];
      for (let n = 0; n < 27; n++) {
        const [dd, dh, dw] = [Math.floor(n / 9) - 1, (Math.floor(n / 3) % 3) - 1, (n % 3) - 1];
        if (connectivity === 6 && Math.abs(dd) + Math.abs(dh) + Math.abs(dw) > 1) continue;
        const [x, y, z] = [d + dd, h + dh, w + dw];
        if (x < 0 || y < 0 || z < 0 || x >= D || y >= H || z >= W) continue;
        const j = (x * H + y) * W + z;
        if (!values.includes(map[j]) || component[j] >= 0) continue;
        component[j] = sizes.length;
        queue.push(j);
      }
    }
    sizes.push(queue.length);
  }
  const largest = sizes.indexOf(Math.max(...sizes));
  return map.map((value, i) => (component[i] >= 0 && component[i] !== largest ? 0 : value));
}
