import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { worldOf } from "./affine.ts";
import { quaternionAffine } from "./nifti-affine.ts";
import { axisCodes, reorient, reorientation, restoreOrientation } from "./orientation.ts";
import type { Vec3, Volume } from "./volume.ts";

/** All 48: six orders of the axes, two directions each. */
const orders = ["RAS", "RSA", "ARS", "ASR", "SRA", "SAR"];
const mirror: Record<string, string> = { R: "L", A: "P", S: "I" };
const all = orders.flatMap((order) =>
  Array.from({ length: 8 }, (_, bits) => [...order].map((c, i) => ((bits >> i) & 1 ? mirror[c] : c)).join("")),
);

const unit = fc.double({ min: -1, max: 1, noNaN: true });
const size = fc.integer({ min: 1, max: 5 });
/** Volumes of any oblique orientation and handedness, every voxel with its own value. */
const volumes = fc
  .tuple(fc.tuple(unit, unit, unit), fc.tuple(size, size, size), fc.constantFrom(1, -1))
  .filter(([[b, c, d]]) => b * b + c * c + d * d < 1)
  .map(([quaternion, shape, qfac]): Volume<Int16Array> => {
    const data = Int16Array.from({ length: shape[0] * shape[1] * shape[2] }, (_, i) => i);
    return { data, shape, affine: quaternionAffine(quaternion, [-90, 12.5, 7], [0.8, 1.3, 3], qfac) };
  });

/** World position of every voxel, listed by its value (the values are 0, 1, 2 ...). */
function positions({ data, shape: [, h, w], affine }: Volume): Vec3[] {
  const list: Vec3[] = [];
  data.forEach((value, at) => {
    list[value] = worldOf(affine, at % w, Math.floor(at / w) % h, Math.floor(at / (w * h)));
  });
  return list;
}

describe("axis codes", () => {
  test("by hand, as nibabel's aff2axcodes names them", () => {
    expect(axisCodes([2, 0, 0, 0, 0, 2, 0, 0, 0, 0, 2, 0])).toBe("RAS");
    expect(axisCodes([-2, 0, 0, 0, 0, -2, 0, 0, 0, 0, 2, 0])).toBe("LPS");
    // i grows backwards, j upwards, k to the right.
    expect(axisCodes([0, 0, 1, 0, -1, 0, 0, 0, 0, 1, 0, 0])).toBe("PSR");
    // The whole-head scan of the shared data, tilted by 14 degrees.
    expect(axisCodes([-0.9095, 0.001, 0.1136, 0, -0.0037, -0.9072, -0.2406, 0, 0.0343, -0.0731, 2.988, 0])).toBe("LPS");
  });
  test("voxel sizes do not matter: a thick, tilted slice", () => {
    // k is 10 mm and leans 40 degrees towards x.
    const [s, c] = [Math.sin(0.7) * 10, Math.cos(0.7) * 10];
    expect(axisCodes([0.5, 0, s, 0, 0, 0.5, 0, 0, 0, 0, c, 0])).toBe("RAS");
  });
  test("a turn of exactly 45 degrees keeps the order of RAS", () => {
    expect(axisCodes([1, -1, 0, 0, 1, 1, 0, 0, 0, 0, 1, 0])).toBe("RAS");
  });
  test("of every target, and refuses what is no orientation", () => {
    const volume: Volume = {
      data: new Uint8Array(6),
      shape: [1, 2, 3],
      affine: quaternionAffine([0, 0, 0.1], [0, 0, 0], [1, 1, 1], 1),
    };
    expect(new Set(all).size).toBe(48);
    for (const codes of all) expect(axisCodes(reorient(volume, codes).affine)).toBe(codes);
    for (const codes of ["RA", "RAR", "RAX", "RLS", "RASI"]) {
      expect(() => reorient(volume, codes)).toThrow(`Orientation "${codes}" expected as three letters`);
    }
  });
});

describe("reorient", () => {
  test("by hand: LAS to RAS mirrors i, PSR to RAS moves the axes", () => {
    const affine = Float64Array.of(-1, 0, 0, 10, 0, 1, 0, 0, 0, 0, 1, 0, 0, 0, 0, 1);
    const flipped = reorient({ data: Int8Array.of(1, 2, 3, 4, 5, 6), shape: [1, 2, 3], affine });
    expect([...flipped.data]).toEqual([3, 2, 1, 6, 5, 4]);
    expect([...flipped.affine.slice(0, 4)]).toEqual([1, 0, 0, 8]);
    const psr = Float64Array.of(0, 0, 1, 0, -1, 0, 0, 0, 0, 1, 0, 0, 0, 0, 0, 1);
    // [D = R, H = S, W = P] = [2, 1, 3] becomes [D = S, H = A, W = R] = [1, 3, 2].
    const moved = reorient({ data: Float32Array.of(1, 2, 3, 4, 5, 6), shape: [2, 1, 3], affine: psr });
    expect(moved.shape).toEqual([1, 3, 2]);
    expect([...moved.data]).toEqual([3, 6, 2, 5, 1, 4]);
    expect([...moved.affine.slice(4, 8)]).toEqual([0, 1, 0, -2]);
  });
  test("a canonical volume shares its data", () => {
    const volume = {
      data: new Uint8Array(8),
      shape: [2, 2, 2] as Vec3,
      affine: quaternionAffine([0, 0, 0], [1, 2, 3], [1, 1, 1], 1),
    };
    expect(reorient(volume).data).toBe(volume.data);
  });
  test("law: every voxel keeps its world position, the codes are those asked for", () => {
    fc.assert(
      fc.property(volumes, fc.constantFrom(...all), (volume, codes) => {
        const turned = reorient(volume, codes);
        const before = positions(volume);
        const after = positions(turned);
        expect(after.length).toBe(before.length);
        const apart = before.map((p, i) => Math.hypot(p[0] - after[i][0], p[1] - after[i][1], p[2] - after[i][2]));
        expect(Math.max(...apart)).toBeLessThan(1e-10);
        expect(axisCodes(reorient(volume).affine)).toBe("RAS");
      }),
      { numRuns: 300 },
    );
  });
  test("law: there and back is the identity, to the last bit", () => {
    fc.assert(
      fc.property(volumes, fc.constantFrom(...all), (volume, codes) => {
        expect(restoreOrientation(reorient(volume, codes), volume, codes)).toEqual(volume);
        expect(reorientation(codes, codes)).toEqual({ axes: [0, 1, 2], flips: [false, false, false] });
      }),
      { numRuns: 300 },
    );
  });
  test("rows longer than a piece, every voxel type", () => {
    for (const Type of [Uint8Array, Int16Array, Float32Array, Float64Array]) {
      const data = new Type(Array.from({ length: 70 * 3 * 2 }, (_, i) => (i % 251) - 100));
      const volume = { data, shape: [70, 3, 2] as Vec3, affine: quaternionAffine([0, 0, 0], [0, 0, 0], [1, 1, 1], 1) };
      const turned = reorient(volume, "SLP"); // [D, H, W] = [P, L, S] = [3, 2, 70]
      expect(turned.shape).toEqual([3, 2, 70]);
      const expected = Array.from({ length: 420 }, (_, at) => {
        const [d, h, w] = [Math.floor(at / 140), Math.floor(at / 70) % 2, at % 70];
        return data[w * 6 + (2 - d) * 2 + (1 - h)];
      });
      expect(Array.from(turned.data)).toEqual(expected);
    }
  });
  test("a result of another grid cannot be restored", () => {
    const affine = quaternionAffine([0, 0, 0], [0, 0, 0], [1, 1, 1], 1);
    const volume = { data: new Uint8Array(2), shape: [1, 1, 2] as Vec3, affine };
    expect(() => restoreOrientation(volume, { shape: [1, 2, 1], affine })).toThrow(
      "Volume of shape [1, 1, 2] in RAS does not belong to the grid [1, 2, 1] in RAS",
    );
  });
});
