import { existsSync } from "node:fs";
import { fileURLToPath } from "node:url";
import type { Vec3 } from "../volume/volume.ts";
import type { Plan, PreparedCase } from "./types.ts";

/** A prepared case from literal numbers, for tests. */
export function preparedOf(
  shape: Vec3,
  image: ArrayLike<number>,
  label?: ArrayLike<number>,
  id = "case",
): PreparedCase {
  return {
    id,
    image: Float32Array.from(image),
    shape,
    ...(label ? { label: Uint8Array.from(label) } : {}),
    source: {
      shape,
      affine: [1, 0, 0, 0, 0, 1, 0, 0, 0, 0, 1, 0, 0, 0, 0, 1],
      canonicalShape: shape,
      cropStart: [0, 0, 0],
      cropShape: shape,
    },
  };
}

/** Path of a shared data folder beside the repository, or undefined (with a printed reason) where it is not there. */
export function sharedData(name: string): string | undefined {
  const path = fileURLToPath(new URL(`../../../shared/data/${name}`, import.meta.url));
  if (existsSync(path)) return path;
  console.log(`Tests on ${name} are skipped: ../shared/data/${name} is not there.`);
  return undefined;
}

/** A plan with the given fields over a one-channel, two-class default, for tests. */
export function planOf(fields: Partial<Plan> = {}): Plan {
  return {
    version: 1,
    dataset: "test",
    dimensions: 3,
    channels: [{ name: "MRI", normalisation: { kind: "zscore", percentiles: null } }],
    labels: [
      { value: 0, name: "background" },
      { value: 1, name: "organ" },
    ],
    spacing: [1, 1, 1],
    patch: [8, 8, 8],
    batch: 2,
    pools: [[2, 2, 2]],
    kernels: [
      [3, 3, 3],
      [3, 3, 3],
    ],
    mirrorAxes: [],
    reasons: [],
    ...fields,
  };
}
