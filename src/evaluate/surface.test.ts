import fc from "fast-check";
import { expect, test } from "vitest";
import type { Vec3 } from "../volume/volume.ts";
import { nearestDistances } from "./nearest.ts";
import { classBoxes, type Surface, surfaceDistances, surfaceOf, weightedPercentile } from "./surface.ts";

/** Affine of axis-aligned voxels with the given spacing in D, H, W. */
const affineOf = ([d, h, w]: Vec3): number[] => [w, 0, 0, 0, 0, h, 0, 0, 0, 0, d, 0, 0, 0, 0, 1];

function mask(shape: Vec3, inside: (d: number, h: number, w: number) => boolean): Uint8Array {
  const out = new Uint8Array(shape[0] * shape[1] * shape[2]);
  let i = 0;
  for (let d = 0; d < shape[0]; d++)
    for (let h = 0; h < shape[1]; h++) for (let w = 0; w < shape[2]; w++) out[i++] = inside(d, h, w) ? 1 : 0;
  return out;
}

const surface = (map: Uint8Array, shape: Vec3, affine: ArrayLike<number>): Surface =>
  surfaceOf(map, shape, 1, affine, classBoxes(map, shape, 2)[1]);

const distances = (a: Uint8Array, b: Uint8Array, shape: Vec3, spacing: Vec3, tolerance = 1) =>
  surfaceDistances(surface(a, shape, affineOf(spacing)), surface(b, shape, affineOf(spacing)), tolerance);

const area = (s: Surface): number => s.areas.reduce((sum, a) => sum + a, 0);

const grids = fc
  .tuple(fc.integer({ min: 1, max: 5 }), fc.integer({ min: 2, max: 6 }), fc.integer({ min: 2, max: 6 }))
  .chain(([d, h, w]) => {
    const bytes = fc.uint8Array({ minLength: d * h * w, maxLength: d * h * w, max: 1 });
    const size = fc.double({ min: 0.3, max: 4, noNaN: true });
    return fc.record({ shape: fc.constant<Vec3>([d, h, w]), a: bytes, b: bytes, spacing: fc.tuple(size, size, size) });
  });

test("the surface of a box of 2 x 3 x 4 voxels of 5 x 2 x 1 mm has the box's area, at the border of the volume too", () => {
  const box = 2 * (10 * 6 + 10 * 4 + 6 * 4);
  const inner = mask([4, 5, 6], (d, h, w) => d > 0 && d < 3 && h > 0 && h < 4 && w > 0 && w < 5);
  expect(area(surface(inner, [4, 5, 6], affineOf([5, 2, 1])))).toBeCloseTo(box, 10);
  expect(area(surface(new Uint8Array(24).fill(1), [2, 3, 4], affineOf([5, 2, 1])))).toBeCloseTo(box, 10);
});

test("two parallel one-voxel plates that fill their planes", () => {
  // Planes d = 1 and d = 4 of 2 mm slices: the faces that look at each other are 4 mm apart.
  const shape: Vec3 = [6, 100, 100];
  const a = mask(shape, (d) => d === 1);
  const b = mask(shape, (d) => d === 4);
  const result = distances(a, b, shape, [2, 1, 1], 4);
  // Each plate: inner face 10000 mm² at 4 mm, outer face 10000 mm² at 6 mm (to the other's outer face 8, to its inner 6), rim
  // 400 faces of 2 mm² whose nearest is the other's inner face, half a voxel in: hypot(5, 0.5).
  const rim = Math.hypot(5, 0.5);
  expect(result.hd95).toBe(6);
  expect(result.assd).toBeCloseTo((10000 * 4 + 10000 * 6 + 800 * rim) / 20800, 10);
  expect(result.nsd).toBeCloseTo(10000 / 20800, 12);
});

test("a long bar shifted along its axis: only the two end faces and the uncovered sides move", () => {
  // 1 x 1 x 8 voxels of 1 mm, shifted by 2 along W: sides of 2 voxels stick out at each end.
  const shape: Vec3 = [3, 3, 12];
  const a = mask(shape, (d, h, w) => d === 1 && h === 1 && w >= 1 && w < 9);
  const b = mask(shape, (d, h, w) => d === 1 && h === 1 && w >= 3 && w < 11);
  const result = distances(a, b, shape, [1, 1, 1], 1);
  // One direction: end face 0 (x = 0.5) to b's end face at 2.5: 2 mm; four side faces each at x = 1, 2 to b's end face centre
  // (x = 2.5, half a voxel inwards): hypot(1.5, 0.5), hypot(0.5, 0.5); other sides 0; far end x = 8.5 to b's sides: hypot(0.5, 0.5).
  const far = Math.hypot(1.5, 0.5);
  const near = Math.hypot(0.5, 0.5);
  expect(result.assd).toBeCloseTo((2 + 4 * far + 4 * near + near) / 34, 12);
  // 34 mm² a direction, 95 % = 32.3: sorted ... far x 4 (up to 33), then 2. The 32.3 falls among the four.
  expect(result.hd95).toBeCloseTo(far, 12);
  expect(result.nsd).toBeCloseTo(29 / 34, 12);
});

test("a small cube at the centre of a ball of radius r: distances are near r", () => {
  const shape: Vec3 = [61, 61, 61];
  const ball = mask(shape, (d, h, w) => Math.hypot(d - 30, h - 30, w - 30) <= 25);
  const dot = mask(shape, (d, h, w) => d === 30 && h === 30 && w === 30);
  const fromDot = surfaceDistances(surface(ball, shape, affineOf([1, 1, 1])), surface(dot, shape, affineOf([1, 1, 1])));
  // The ball's surface has far more area than the dot's, so ASSD is the mean distance to it; a voxelised sphere's faces lie
  // within a voxel of radius 25.
  expect(fromDot.assd).toBeGreaterThan(24);
  expect(fromDot.assd).toBeLessThan(25.5);
  expect(fromDot.hd95).toBeLessThan(26);
});

test("in 2D (D = 1) only in-plane edges count", () => {
  const shape: Vec3 = [1, 6, 12];
  const a = mask(shape, (_, h, w) => h > 0 && h < 5 && w === 2);
  const s = surface(a, shape, affineOf([3, 1, 1]));
  expect(area(s)).toBeCloseTo(3 * 10, 12);
  const b = mask(shape, (_, h, w) => h > 0 && h < 5 && w === 8);
  expect(distances(a, b, shape, [3, 1, 1]).hd95).toBe(6);
});

test("empty masks: both give 0 and NSD 1, one gives null and NSD 0", () => {
  const none = new Uint8Array(8);
  const some = Uint8Array.of(0, 0, 0, 1, 0, 0, 0, 0);
  expect(distances(none, none, [2, 2, 2], [1, 1, 1])).toEqual({ hd95: 0, assd: 0, nsd: 1 });
  expect(distances(some, none, [2, 2, 2], [1, 1, 1])).toEqual({ hd95: null, assd: null, nsd: 0 });
  expect(distances(none, some, [2, 2, 2], [1, 1, 1])).toEqual({ hd95: null, assd: null, nsd: 0 });
});

test("agrees with brute force over all pairs of faces found voxel by voxel, on random masks and spacings", () => {
  fc.assert(
    fc.property(grids, ({ shape, a, b, spacing }) => {
      const result = distances(a, b, shape, spacing);
      const plain = bruteForce(a, b, shape, spacing, 1);
      expect(result.nsd).toBeCloseTo(plain.nsd, 9);
      for (const key of ["hd95", "assd"] as const) {
        if (plain[key] === null) expect(result[key]).toBeNull();
        else expect(result[key]).toBeCloseTo(plain[key], 9);
      }
      const same = distances(a, a, shape, spacing);
      expect(same).toEqual({ hd95: 0, assd: 0, nsd: 1 });
      const swapped = distances(b, a, shape, spacing);
      expect(swapped.hd95).toEqual(result.hd95);
    }),
    { numRuns: 150 },
  );
});

test("a rotated and a mirrored grid give the distances of the straight one; shear is followed", () => {
  const shape: Vec3 = [5, 6, 7];
  const a = mask(shape, (d, h, w) => d > 0 && d < 4 && h > 1 && w > 1 && w < 6);
  const b = mask(shape, (d, h, w) => d > 1 && h < 4 && w > 2);
  const straight = distances(a, b, shape, [2, 1.5, 0.8]);
  const c = Math.cos(0.4);
  const s = Math.sin(0.4);
  const turned = [-0.8 * c, -1.5 * s, 0, 9, -0.8 * s, 1.5 * c, 0, -4, 0, 0, -2, 7, 0, 0, 0, 1];
  const other = surfaceDistances(surface(a, shape, turned), surface(b, shape, turned));
  expect(other.assd).toBeCloseTo(straight.assd!, 10);
  expect(other.hd95).toBeCloseTo(straight.hd95!, 10);
  // Sheared by 1 mm of W a slice of D: the face between d = 0 and 1 keeps its area, faces across W grow by hypot(1, 1).
  const sheared = [1, 0, 1, 0, 0, 1, 0, 0, 0, 0, 1, 0, 0, 0, 0, 1];
  expect(area(surface(Uint8Array.of(0, 0, 0, 0, 0, 0, 0, 1), [2, 2, 2], sheared))).toBeCloseTo(4 + 2 * Math.SQRT2, 12);
});

test("nearest distances agree with a loop over all pairs, far clusters and repeated points included", () => {
  const coordinate = fc.oneof(fc.integer({ min: -3, max: 3 }), fc.double({ min: -1000, max: 1000, noNaN: true }));
  const cloud = fc.array(fc.tuple(coordinate, coordinate, coordinate), { minLength: 1, maxLength: 120 });
  fc.assert(
    fc.property(cloud, cloud, (points, queries) => {
      const found = nearestDistances(Float64Array.from(points.flat()))(Float64Array.from(queries.flat()));
      queries.forEach((q, i) => {
        const plain = Math.min(...points.map((p) => Math.sqrt(p.reduce((sum, x, a) => sum + (q[a] - x) ** 2, 0))));
        expect(found[i]).toBeCloseTo(plain, 9);
      });
    }),
  );
});

test("two far shells of 50,000 points: nearest pair by the closed form", () => {
  const n = 50000;
  const shell = Float64Array.from({ length: 3 * n }, (_, i) => {
    // A Fibonacci lattice on the unit sphere, as x, y, z by turns.
    const k = Math.floor(i / 3);
    const z = 1 - (2 * k + 1) / n;
    const turn = k * 2.399963229728653;
    return 50 * [Math.sqrt(1 - z * z) * Math.cos(turn), Math.sqrt(1 - z * z) * Math.sin(turn), z][i % 3];
  });
  const found = nearestDistances(shell)(shell.map((x) => x + 140));
  const nearest = found.reduce((low, x) => Math.min(low, x));
  expect(nearest).toBeCloseTo(140 * Math.sqrt(3) - 100, 0);
});

test("weighted percentile takes the value whose cumulative weight reaches the share", () => {
  const values = Float64Array.of(3, 1, 2);
  expect(weightedPercentile(values, Float64Array.of(1, 1, 1), 0.5)).toBe(2);
  expect(weightedPercentile(values, Float64Array.of(5, 94, 1), 0.95)).toBe(2);
  expect(weightedPercentile(values, Float64Array.of(6, 93, 1), 0.95)).toBe(3);
});

test("two balls in a 256³ volume, 8 voxels apart: HD95 between the mean shift and the shift", () => {
  const large: Vec3 = [256, 256, 256];
  const ball = (x: number): Uint8Array => {
    const out = new Uint8Array(256 ** 3);
    for (let d = -100; d <= 100; d++) {
      for (let h = -100; h <= 100; h++) {
        const half = Math.floor(Math.sqrt(100 * 100 - d * d - h * h));
        const row = ((d + 128) * 256 + h + 128) * 256 + x;
        if (half >= 0) out.fill(1, row - half, row + half + 1);
      }
    }
    return out;
  };
  const [near, far] = [ball(120), ball(128)];
  const hd95 = distances(near, far, large, [1, 1, 1]).hd95;
  expect(hd95).toBeGreaterThan(6);
  expect(hd95).toBeLessThanOrEqual(8);
});

/** The same definitions, straight: every inside voxel, its six neighbours, every pair of faces. */
function bruteForce(a: Uint8Array, b: Uint8Array, shape: Vec3, spacing: Vec3, tolerance: number) {
  const faces = (m: Uint8Array): { at: number[]; area: number }[] => {
    const out: { at: number[]; area: number }[] = [];
    const value = (p: number[]): number =>
      p.some((x, i) => x < 0 || x >= shape[i]) ? 0 : m[(p[0] * shape[1] + p[1]) * shape[2] + p[2]];
    for (let d = 0; d < shape[0]; d++)
      for (let h = 0; h < shape[1]; h++)
        for (let w = 0; w < shape[2]; w++)
          for (let axis = 0; axis < 3; axis++)
            for (const step of [-1, 1]) {
              const p = [d, h, w];
              const q = p.map((x, i) => (i === axis ? x + step : x));
              if (!value(p) || value(q) || shape[axis] === 1) continue;
              const at = p.map((x, i) => ((x + q[i]) / 2) * spacing[i]);
              out.push({ at, area: (spacing[0] * spacing[1] * spacing[2]) / spacing[axis] });
            }
    return out;
  };
  const [fa, fb] = [faces(a), faces(b)];
  if (!fa.length && !fb.length) return { hd95: 0, assd: 0, nsd: 1 };
  if (!fa.length || !fb.length) return { hd95: null, assd: null, nsd: 0 };
  const directed = (from: typeof fa, to: typeof fa) =>
    from
      .map((f) => ({ ...f, distance: Math.min(...to.map((t) => Math.hypot(...t.at.map((x, i) => x - f.at[i])))) }))
      .sort((x, y) => x.distance - y.distance);
  const sides = [directed(fa, fb), directed(fb, fa)];
  const sum = (list: { area: number }[]): number => list.reduce((s, f) => s + f.area, 0);
  const all = sides.flat();
  return {
    hd95: Math.max(
      ...sides.map((side) => {
        let covered = 0;
        const total = sum(side);
        return side.find((f) => {
          covered += f.area;
          return covered >= 0.95 * total * (1 - 1e-9);
        })!.distance;
      }),
    ),
    assd: all.reduce((s, f) => s + f.distance * f.area, 0) / sum(all),
    nsd: sum(all.filter((f) => f.distance <= tolerance * (1 + 1e-5))) / sum(all),
  };
}
