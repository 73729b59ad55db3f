import { expect, test } from "vitest";
import type { Vec3, Volume } from "../volume/volume.ts";
import { measureCase } from "./report-measure.ts";

const labels = [
  { value: 0, name: "background" },
  { value: 1, name: "organ" },
  { value: 2, name: "stone" },
];
const parse = (rows: string): number[] => [...rows.replace(/\s/g, "")].map(Number);

/** Voxels of 2 x 3 x 5 mm along W, H, D; W runs to the left. */
const volume = (data: ArrayLike<number>, shape: Vec3): Volume => ({
  data: Float64Array.from(data),
  shape,
  affine: Float64Array.of(-2, 0, 0, 0, 0, 3, 0, 0, 0, 0, 5, 0, 0, 0, 0, 1),
});

test("geometry, volumes, parts, border and intensities of a case, by hand", () => {
  const shape: Vec3 = [3, 4, 5];
  const map = parse(`
    00000 00000 00000 00000
    00000 01100 01100 02000
    00000 00000 00010 00000
  `);
  const values = map.map((label): number => (label === 0 ? 10 : label === 1 ? 30 : 50));
  values[0] = Number.NaN;
  const scan = { channels: ["MRI"], labels };
  const one = measureCase({ id: "a", part: "training" }, [volume(values, shape)], volume(map, shape), scan);
  expect(one).toMatchObject({ id: "a", part: "training", shape, spacing: [5, 3, 2], extent: [15, 12, 10] });
  expect(one.orientation).toBe("LAS");
  // A voxel has 30 cubic mm. The fifth voxel of the organ hangs on the others by a corner, on the last plane along D.
  expect(one.labels).toEqual([
    { value: 1, name: "organ", voxels: 5, ml: 0.15, components: 1, largestShare: 1, touchesBorder: true },
    { value: 2, name: "stone", voxels: 1, ml: 0.03, components: 1, largestShare: 1, touchesBorder: true },
  ]);
  const { inside, outside } = one.channels[0];
  expect(inside?.mean).toBeCloseTo((5 * 30 + 50) / 6, 12);
  expect(inside?.median).toBe(30);
  expect(outside).toEqual({ mean: 10, sd: 0, percentile005: 10, median: 10, percentile995: 10 });
});

test("border: inside on all axes, along W at either end, and never along an axis of one voxel", () => {
  const touches = (rows: string, shape: Vec3): boolean[] =>
    measureCase({ id: "a", part: "test" }, [volume(parse(rows), shape)], volume(parse(rows), shape), {
      channels: ["CT"],
      labels,
    }).labels!.map((label) => label.touchesBorder);
  expect(touches("0000 0110 0000", [1, 3, 4])).toEqual([false, false]);
  expect(touches("0000 1200 0000", [1, 3, 4])).toEqual([true, false]);
  expect(touches("0000 0122 0000", [1, 3, 4])).toEqual([false, true]);
  expect(touches("0110 0000 0000", [1, 3, 4])).toEqual([true, false]);
});

test("several parts; a label that is nowhere; no label map; large scans are sampled evenly", () => {
  const shape: Vec3 = [1, 3, 8];
  const map = parse("00000000 01110010 00000000");
  const info = { channels: ["CT"], labels };
  const image = volume(
    map.map((_, i) => i),
    shape,
  );
  const one = measureCase({ id: "a", part: "training" }, [image], volume(map, shape), info);
  expect(one.labels?.[0]).toMatchObject({ voxels: 4, components: 2, largestShare: 0.75 });
  expect(one.labels?.[1]).toMatchObject({ voxels: 0, ml: 0, components: 0, largestShare: null, touchesBorder: false });
  const without = measureCase({ id: "b", part: "test" }, [image], undefined, info);
  expect(without.labels).toBeNull();
  expect(without.channels[0]).toMatchObject({ inside: null, outside: { mean: 11.5, median: 11.5 } });
  const large: Vec3 = [1, 1000, 700];
  const ramp = volume(
    Float64Array.from({ length: 700_000 }, (_, i) => i),
    large,
  );
  const sampled = measureCase({ id: "c", part: "test" }, [ramp], undefined, info).channels[0].outside!;
  // Every 3.5th voxel of 0, 1, 2, ...: the mean is within a step of the middle, the sd of a uniform distribution.
  expect(Math.abs(sampled.mean - 349_999.5)).toBeLessThan(4);
  expect(sampled.sd / (700_000 / Math.sqrt(12))).toBeCloseTo(1, 4);
});
