import fc from "fast-check";
import { expect, test } from "vitest";
import { findComponents } from "./components.ts";
import type { Vec3 } from "./volume.ts";

const parse = (rows: string): number[] => [...rows.replace(/\s/g, "")].map(Number);

test("a slice: corners connect, other values do not, the largest comes first", () => {
  const map = parse(`
    1100 02
    0010 02
    0000 01
    1000 11
  `);
  const { sizes, starts, ends, places } = findComponents(map, [1], [1, 4, 6]);
  expect(sizes).toEqual([3, 3, 1]);
  expect([...starts]).toEqual([0, 8, 17, 18, 22]);
  expect([...ends]).toEqual([2, 9, 18, 19, 24]);
  expect([...places]).toEqual([0, 0, 1, 2, 1]);
  expect(findComponents(map, [1], [1, 4, 6], 6).sizes).toEqual([3, 2, 1, 1]);
  expect(findComponents(map, [2], [1, 4, 6]).sizes).toEqual([2]);
  expect(findComponents(map, [1, 2], [1, 4, 6]).sizes).toEqual([5, 3, 1]);
  expect(findComponents(map, [3], [1, 4, 6]).sizes).toEqual([]);
});

test("across slices, and a ring that closes late is one part", () => {
  const map = parse("100 000 000  000 010 000  000 000 001");
  expect(findComponents(map, [1], [3, 3, 3]).sizes).toEqual([3]);
  expect(findComponents(parse("10001 10001 10001 11111"), [1], [1, 4, 5]).sizes).toEqual([11]);
  // The end of a row and the beginning of the next are no neighbours.
  expect(findComponents(parse("0001 1000"), [1], [1, 2, 4]).sizes).toEqual([1, 1]);
});

test("values that no label has are outside", () => {
  expect(findComponents([1, 0.5, 1, -1, 1, 300, 1, 1], [1], [1, 1, 8]).sizes).toEqual([2, 1, 1, 1]);
});

/** Flood fill, voxel by voxel. */
function flood(map: number[], [D, H, W]: Vec3): number[] {
  const seen = new Set<number>();
  const sizes: number[] = [];
  for (let i = 0; i < map.length; i++) {
    if (map[i] !== 1 || seen.has(i)) continue;
    const open = [i];
    seen.add(i);
    let size = 0;
    for (let at = open.pop(); at !== undefined; at = open.pop()) {
      size++;
      const [d, h, w] = [Math.floor(at / (H * W)), Math.floor(at / W) % H, at % W];
      for (let x = Math.max(0, d - 1); x <= Math.min(D - 1, d + 1); x++)
        for (let y = Math.max(0, h - 1); y <= Math.min(H - 1, h + 1); y++)
          for (let z = Math.max(0, w - 1); z <= Math.min(W - 1, w + 1); z++) {
            const next = (x * H + y) * W + z;
            if (map[next] !== 1 || seen.has(next)) continue;
            seen.add(next);
            open.push(next);
          }
    }
    sizes.push(size);
  }
  return sizes.sort((a, b) => b - a);
}

test("random masks give what a flood fill gives, and the runs are the mask", () => {
  const size = fc.integer({ min: 1, max: 6 });
  const cases = fc
    .tuple(size, size, size)
    .chain((shape) =>
      fc.tuple(
        fc.constant(shape),
        fc.array(fc.nat(2), { minLength: shape[0] * shape[1] * shape[2], maxLength: shape[0] * shape[1] * shape[2] }),
      ),
    );
  fc.assert(
    fc.property(cases, ([shape, map]) => {
      const { sizes, starts, ends, places } = findComponents(map, [1], shape);
      expect(sizes).toEqual(flood(map, shape));
      const painted = map.map(() => 0);
      const summed = sizes.map(() => 0);
      for (const [run, place] of places.entries()) {
        painted.fill(1, starts[run], ends[run]);
        summed[place] += ends[run] - starts[run];
      }
      expect(painted).toEqual(map.map((x) => (x === 1 ? 1 : 0)));
      expect(summed).toEqual(sizes);
    }),
  );
});
