import type { Random } from "../util/random.ts";
import type { Vec3 } from "../volume/volume.ts";
import {
  addNoise,
  blur,
  changeBrightness,
  changeContrast,
  changeGamma,
  eachLine,
  lowerResolution,
} from "./intensity.ts";
import { cutPatch, type Patch } from "./sample.ts";
import type { Plan, PreparedCase } from "./types.ts";
import { drawSpatial, warpPatch } from "./warp.ts";

/**
 * none: the patch as it is. light: brightness, contrast, noise and mirroring (no resampling, nearly free).
 * full: nnU-Net's default chain with its probabilities and ranges.
 */
export type AugmentLevel = "none" | "light" | "full";

const spatial = { degrees: 30, zoom: [0.7, 1.4] as [number, number], probability: 0.2 };

/** Mirrors an array of shape [D, H, W] along one axis, in place. */
export function flip(x: Float32Array | Uint8Array, shape: Vec3, axis: number): void {
  const n = shape[axis];
  const stride = [shape[1] * shape[2], shape[2], 1][axis];
  eachLine(shape, axis, (start) => {
    for (let i = start, j = start + (n - 1) * stride; i < j; i += stride, j -= stride) {
      const held = x[i];
      x[i] = x[j];
      x[j] = held;
    }
  });
}

/**
 * The patch at `start`, augmented. Everything random comes from `random`, so one stream gives one result, whatever the order of
 * calls or the machine. `plan.mirrorAxes` alone decides about mirroring.
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
  if (level === "none") return cutPatch(prepared, shape, start, into);
  const matrix = level === "full" ? drawSpatial(shape, plan.spacing, random, spatial) : undefined;
  const patch = matrix ? warpPatch(prepared, shape, start, matrix, into) : cutPatch(prepared, shape, start, into);
  const voxels = patch.label.length;
  const channels = Array.from({ length: patch.image.length / voxels }, (_, c) =>
    patch.image.subarray(c * voxels, (c + 1) * voxels),
  );
  const each = (probability: number, change: (x: Float32Array) => void, perChannel = 1): void => {
    if (!random.chance(probability)) return;
    for (const x of channels) if (random.chance(perChannel)) change(x);
  };
  each(0.1, (x) => addNoise(x, random));
  if (level === "full") each(0.2, (x) => blur(x, random, shape), 0.5);
  each(0.15, (x) => changeBrightness(x, random));
  each(0.15, (x) => changeContrast(x, random));
  if (level === "full") {
    each(0.25, (x) => lowerResolution(x, random, shape), 0.5);
    each(0.1, (x) => changeGamma(x, random, true));
    each(0.3, (x) => changeGamma(x, random));
  }
  for (const axis of plan.mirrorAxes) {
    if (!random.chance(0.5)) continue;
    for (const x of channels) flip(x, shape, axis);
    flip(patch.label, shape, axis);
  }
  return patch;
}
