import type { Random } from "../util/random.ts";
import type { Vec3 } from "../volume/volume.ts";
import { type AugmentLevel, augmentLevels, type IntensityStep, intensitySteps } from "./augment-chain.ts";
import { cutPatch, type Patch, type PatchSource } from "./sample.ts";
import type { Plan, PreparedCase } from "./types.ts";
import { warpPatch } from "./warp.ts";
import { drawFactor, drawSpatial, spatialRanges } from "./warp-matrix.ts";

export type { AugmentLevel } from "./augment-chain.ts";

/** Probability of mirroring along each axis that allows it. */
export const mirrorProbability = 0.5;

/**
 * The patch at `start`, augmented. Everything random comes from `random`, so one stream gives one result, whatever the order of
 * calls or the machine. `plan.mirrorAxes` alone decides along which axes patches are mirrored.
 */
export function augmentPatch(
  prepared: PreparedCase,
  plan: Pick<Plan, "spacing" | "mirrorAxes">,
  shape: Vec3,
  start: Vec3,
  random: Random,
  level: AugmentLevel,
  into?: Patch,
): Patch {
  const { warp, move, intensities } = augmentLevels[level];
  const ranges = spatialRanges(shape, plan.spacing);
  const matrix = warp ? drawSpatial(plan.spacing, ranges, random) : undefined;
  const read = (from: PatchSource, to?: Patch): Patch =>
    matrix ? warpPatch(from, shape, start, matrix, to) : cutPatch(from, shape, start, to);
  // As channels of another image, which has no label: the patch itself comes after it and sets that.
  if (prepared.soft && into?.soft) {
    read({ image: prepared.soft, shape: prepared.shape }, { image: into.soft, label: into.label, shape });
  }
  const patch = read(prepared, into);
  const channels = channelsOf(patch);
  const context = { shape, thick: ranges.thick, random };
  for (const step of intensitySteps) {
    if (intensities === "none" || (intensities === "light" && !step.light)) continue;
    if (!random.chance(step.probability)) continue;
    const shared = step.shared ? drawValue(step, random) : 0;
    for (const x of channels) {
      if (random.chance(step.perChannel)) {
        step.apply(x, step.shared ? () => shared : () => drawValue(step, random), context);
      }
    }
  }
  for (const axis of move ? plan.mirrorAxes : []) {
    if (random.chance(mirrorProbability)) mirrorPatch(patch, axis);
  }
  return patch;
}

export function drawValue({ range, aroundOne }: IntensityStep, random: Random): number {
  return aroundOne ? drawFactor(range, random) : random.uniform(...range);
}

export function channelsOf({ image, label }: Patch): Float32Array[] {
  const voxels = label.length;
  return Array.from({ length: image.length / voxels }, (_, c) => image.subarray(c * voxels, (c + 1) * voxels));
}

export function mirrorPatch(patch: Patch, axis: number): void {
  for (const x of channelsOf(patch)) flip(x, patch.shape, axis);
  flip(patch.label, patch.shape, axis);
  if (patch.soft) flip(patch.soft, patch.shape, axis);
}

/** Mirrors an array of shape [D, H, W] along one axis, in place. */
export function flip(x: Float32Array | Uint8Array, shape: Vec3, axis: number): void {
  const [, H, W] = shape;
  const n = shape[axis];
  const inner = axis === 0 ? H * W : axis === 1 ? W : 1;
  for (let start = 0; start < x.length; start += n * inner) {
    for (let low = start, high = start + (n - 1) * inner; low < high; low += inner, high -= inner) {
      for (let j = 0; j < inner; j++) {
        const held = x[low + j];
        x[low + j] = x[high + j];
        x[high + j] = held;
      }
    }
  }
}
