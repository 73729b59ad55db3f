import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { random } from "../util/random.ts";
import { readVolume } from "../volume/files.ts";
import { axisCodes, reorient } from "../volume/orientation.ts";
import { resample } from "../volume/resample.ts";
import { spacingOf, type Vec3, type Volume, voxelCount } from "../volume/volume.ts";
import { chooseCrop, cropVolume } from "./crop.ts";
import { createNormaliser } from "./normalise.ts";
import { openCase, prepareCase } from "./preprocess.ts";
import { planePercentiles } from "./preprocess-percentiles.ts";
import { createGridRestorer } from "./preprocess-restore.ts";
import { percentiles } from "./statistics.ts";
import { planOf, sharedData } from "./testing.ts";
import type { Normalisation, Plan, PreparedCase } from "./types.ts";

const unit = (): Float64Array => Float64Array.of(1, 0, 0, 0, 0, 1, 0, 0, 0, 0, 1, 0, 0, 0, 0, 1);
const labels = [0, 1, 255].map((value) => ({ value, name: `label ${value}` }));
const plan = planOf({ labels, channels: [{ name: "MRI", normalisation: { kind: "scale", divisor: 1 } }] });

function oneHot(classes: Uint8Array, K: number): Float32Array {
  const scores = new Float32Array(K * classes.length);
  for (let i = 0; i < classes.length; i++) scores[classes[i] * classes.length + i] = 1;
  return scores;
}

/** Scores [K, D, H, W] back on the file's grid. */
function restoreGrid(scores: Float32Array, prepared: PreparedCase, plan: Plan): Volume<Uint8Array> {
  const restorer = createGridRestorer(prepared, plan);
  const [D, H, W] = prepared.shape;
  for (let d = 0; d < D; d++) restorer.push(planeOf(scores, [D, H, W], d));
  return restorer.finish();
}

/** Plane d of [K, D, H, W] as [K, H, W]. */
function planeOf(scores: Float32Array, [D, H, W]: Vec3, d: number): Float32Array {
  const K = scores.length / (D * H * W);
  const rows = Array.from({ length: K }, (_, k) => [...scores.subarray((k * D + d) * H * W, (k * D + d + 1) * H * W)]);
  return Float32Array.from(rows.flat());
}

/** The values as two planes, brought to the common scale. */
function normalise(values: ArrayLike<number>, how: Normalisation): Float32Array {
  const x = Float32Array.from(values);
  const half = x.length >> 1;
  createNormaliser(() => [x.subarray(0, half), x.subarray(half)], how)(x);
  return x;
}

describe("normalise", () => {
  test("z-score clips to the volume's percentiles, then has mean 0 and sd 1", () => {
    const x = Float32Array.of(0, 1, 2, 3, 1000);
    // Percentiles 0 and 75 are 0 and 3: 0 1 2 3 3 has mean 1.8, sd sqrt(1.36).
    const z = normalise(x, { kind: "zscore", percentiles: [0, 75] });
    for (const [i, v] of [0, 1, 2, 3, 3].entries()) expect(z[i]).toBeCloseTo((v - 1.8) / Math.sqrt(1.36), 5);
    expect(x[4]).toBe(1000);
  });

  test("ct uses the set's numbers, scale divides, a constant volume becomes zeros", () => {
    const ct = { kind: "ct", low: -100, high: 300, mean: 100, sd: 50 } as const;
    expect([...normalise(Int16Array.of(-1000, 150, 900), ct)]).toEqual([-4, 1, 4]);
    expect([...normalise(Uint8Array.of(0, 51, 255), { kind: "scale", divisor: 255 })][2]).toBe(1);
    expect([...normalise(Uint8Array.of(7, 7), { kind: "zscore", percentiles: null })]).toEqual([0, 0]);
  });

  test("percentiles of planes are those of the whole list, to the last bit", () => {
    const value = fc.oneof(fc.float({ noNaN: true, noDefaultInfinity: true }), fc.integer({ min: -3, max: 3 }));
    const point = fc.double({ min: 0, max: 100, noNaN: true });
    fc.assert(
      fc.property(
        fc.array(value, { minLength: 1, maxLength: 60 }),
        fc.array(point),
        fc.nat(60),
        (list, points, cut) => {
          const x = Float32Array.from(list);
          const planes = () => [x.subarray(0, cut), x.subarray(cut)];
          // -0 and 0 are one value.
          expect(planePercentiles(planes, points).map((p) => p + 0)).toEqual(percentiles(x, points).map((p) => p + 0));
        },
      ),
    );
  });
});

test("the crop is the non-zero box of all channels, where it saves a quarter", () => {
  const volume = (at: number[], shape: Vec3 = [2, 3, 4]): Volume => {
    const data = new Float32Array(24);
    for (const i of at) data[i] = 5;
    return { data, shape, affine: unit() };
  };
  expect(chooseCrop([volume([5]), volume([18])])).toEqual({ start: [0, 1, 1], shape: [2, 1, 2] });
  expect(chooseCrop([volume([0, 23])])).toEqual({ start: [0, 0, 0], shape: [2, 3, 4] });
  // Box of 2 x 3 x 3 = 18 of 24 voxels saves exactly a quarter.
  expect(chooseCrop([volume([0, 22])]).shape).toEqual([2, 3, 3]);
  expect(chooseCrop([volume([])]).shape).toEqual([2, 3, 4]);
});

describe("prepareCase and restoreGrid", () => {
  const codes = ["RAS", "LPS", "PSR", "LAS", "SAR", "IPL", "ARI"];
  const arbitrary = fc.record({
    shape: fc.tuple(fc.integer({ min: 1, max: 6 }), fc.integer({ min: 1, max: 6 }), fc.integer({ min: 1, max: 6 })),
    code: fc.constantFrom(...codes),
    seed: fc.nat(),
    padded: fc.boolean(),
  });

  test("without resampling the label comes back exactly, on odd orientations, cropped or not", () => {
    let crops = 0;
    fc.assert(
      fc.property(arbitrary, ({ shape, code, seed, padded }) => {
        const r = random(seed);
        const [D, H, W] = shape as Vec3;
        const data = new Float32Array(D * H * W);
        const values = new Uint8Array(D * H * W);
        for (let i = 0; i < data.length; i++) {
          const w = i % W;
          // Left half zero: a crop that must not lose anything.
          if (padded && w < W / 2) continue;
          data[i] = 1 + r.next();
          values[i] = labels[r.int(3)].value;
        }
        const canonical: Volume<Float32Array> = { data, shape: [D, H, W], affine: unit() };
        canonical.affine[3] = 12.5;
        const image = reorient(canonical, code);
        const label = reorient({ ...canonical, data: values }, code);
        expect(axisCodes(image.affine)).toBe(code);
        const prepared = prepareCase([image], label, plan, "a");
        if (prepared.shape.join() !== shape.join()) crops++;
        const restored = restoreGrid(oneHot(prepared.label!, 3), prepared, plan);
        expect(restored.data).toEqual(label.data);
        expect(restored.shape).toEqual(image.shape);
        expect(restored.affine).toEqual(image.affine);
      }),
    );
    expect(crops).toBeGreaterThan(5);
  });

  test("a file stored in another orientation gives the same prepared case", () => {
    const canonical: Volume = {
      data: Float32Array.from({ length: 24 }, (_, i) => i + 1),
      shape: [2, 3, 4],
      affine: unit(),
    };
    const expected = prepareCase([canonical], undefined, plan, "a").image;
    for (const code of codes)
      expect(prepareCase([reorient(canonical, code)], undefined, plan, "a").image).toEqual(expected);
  });

  test("coarser files are resampled to the plan's spacing and predictions return to their grid", () => {
    const affine = unit();
    affine[0] = 2; // W: 2 mm
    const image: Volume = { data: Float32Array.of(1, 1, 1, 1, 5, 5, 5, 5), shape: [1, 1, 8], affine };
    const label: Volume = { data: Uint8Array.of(0, 0, 0, 0, 255, 255, 255, 255), shape: [1, 1, 8], affine };
    const prepared = prepareCase([image], label, plan, "a");
    expect(prepared.shape).toEqual([1, 1, 16]);
    expect([...prepared.label!]).toEqual([...new Array(8).fill(0), ...new Array(8).fill(2)]);
    expect([...prepared.image.subarray(6, 10)]).toEqual([1, 2, 4, 5]);
    expect([...restoreGrid(oneHot(prepared.label!, 3), prepared, plan).data]).toEqual([...label.data]);
    // 0.5 % off is no reason to resample.
    affine[0] = 1.005;
    expect(prepareCase([image], label, plan, "a").shape).toEqual([1, 1, 8]);
  });

  test("plane by plane gives what the whole volume gives, to the last bit: any axes, crop and spacing", () => {
    const mm = fc.tuple(...[0, 1, 2].map(() => fc.constantFrom(0.4, 0.7, 1, 1.3, 2.5)));
    fc.assert(
      fc.property(arbitrary, mm, ({ shape, code, seed, padded }, spacing) => {
        const r = random(seed);
        const [D, H, W] = shape as Vec3;
        const channel = (): Volume => {
          const data = Int16Array.from({ length: D * H * W }, (_, i) => (padded && i % W < W / 2 ? 0 : 1 + r.int(900)));
          return { data, shape: [D, H, W], affine: unit() };
        };
        const canonical = [channel(), channel()];
        const channels = [7, 3].map((divisor) => ({ name: "", normalisation: { kind: "scale", divisor } }) as const);
        const two = planOf({ labels, spacing: spacing as Vec3, channels });
        const crop = chooseCrop(canonical);
        const prepared = prepareCase(
          canonical.map((volume) => reorient(volume, code)),
          undefined,
          two,
          "a",
        );
        const whole = canonical.map((volume, c) => {
          const data = Float32Array.from(cropVolume(volume, crop).data, (x) => x / channels[c].normalisation.divisor);
          return [...resample({ data, shape: crop.shape }, prepared.shape).data];
        });
        expect(prepared.image).toEqual(Float32Array.from(whole.flat()));

        const voxels = voxelCount(prepared.shape);
        const scores = Float32Array.from({ length: 3 * voxels }, () => r.next());
        const grids = [0, 1, 2].map((k) => {
          const data = scores.subarray(k * voxels, (k + 1) * voxels);
          return resample({ data, shape: prepared.shape }, crop.shape).data;
        });
        const inside = cropVolume(reorient(restoreGrid(scores, prepared, two)), crop).data;
        expect([...inside]).toEqual(
          Array.from(inside, (_, i) => {
            const at = grids.map((grid) => grid[i]);
            return labels[at.indexOf(Math.max(...at))].value;
          }),
        );
      }),
    );
  });

  test("planes may be asked for in any order", () => {
    const affine = unit();
    affine[10] = 0.6; // D
    const image: Volume = { data: Float32Array.from({ length: 60 }, (_, i) => (i * 7) % 11), shape: [5, 3, 4], affine };
    const { shape, image: whole } = prepareCase([image], undefined, plan, "a");
    expect(shape).toEqual([3, 3, 4]);
    const opened = openCase([image], plan, "a");
    for (const d of [2, 0, 1, 1]) expect(opened.plane(d)).toEqual(planeOf(whole, shape, d));
  });

  test("clear errors", () => {
    const image: Volume = { data: new Float32Array(8).fill(1), shape: [2, 2, 2], affine: unit() };
    const label = (data: Volume["data"], shape: Vec3 = [2, 2, 2]): Volume => ({ data, shape, affine: unit() });
    expect(() => prepareCase([image, image], undefined, plan, "a")).toThrow(/1 channel \(MRI\) for case a, but got 2/);
    expect(() => prepareCase([image], label(new Uint8Array(12), [2, 2, 3]), plan, "a")).toThrow(
      /\[2, 2, 2\].*is \[2, 2, 3\]/,
    );
    expect(() => prepareCase([image], label(new Uint8Array(8).fill(4)), plan, "a")).toThrow(
      /values 0, 1, 255 in case a, but found 4/,
    );
    expect(() => prepareCase([image], label(new Float32Array(8).fill(0.5)), plan, "a")).toThrow(/found 0.5/);
    expect(() => prepareCase([image], reorient(label(new Uint8Array(8)), "LPS"), plan, "a")).toThrow(
      "Expected the label of case a in the place of its first image, but their affines put a corner 1.41 mm apart (axes LPS against RAS); run lunet verify and mend the file.",
    );
    // 4 % of a voxel is rounding, 6 % is another place: the limit of verify.
    const shifted = (mm: number): Volume => {
      const moved = label(new Uint8Array(8));
      moved.affine[3] = mm;
      return moved;
    };
    expect(prepareCase([image], shifted(0.04), plan, "a").label).toHaveLength(8);
    expect(() => prepareCase([image], shifted(0.06), plan, "a")).toThrow("a corner 0.0600 mm apart (axes RAS");
    const holed: Volume = { ...image, data: Float32Array.of(1, 1, 1, Number.NaN, 1, 1, 1, 1) };
    expect(() => openCase([holed], plan, "a")).toThrow(/finite voxels in case a, channel MRI, but found NaN/);
    const early = createGridRestorer(prepareCase([image], undefined, plan, "a"), plan);
    expect(() => early.finish()).toThrow("2 planes of scores for case a, but got 0");
    expect(() => restoreGrid(new Float32Array(16), prepareCase([image], undefined, plan, "a"), plan)).toThrow(
      /3 classes.*got 2;/,
    );
  });
});

const odd = sharedData("formats/nifti_odd_axes");
test.skipIf(!odd).each([
  ["t1w", "RAS"],
  ["t2", "PSR"],
])("real spine scan %s (%s): its mask survives the way to the net's space and back", async (name, axes) => {
  const image = await readVolume(`${odd}/${name}.nii.gz`);
  const mask = await readVolume(`${odd}/${name}_seg-manual.nii.gz`);
  expect(axisCodes(image.affine)).toBe(axes);
  const binary = planOf({ spacing: spacingOf(reorient(image)) });
  const prepared = prepareCase([image], mask, binary, name);
  const restored = restoreGrid(oneHot(prepared.label!, 2), prepared, binary);
  expect(restored.shape).toEqual(image.shape);
  expect(restored.affine).toEqual(image.affine);
  let different = 0;
  let inside = 0;
  for (let i = 0; i < mask.data.length; i++) {
    if (restored.data[i] !== mask.data[i]) different++;
    if (mask.data[i] !== 0) inside++;
  }
  expect(inside).toBeGreaterThan(100);
  expect(different).toBe(0);
  // Voxels 1.5 times as long: thin structures may lose their rim, not their place (Dice above 0.85).
  const coarse = planOf({ spacing: binary.spacing.map((s) => s * 1.5) as Vec3 });
  const small = prepareCase([image], mask, coarse, name);
  const back = restoreGrid(oneHot(small.label!, 2), small, coarse);
  let both = 0;
  let sum = 0;
  for (let i = 0; i < mask.data.length; i++) {
    both += back.data[i] && mask.data[i] ? 2 : 0;
    sum += back.data[i] + mask.data[i];
  }
  expect(both / sum).toBeGreaterThan(0.85);
});
