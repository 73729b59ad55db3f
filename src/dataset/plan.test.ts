import { readFile } from "node:fs/promises";
import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { type Vec3, voxelCount } from "../volume/volume.ts";
import { fingerprintDataset } from "./fingerprint.ts";
import { prepareDataset } from "./load.ts";
import type { Fingerprint } from "./measure.ts";
import { fingerprintCase } from "./measure.ts";
import { planDataset } from "./plan.ts";
import { patchLadder } from "./plan-patch.ts";
import { readDataset } from "./read.ts";
import { foldsOf } from "./splits.ts";
import { sharedData } from "./testing.ts";
import { checkPatch, planTopology, poolFactors, roundUpPatch } from "./topology.ts";
import type { Dataset } from "./types.ts";

function setOf(shapes: Vec3[], spacings: Vec3[], channels = ["MRI"]): [Fingerprint, Dataset] {
  const statistics = { percentile005: -50, percentile995: 200, mean: 60, sd: 30 };
  const cases = shapes.map((shape, i) => ({
    id: `${i}`,
    shape,
    spacing: spacings[i],
    foreground: [statistics],
    voxels: [],
    ml: [],
  }));
  const middle = (list: Vec3[]): Vec3 =>
    [0, 1, 2].map((a) => list.map((v) => v[a]).sort((x, y) => x - y)[list.length >> 1]) as Vec3;
  return [
    {
      version: 1,
      dataset: "x",
      cases,
      medianShape: middle(shapes),
      medianSpacing: middle(spacings),
      foreground: channels.map(() => statistics),
      classes: [],
    },
    {
      name: "x",
      root: "",
      channels,
      labels: [
        { value: 0, name: "background" },
        { value: 1, name: "organ" },
      ],
      training: [],
      test: [],
    },
  ];
}

describe("planTopology", () => {
  test("isotropic, 2D and anisotropic patches by hand", () => {
    const three: Vec3[] = [
      [2, 2, 2],
      [2, 2, 2],
      [2, 2, 2],
    ];
    expect(planTopology([36, 50, 35], [1, 1, 1]).pools).toEqual(three);
    expect(planTopology([1, 48, 48], [2, 2, 2])).toEqual({
      pools: [
        [1, 2, 2],
        [1, 2, 2],
        [1, 2, 2],
      ],
      kernels: [
        [1, 3, 3],
        [1, 3, 3],
        [1, 3, 3],
        [1, 3, 3],
      ],
    });
    // 5 mm slices: 5/1/1 and 5/2/2 kernel 1, 5/4/4 kernel 3; D is pooled once its voxels are less than twice as long.
    expect(planTopology([16, 64, 64], [5, 1, 1])).toEqual({
      pools: [
        [1, 2, 2],
        [1, 2, 2],
        [2, 2, 2],
        [2, 2, 2],
      ],
      kernels: [
        [1, 3, 3],
        [1, 3, 3],
        [3, 3, 3],
        [3, 3, 3],
        [3, 3, 3],
      ],
    });
    // Exactly twice as long is too long: 2/1/1 becomes 2/2/2 first.
    expect(planTopology([32, 64, 64], [2, 1, 1]).pools.slice(0, 2)).toEqual([
      [1, 2, 2],
      [2, 2, 2],
    ]);
    // A short axis stops early, the others go on.
    expect(planTopology([8, 64, 64], [1, 1, 1]).pools).toEqual([
      [2, 2, 2],
      [1, 2, 2],
      [1, 2, 2],
      [1, 2, 2],
    ]);
  });

  test("a pool count is kept or refused", () => {
    expect(planTopology([36, 50, 35], [1, 1, 1], 2).pools).toHaveLength(2);
    expect(planTopology([36, 50, 35], [1, 1, 1], 4).pools).toHaveLength(4);
    expect(() => planTopology([8, 8, 8], [1, 1, 1], 4)).toThrow(
      /room for 4 pools, but a patch of 8x8x8 voxels allows 2/,
    );
  });

  test("whatever the size and spacing, the rounded patch fits its pools and each axis keeps 4 voxels or its own size", () => {
    const size = fc.integer({ min: 1, max: 200 });
    const mm = fc.double({ min: 0.3, max: 8, noNaN: true });
    fc.assert(
      fc.property(fc.tuple(size, size, size), fc.tuple(mm, mm, mm), (shape, spacing) => {
        const { pools, kernels } = planTopology(shape as Vec3, spacing as Vec3);
        const patch = roundUpPatch(shape as Vec3, pools);
        checkPatch(patch, pools);
        expect(kernels).toHaveLength(pools.length + 1);
        for (let a = 0; a < 3; a++) {
          expect(patch[a]).toBeGreaterThanOrEqual(shape[a]);
          expect(patch[a] / poolFactors(pools)[a]).toBeGreaterThanOrEqual(Math.min(4, shape[a]));
          for (let l = 1; l < kernels.length; l++) expect(kernels[l][a]).toBeGreaterThanOrEqual(kernels[l - 1][a]);
        }
      }),
    );
  });
});

test("checkPatch names the axis and the nearest sizes", () => {
  const pools: Vec3[] = [
    [2, 2, 2],
    [1, 2, 2],
  ];
  expect(() => checkPatch([2, 8, 12], pools)).not.toThrow();
  expect(() => checkPatch([3, 8, 12], pools)).toThrow(/along D that is a multiple of 2 .* got 3; use 2 or 4/);
  expect(() => checkPatch([2, 8, 50], pools)).toThrow(/along W that is a multiple of 4 .* got 50; use 48 or 52/);
  expect(() => checkPatch([2, 3, 12], pools)).toThrow(/got 3; use 4\./);
});

describe("planDataset", () => {
  test("2D is D = 1; a scan that is flat along another axis keeps its axes", () => {
    const one = planDataset(...setOf([[1, 64, 48]], [[1, 1, 1]]));
    expect([one.dimensions, one.patch]).toEqual([2, [1, 64, 48]]);
    const other = planDataset(...setOf([[64, 48, 1]], [[1, 1, 1]]));
    expect([other.dimensions, other.patch, other.kernels[0], other.pools[0]]).toEqual([
      3,
      [64, 48, 1],
      [3, 3, 1],
      [2, 2, 1],
    ]);
    expect(other.reasons).toContain("The scans are one voxel thick along W: no pooling and kernel 1 along it.");
  });

  test("coarse axis takes the 10th percentile of spacing, and only where it is coarse and short", () => {
    const spacings: Vec3[] = [
      [3.5, 1, 1],
      [6, 1, 1],
      [6, 1, 1],
    ];
    const shapes: Vec3[] = [
      [20, 200, 200],
      [20, 200, 200],
      [20, 200, 200],
    ];
    // numpy.percentile([3.5, 6, 6], 10) = 3.5 + 0.2 * 2.5 = 4
    expect(planDataset(...setOf(shapes, spacings)).spacing).toEqual([4, 1, 1]);
    expect(
      planDataset(
        ...setOf(
          [
            [90, 200, 200],
            [90, 200, 200],
            [90, 200, 200],
          ],
          spacings,
        ),
      ).spacing,
    ).toEqual([6, 1, 1]);
  });

  test("a 2D batch is about 4 pictures of 128x128, but at most 5 % of the set and at least 2", () => {
    const batchOf = (cases: number, side = 64): number => {
      const shapes = Array.from({ length: cases }, (): Vec3 => [1, side, side]);
      return planDataset(
        ...setOf(
          shapes,
          shapes.map(() => [1, 1, 1]),
        ),
      ).batch;
    };
    // 4 x 128^2 / 64^2 = 16 pictures.
    expect([700, 320, 319, 130, 10].map((cases) => batchOf(cases))).toEqual([16, 16, 15, 6, 2]);
    expect([32, 128, 256, 512].map((side) => batchOf(5000, side))).toEqual([16, 4, 2, 2]);
  });

  test("the made-up scans of the demo keep their plan: the last axis is pooled alone from 8 voxels on", () => {
    const plan = planDataset(...setOf([[39, 57, 40]], [[1, 1, 1]]));
    expect([plan.patch, plan.batch, plan.pools]).toEqual([
      [40, 64, 40],
      2,
      [
        [2, 2, 2],
        [2, 2, 2],
        [2, 2, 2],
        [1, 2, 1],
      ],
    ]);
  });

  test("the plan that nnU-Net publishes for the prostate (its Task 5): 20 slices of 3.6 mm, 0.62 mm within", () => {
    const inPlane: Vec3 = [1, 2, 2];
    const all: Vec3 = [2, 2, 2];
    // nnU-Net goes on with two pools more within the slices, where lunet stops at 4.
    expect(planTopology([20, 320, 256], [3.6, 0.625, 0.625])).toEqual({
      pools: [inPlane, inPlane, all, all],
      kernels: [[1, 3, 3], [1, 3, 3], ...Array.from({ length: 3 }, () => [3, 3, 3])],
    });
  });

  test("large scans are cut to 96^3 voxels in their own proportions", () => {
    const plan = planDataset(...setOf([[100, 512, 512]], [[1, 1, 1]]));
    // Shares 0.32, 0.3125, 0.3125; the patch before was 32 x 160 x 176 with 901,120 voxels, more than 884,736.
    expect(plan.patch).toEqual([32, 160, 160]);
    expect(plan.reasons).toContain(
      "A patch sees 3 % of the median scan; if a structure is larger than that, plan with coarser voxels, for instance --spacing 2,2,2.",
    );
  });

  test("from the whole scan to the smallest patch, each smaller, each with pools that divide it", () => {
    const size = fc.integer({ min: 1, max: 150 });
    const mm = fc.double({ min: 0.3, max: 8, noNaN: true });
    const pools = fc.option(fc.integer({ min: 1, max: 3 }), { nil: undefined });
    fc.assert(
      fc.property(fc.tuple(size, size, size), fc.tuple(mm, mm, mm), pools, (shape, spacing, count) => {
        const ladder = patchLadder(shape as Vec3, spacing as Vec3, count);
        for (const [i, { patch, topology }] of ladder.entries()) {
          checkPatch(patch, topology.pools);
          if (count !== undefined) expect(topology.pools).toHaveLength(count);
          if (i > 0) expect(voxelCount(patch)).toBeLessThan(voxelCount(ladder[i - 1].patch));
        }
        if (count !== undefined) return;
        const { patch } = ladder[ladder.length - 1];
        for (let a = 0; a < 3; a++) expect(patch[a]).toBeLessThan(2 * Math.max(8, Math.min(shape[a], 8)) + 8);
      }),
    );
  });

  test("CT takes the set's foreground numbers, other channels a z-score; overrides win and are said", () => {
    const [fingerprint, dataset] = setOf([[32, 32, 32]], [[1, 1, 1]], ["ct", "CT (scaled to 0..1)"]);
    const plan = planDataset(fingerprint, dataset, {
      patch: [16, 24, 16],
      batch: 5,
      mirrorAxes: [0],
      spacing: [2, 2, 2],
    });
    expect(plan.channels.map((c) => c.normalisation)).toEqual([
      { kind: "ct", low: -50, high: 200, mean: 60, sd: 30 },
      { kind: "zscore", percentiles: [0.5, 99.5] },
    ]);
    expect([plan.patch, plan.batch, plan.mirrorAxes, plan.spacing]).toEqual([[16, 24, 16], 5, [0], [2, 2, 2]]);
    expect(plan.reasons.filter((reason) => /as asked/.test(reason))).toHaveLength(4);
    expect(planDataset(fingerprint, dataset).mirrorAxes).toEqual([]);
    const ways = (normalise: string) =>
      planDataset(fingerprint, dataset, { normalise }).channels.map(({ normalisation }) => normalisation);
    expect(ways("zscore-unclipped,scale:1000")).toEqual([
      { kind: "zscore", percentiles: null },
      { kind: "scale", divisor: 1000 },
    ]);
    expect(ways("ct")[1]).toEqual({ kind: "ct", low: -50, high: 200, mean: 60, sd: 30 });
    expect(() => ways("minmax")).toThrow("Expected --normalise to be zscore, zscore-unclipped, ct or scale:NUMBER");
    expect(() => ways("ct,ct,ct")).toThrow("one for each of the 2 channels, but got 3");
    const [named, set] = setOf([[32, 32, 32]], [[1, 1, 1]], ["noNorm", "rgb_to_0_1"]);
    expect(planDataset(named, set).channels.map(({ normalisation }) => normalisation)).toEqual([
      { kind: "scale", divisor: 1 },
      { kind: "scale", divisor: 255 },
    ]);
    expect(() => planDataset(fingerprint, dataset, { patch: [36, 24, 16] })).toThrow(/got 36; use 32 or 40/);
    expect(() => planDataset(fingerprint, dataset, { batch: 0 })).toThrow(/batch size/);
    expect(() => planDataset(fingerprint, dataset, { patch: [16, 16, 0.5] })).toThrow(/three whole numbers/);
    expect(() => planDataset(fingerprint, dataset, { pools: 9 })).toThrow(/room for 9 pools/);
  });
});

test("a case's fingerprint by hand: 2 mm voxels, labels 0 and 255", () => {
  const affine = Float64Array.of(0, 0, 2, 0, 1, 0, 0, 0, 0, 1, 0, 0, 0, 0, 0, 1); // i runs A, j runs S, k runs R (2 mm)
  const image = { data: Float32Array.of(1, 2, 3, 4, 5, 6), shape: [1, 2, 3] as Vec3, affine };
  const label = { ...image, data: Uint8Array.of(0, 255, 255, 0, 0, 255) };
  const labels = [0, 255].map((value) => ({ value, name: `${value}` }));
  const set = { channels: ["MRI"], labels };
  const { fingerprint, foreground } = fingerprintCase("a", [image], label, set);
  expect([...foreground[0]]).toEqual([2, 3, 6]);
  // Canonical D, H, W = S, A, R.
  expect(fingerprint.shape).toEqual([2, 3, 1]);
  expect(fingerprint.spacing).toEqual([1, 1, 2]);
  expect(fingerprint.voxels).toEqual([3, 3]);
  expect(fingerprint.ml[1]).toBeCloseTo(0.006, 12);
  expect(fingerprint.foreground[0].mean).toBeCloseTo(11 / 3, 6);
  expect(fingerprint.foreground[0].percentile995).toBeCloseTo(5.97, 5);
  const data = Float32Array.of(1, 2, 3, Number.NaN, 5, 6);
  expect(() => fingerprintCase("a", [{ ...image, data }], label, set)).toThrow(
    "Expected finite voxels in case a, channel MRI, but found NaN; run lunet verify and mend the file.",
  );
  const short = { data: new Uint8Array(4), shape: [1, 2, 2] as Vec3, affine };
  expect(() => fingerprintCase("a", [image], short, set)).toThrow(
    "Expected the label of case a on the grid of its first image [1, 2, 3] (D, H, W), but it is [1, 2, 2]",
  );
  expect(() => fingerprintCase("a", [image], { ...label, data: new Uint8Array(6).fill(3) }, set)).toThrow(
    "Expected label values 0, 255 in case a, but found 3",
  );
});

const hippocampus = sharedData("hippocampus");
test.skipIf(!hippocampus)("hippocampus: plan, folds and prepared cases", async () => {
  const dataset = await readDataset(hippocampus);
  const plan = planDataset(await fingerprintDataset(dataset), dataset);
  expect(plan.patch).toEqual([40, 56, 40]);
  expect(plan.pools).toEqual([
    [2, 2, 2],
    [2, 2, 2],
    [2, 2, 2],
  ]);
  expect(plan.spacing).toEqual([1, 1, 1]);
  expect(plan.dimensions).toBe(3);
  expect(foldsOf(dataset)).toEqual(JSON.parse(await readFile(`${hippocampus}/splits.json`, "utf8")));
  const ids = dataset.splits![0].val.slice(0, 2);
  const prepared = await prepareDataset(dataset, plan, { ids });
  expect(prepared.map(({ id }) => id)).toEqual(ids);
  for (const { image, label } of prepared) {
    const mean = image.reduce((sum, v) => sum + v, 0) / image.length;
    expect(Math.abs(mean)).toBeLessThan(1e-4);
    expect(new Set(label)).toEqual(new Set([0, 1, 2]));
  }
  await expect(prepareDataset(dataset, plan, { ids: ["nobody"] })).rejects.toThrow(
    /case of Hippocampus, but "nobody" is none/,
  );
});
