import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { worldOf } from "./affine.ts";
import { type ResampleOrder, resample, resampleLabels } from "./resample.ts";
import type { Vec3, VoxelArray } from "./volume.ts";

const line = (...values: number[]): { data: Float64Array; shape: Vec3 } => ({
  data: Float64Array.from(values),
  shape: [1, 1, values.length],
});
const along = (values: number[], size: number, order: ResampleOrder): number[] =>
  Array.from(resample(line(...values), [1, 1, size], { order }).data);

function distance(a: ArrayLike<number>, b: ArrayLike<number>): number {
  expect(a.length).toBe(b.length);
  return Math.max(...Array.from(a, (value, i) => Math.abs(value - b[i])));
}

describe("one axis by hand", () => {
  test("linear: twice as many, half as many, edges go on", () => {
    expect(along([0, 4], 4, "linear")).toEqual([0, 1, 3, 4]); // x = -0.25, 0.25, 0.75, 1.25
    expect(along([1, 3, 5, 9], 2, "linear")).toEqual([2, 7]); // x = 0.5, 2.5
    expect(along([7], 3, "linear")).toEqual([7, 7, 7]);
    expect(along([0, 3, 6], 2, "linear")).toEqual([0.75, 5.25]); // x = 0.25, 1.75
  });
  test("nearest: halves go up, ends stay inside", () => {
    expect(along([1, 2, 3, 4], 2, "nearest")).toEqual([2, 4]); // x = 0.5, 2.5
    expect(along([1, 2], 5, "nearest")).toEqual([1, 1, 2, 2, 2]); // x = -0.3, 0.1, 0.5, 0.9, 1.3
  });
  test("cubic: values of scipy.ndimage.zoom(order=3, mode='nearest', grid_mode=True), scipy 1.17", () => {
    const eight = [2.203632065, 3.932052148, 1.984110239, 8.546473466, 4.422601495];
    expect(distance(along([3, 1, 4, 1, 5, 9, 2, 6], 5, "cubic"), eight)).toBeLessThan(1e-9);
    const three = [3.286893194, 2.691555975, 1.511885617, 1, 2.034200203, 3.609631885, 4.36179755];
    expect(distance(along([3, 1, 4], 7, "cubic"), three)).toBeLessThan(1e-8);
  });
});

/** Values of skimage.transform.resize(order, mode="edge", anti_aliasing=False, clip=False), scikit-image, 9 decimals. */
const skimage = {
  // biome-ignore format: a table of 3 x 2 x 5
  linear: [
    15.75, 21.875, 35.875, 35.55, 8.25, 51, 62.9, 45.625, 36.75, 68.25, 37.875, 32.1, 38.8125, 42.5625, 29.875,
    46.875, 46.875, 41.25, 44.025, 63.625, 60, 42.325, 41.75, 49.575, 51.5, 42.75, 30.85, 36.875, 51.3, 59,
  ],
  // biome-ignore format: a table of 3 x 2 x 5
  cubic: [
    10.834252935, 13.843666982, 40.294761072, 38.187453406, -1.922235184, 52.721231405, 75.80545765, 43.289802647,
    27.624715469, 76.150889403, 38.995623181, 28.282045579, 39.867349574, 45.671283888, 26.228664837, 47.898637528,
    49.945821164, 38.338740802, 42.02547548, 67.16413272, 67.156993426, 42.720424177, 39.439938077, 53.15511437,
    54.379564858, 43.076043652, 24.086184677, 33.387678958, 56.42623549, 58.177376038,
  ],
};
const small = {
  data: Float64Array.from({ length: 24 }, (_, i) => (i * i * 7 + i * 13) % 101),
  shape: [2, 3, 4] as Vec3,
};

test.each(["linear", "cubic"] as const)("%s in three axes gives scikit-image's values", (order) => {
  const { data } = resample(small, [3, 2, 5], { order });
  // The cubic's edges are exact here and cut off after 12 voxels there (pole^12 = 1e-7 of the edge step at most).
  expect(distance(data, skimage[order])).toBeLessThan(1e-6);
});

/** The interpolant evaluated voxel by voxel, all three axes at once, from its definition. */
function direct(data: ArrayLike<number>, shape: Vec3, size: Vec3, order: "nearest" | "linear"): number[] {
  const out: number[] = [];
  const clamp = (i: number, n: number): number => Math.min(n - 1, Math.max(0, i));
  for (let k = 0; k < size[0]; k++)
    for (let j = 0; j < size[1]; j++)
      for (let i = 0; i < size[2]; i++) {
        const x = [k, j, i].map((at, axis) => ((at + 0.5) * shape[axis]) / size[axis] - 0.5);
        let sum = 0;
        for (let corner = 0; corner < 8; corner++) {
          let weight = 1;
          let at = 0;
          for (let axis = 0; axis < 3; axis++) {
            const up = (corner >> axis) & 1;
            const low = Math.floor(x[axis]);
            const share = order === "linear" ? x[axis] - low : Number(x[axis] - low > 0.5 - 1e-12);
            weight *= up ? share : 1 - share;
            at = at * shape[axis] + clamp(low + up, shape[axis]);
          }
          sum += weight * data[at];
        }
        out.push(sum);
      }
  return out;
}

const size = fc.integer({ min: 1, max: 9 });
const shapes = fc.tuple(size, size, size) as fc.Arbitrary<Vec3>;
const noise = (count: number): number[] => Array.from({ length: count }, (_, i) => ((i * 7919 + 13) % 211) - 100);

test("law: separable = direct formula, any shapes", () => {
  fc.assert(
    fc.property(shapes, shapes, fc.constantFrom("nearest" as const, "linear" as const), (shape, target, order) => {
      const data = Float64Array.from(noise(shape[0] * shape[1] * shape[2]));
      const out = resample({ data, shape }, target, { order });
      expect(out.shape).toEqual(target);
      expect(distance(out.data, direct(data, shape, target, order))).toBeLessThan(1e-11);
    }),
    { numRuns: 200 },
  );
});

test("law: the cubic goes through every sample (odd factors keep the old centres) and keeps constants", () => {
  fc.assert(
    fc.property(fc.array(fc.integer({ min: -50, max: 50 }), { minLength: 1, maxLength: 40 }), (values) => {
      const fine = along(values, values.length * 3, "cubic");
      expect(
        distance(
          fine.filter((_, i) => i % 3 === 1),
          values,
        ),
      ).toBeLessThan(1e-10);
      const flat = along(
        values.map(() => 7),
        11,
        "cubic",
      );
      expect(distance(flat, Array(11).fill(7))).toBeLessThan(1e-12);
    }),
  );
});

test("many lines at once: more than a block, along every axis", () => {
  const shape: Vec3 = [6, 9, 11];
  const data = Float64Array.from(noise(594));
  for (const target of [
    [6, 9, 22],
    [6, 4, 11],
    [13, 9, 11],
    [13, 4, 22],
  ] as Vec3[]) {
    const out = resample({ data, shape }, target);
    expect(distance(out.data, direct(data, shape, target, "linear"))).toBeLessThan(1e-11);
    // Each cubic line on its own gives the same bits as in a block.
    const { data: cubic } = resample({ data, shape }, [6, 9, 22], { order: "cubic" });
    for (const row of [0, 31, 32, 53]) {
      const alone = along([...data.subarray(row * 11, row * 11 + 11)], 22, "cubic");
      expect(Array.from(cubic.subarray(row * 22, row * 22 + 22))).toEqual(alone);
    }
  }
});

test("voxel types: nearest keeps them, smooth orders give floats of enough precision", () => {
  const of = (data: VoxelArray, order: ResampleOrder): string =>
    resample({ data, shape: [1, 1, 2] }, [1, 1, 4], { order }).data.constructor.name;
  for (const Type of [Uint8Array, Int8Array, Uint16Array, Int16Array, Float32Array]) {
    expect([of(Type.of(1, 2), "nearest"), of(Type.of(1, 2), "linear"), of(Type.of(1, 2), "cubic")]).toEqual([
      Type.name,
      "Float32Array",
      "Float32Array",
    ]);
  }
  for (const Type of [Int32Array, Uint32Array, Float64Array]) {
    expect([of(Type.of(1, 2), "nearest"), of(Type.of(1, 2), "linear")]).toEqual([Type.name, "Float64Array"]);
  }
  const same = { data: Uint8Array.of(1, 2), shape: [1, 1, 2] as Vec3 };
  expect(resample(same, [1, 1, 2], { order: "nearest" }).data).toBe(same.data);
  expect(resample(same, [1, 1, 2]).data).toEqual(Float32Array.of(1, 2));
});

test("the affine moves so that world positions stay", () => {
  // A ramp that holds the world x of every voxel: after resampling it must still do so, away from the edges.
  const affine = Float64Array.of(2, 0, 0, -10, 0, 0, 1.5, 3, 0, -3, 0, 5, 0, 0, 0, 1);
  const [d, h, w] = [4, 5, 12];
  const world = (axis: number): Float64Array =>
    Float64Array.from(
      { length: d * h * w },
      (_, at) => worldOf(affine, at % w, Math.floor(at / w) % h, Math.floor(at / (w * h)))[axis],
    );
  const target: Vec3 = [6, 4, 9];
  for (const axis of [0, 1, 2]) {
    const out = resample({ data: world(axis), shape: [d, h, w], affine }, target);
    const at = (k: number, j: number, i: number): number => out.data[(k * target[1] + j) * target[2] + i];
    for (const [k, j, i] of [
      [1, 1, 1],
      [4, 2, 7],
      [2, 2, 3],
    ]) {
      expect(at(k, j, i)).toBeCloseTo(worldOf(out.affine, i, j, k)[axis], 10);
    }
  }
  expect([...affine.slice(0, 4)]).toEqual([2, 0, 0, -10]);
});

/** Per class: the mask resampled linearly; then the class with the most, the smallest value on ties. */
function directLabels(data: ArrayLike<number>, shape: Vec3, target: Vec3): number[] {
  const values = [...new Set(Array.from(data))].sort((a, b) => a - b);
  const masks = values.map((value) =>
    direct(
      Array.from(data, (v) => Number(v === value)),
      shape,
      target,
      "linear",
    ),
  );
  return masks[0].map((_, at) => {
    let best = 0;
    for (let c = 1; c < values.length; c++) if (masks[c][at] > masks[best][at] + 1e-9) best = c;
    return values[best];
  });
}

describe("labels", () => {
  test("law: the same as resampling every mask, any shapes and label values", () => {
    const labels = fc.infiniteStream(fc.constantFrom(0, 1, 2, 7, 200));
    fc.assert(
      fc.property(shapes, shapes, labels, (shape, target, stream) => {
        const data = Uint8Array.from([...stream.take(shape[0] * shape[1] * shape[2])]);
        const out = resampleLabels({ data, shape }, target);
        expect(out.data).toBeInstanceOf(Uint8Array);
        expect(Array.from(out.data)).toEqual(directLabels(data, shape, target));
      }),
      { numRuns: 200 },
    );
  });
  test("by hand: majority, and ties to the smaller label", () => {
    const of = (values: number[], n: number): number[] => [
      ...resampleLabels({ data: Int16Array.from(values), shape: [1, 1, values.length] }, [1, 1, n]).data,
    ];
    expect(of([0, 2], 6)).toEqual([0, 0, 0, 2, 2, 2]);
    expect(of([5, -1, 3, 3], 2)).toEqual([-1, 3]);
    expect(of([0, 1, 1], 2)).toEqual([0, 1]); // shares at x = 0.25: 0.75 and 0.25
  });
  test("law: downsampling what was enlarged by whole factors gives the map back", () => {
    fc.assert(
      fc.property(shapes, fc.integer({ min: 1, max: 3 }), (shape, factor) => {
        const data = Uint8Array.from(noise(shape[0] * shape[1] * shape[2]), (v) => v & 3);
        const large = resample({ data, shape }, shape.map((n) => n * factor) as Vec3, { order: "nearest" });
        expect(resampleLabels(large, shape).data).toEqual(data);
      }),
    );
  });
});

test("impossible shapes are refused", () => {
  expect(() => resample(small, [1, 0, 2])).toThrow("Cannot resample to shape [1, 0, 2]; expected three whole numbers");
  expect(() => resampleLabels(small, [1, 1.5, 2])).toThrow("Cannot resample to shape [1, 1.5, 2]");
  expect(() => resample({ data: small.data, shape: [2, 2, 2] }, [1, 1, 1])).toThrow("[2, 2, 2] does not fit 24 voxels");
});
