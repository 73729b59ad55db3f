import type { Batch } from "../engine/types.ts";
import { fail } from "../util/errors.ts";
import { random } from "../util/random.ts";
import { type Vec3, voxelCount } from "../volume/volume.ts";
import { type AugmentLevel, augmentPatch } from "./augment.ts";
import { augmentLevels } from "./augment-chain.ts";
import { lookUp, masksOfClasses } from "./regions.ts";
import { patchStart } from "./sample.ts";
import { createSoft } from "./soft.ts";
import type { Plan, PreparedCase } from "./types.ts";

export interface BatchOptions {
  seed: number;
  /** Number of the training step, from 0. */
  step: number;
  /** Default: the plan's. */
  batch?: number;
  augment?: AugmentLevel;
  /** Share of the window by which it moves about the middle ({@link patchStart}), where `augment` moves windows; default 0. */
  shift?: number;
  /** Share of the patches that are centred on foreground; default 1/3 (nnU-Net's). */
  foreground?: number;
  /** Default: the plan's. */
  patch?: Vec3;
}

// First keys of the random streams, so that case order and patches never share one.
const orderStream = 1;
const patchStream = 2;

/**
 * The batch of one training step, fully determined by (cases, plan, options): input [N, C, ...patch], target class indices
 * (with regions: bit masks of them) [N, ...patch]. Cases come in a new random order each epoch, every case once; an exact share
 * of the patches, every third by default (nnU-Net's oversampling of 1/3), is centred on foreground. Cases with a teacher's
 * probabilities give them to the batch. No state is kept between steps, so training resumes anywhere.
 */
export function makeBatch(cases: readonly PreparedCase[], plan: Plan, options: BatchOptions): Batch {
  const {
    seed,
    step,
    batch = plan.batch,
    augment = "none",
    shift = 0,
    foreground = 1 / 3,
    patch = plan.patch,
  } = options;
  if (cases.length === 0) fail("Expected at least one training case, but the list is empty; check the fold.");
  const voxels = voxelCount(patch);
  const channels = plan.channels.length;
  const input = new Float32Array(batch * channels * voxels);
  const target = new Uint8Array(batch * voxels);
  const soft = cases[0].soft ? createSoft(plan, batch, voxels) : undefined;
  for (let i = 0; i < batch; i++) {
    const position = step * batch + i;
    const prepared = cases[caseAt(cases.length, seed, position)];
    const stream = random(seed, patchStream, position);
    const moved = augmentLevels[augment].move ? shift : 0;
    const start = patchStart(prepared, patch, stream, isForeground(position, foreground), moved);
    augmentPatch(prepared, plan, patch, start, stream, augment, {
      image: input.subarray(i * channels * voxels, (i + 1) * channels * voxels),
      label: target.subarray(i * voxels, (i + 1) * voxels),
      soft: soft?.part(i),
      shape: patch,
    });
  }
  // Augmentation votes among labels; only its result becomes regions.
  if (plan.regions) lookUp(target, masksOfClasses(plan.labels, plan.regions));
  return soft ? { input, target, soft: soft.finish() } : { input, target };
}

/** Whether a position is one of the evenly spread ones that make up `share` of all, from the first on. */
export function isForeground(position: number, share: number): boolean {
  return Math.ceil((position + 1) * share) > Math.ceil(position * share);
}

let known = { key: "", order: [] as number[] };

/** Index of the case at a position of the endless sequence of epochs, each a random order of all cases. */
export function caseAt(count: number, seed: number, position: number): number {
  const epoch = Math.floor(position / count);
  const key = `${count} ${seed} ${epoch}`;
  // An epoch's order is asked for once a patch, and takes longer than a small patch where there are thousands of cases.
  if (known.key !== key) {
    known = { key, order: random(seed, orderStream, epoch).shuffle(Array.from({ length: count }, (_, i) => i)) };
  }
  return known.order[position % count];
}
