import { augmentPatch, channelsOf, drawValue, mirrorPatch, mirrorProbability } from "../dataset/augment.ts";
import { type AugmentLevel, augmentLevels } from "../dataset/augment-chain.ts";
import { makeBatch } from "../dataset/loader.ts";
import { cutPatch, patchStart } from "../dataset/sample.ts";
import type { Plan, PreparedCase } from "../dataset/types.ts";
import { warpPatch } from "../dataset/warp.ts";
import { drawSpatial, spatialRanges } from "../dataset/warp-matrix.ts";
import { random } from "../util/random.ts";
import type { Vec3 } from "../volume/volume.ts";
import { stepsOf } from "./augment-rows.ts";

export interface AugmentTime {
  name: string;
  /** Chance that a patch, and then a channel of it, gets it. */
  probability: number;
  /** Milliseconds of processor time for all patches of a batch, when each gets it. */
  always: number;
  /** And on average. */
  mean: number;
}

/**
 * Processor time of each transform of a level for a batch of `batch` windows, and of making whole batches (last; random windows,
 * cutting and buffers included). Takes a few seconds.
 */
export function timeAugmentation(
  prepared: PreparedCase,
  plan: Plan,
  options: { window: Vec3; batch: number; level: AugmentLevel; shift: number; seed: number },
): AugmentTime[] {
  const { window, batch, level, shift, seed } = options;
  const { warp, move } = augmentLevels[level];
  const stream = random(seed);
  const start = patchStart(prepared, window, stream, true);
  const patch = cutPatch(prepared, window, start);
  const clean = patch.image.slice();
  const times: AugmentTime[] = [];
  const add = (name: string, probability: number, run: () => void): void => {
    const always = batch * fastest(run);
    times.push({ name, probability, always, mean: probability * always });
  };
  const ranges = { ...spatialRanges(window, plan.spacing), probability: 1 };
  if (warp) {
    const either = 1 - (1 - spatialRanges(window, plan.spacing).probability) ** 2;
    add("cut", 1 - either, () => cutPatch(prepared, window, start, patch));
    add("rotation, zoom", either, () => {
      const matrix = drawSpatial(plan.spacing, ranges, stream);
      if (matrix) warpPatch(prepared, window, start, matrix, patch);
    });
  } else add("cut", 1, () => augmentPatch(prepared, plan, window, start, stream, "none", patch));
  const context = { shape: window, thick: ranges.thick, random: stream };
  for (const step of stepsOf(level)) {
    add(step.name, step.probability * step.perChannel, () => {
      patch.image.set(clean);
      for (const x of channelsOf(patch)) step.apply(x, () => drawValue(step, stream), context);
    });
  }
  for (const axis of move ? plan.mirrorAxes : []) {
    add(`mirror ${"DHW"[axis]}`, mirrorProbability, () => mirrorPatch(patch, axis));
  }
  const many = 60;
  const whole = (from: number): number =>
    timed(() => {
      for (let step = from; step < from + many; step++) {
        makeBatch([prepared], plan, { seed, step, batch, augment: level, shift, patch: window });
      }
    }) / many;
  whole(0);
  const mean = whole(many);
  times.push({ name: "a batch", probability: 1, always: mean, mean });
  return times;
}

/** Milliseconds of processor time, all threads of the process. */
function timed(run: () => void): number {
  const before = process.cpuUsage();
  run();
  const { user, system } = process.cpuUsage(before);
  return (user + system) / 1000;
}

/** The least of some rounds, so that neither the first calls nor other programs count. */
function fastest(run: () => void): number {
  const round = (): void => {
    for (let i = 0; i < 8; i++) run();
  };
  for (let k = 0; k < 3; k++) round();
  return Math.min(...Array.from({ length: 8 }, () => timed(round) / 8));
}
