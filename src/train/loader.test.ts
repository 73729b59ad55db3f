import { afterEach, describe, expect, it } from "vitest";
import type { Plan, PreparedCase } from "../dataset/types.ts";
import { random } from "../util/random.ts";
import type { Vec3 } from "../volume/volume.ts";
import { createDirectLoader, type Loader } from "./direct-loader.ts";
import { createWorkerLoader, shareCase } from "./loader.ts";

const shape: Vec3 = [6, 7, 8];
const cases: PreparedCase[] = [1, 2, 3].map((seed) => {
  const generator = random(seed);
  return {
    id: `case${seed}`,
    shape,
    image: Float32Array.from({ length: 336 }, () => generator.normal()),
    label: Uint8Array.from({ length: 336 }, () => generator.int(3)),
    source: { shape, affine: [], canonicalShape: shape, cropStart: [0, 0, 0], cropShape: shape },
  };
});
const plan: Plan = {
  version: 1,
  dataset: "made up",
  dimensions: 3,
  channels: [{ name: "MRI", normalisation: { kind: "zscore", percentiles: null } }],
  labels: [0, 1, 2].map((value) => ({ value, name: `class ${value}` })),
  spacing: [1, 1, 1],
  patch: [4, 4, 4],
  batch: 2,
  pools: [[2, 2, 2]],
  kernels: [
    [3, 3, 3],
    [3, 3, 3],
  ],
  mirrorAxes: [0, 1, 2],
  reasons: [],
};

describe("loader", () => {
  let loader: Loader | undefined;
  afterEach(() => loader?.close());
  const data = { cases: cases.map(shareCase), plan, options: { seed: 5, batch: 2, augment: "full" as const } };

  it("makes the same batches ahead in a worker as on the spot, also after a jump back", async () => {
    loader = createWorkerLoader(data);
    const direct = createDirectLoader({ ...data, cases });
    for (const step of [0, 1, 2, 0, 1, 2, 3, 4, 5]) {
      expect(await loader.next(step), `step ${step}`).toEqual(await direct.next(step));
    }
    expect(await direct.next(0)).not.toEqual(await direct.next(1));
  });

  it("reports what went wrong in the worker", async () => {
    loader = createWorkerLoader({ ...data, cases: [] });
    await expect(loader.next(0)).rejects.toThrow("at least one training case");
  });
});
