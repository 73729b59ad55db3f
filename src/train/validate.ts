import { foundRegions, lookUp, masksOfClasses, masksOfValues, paintOfMasks, targetNames } from "../dataset/regions.ts";
import type { Plan, PreparedCase } from "../dataset/types.ts";
import type { Backend } from "../engine/types.ts";
import { type ClassCounts, countClasses, countRegions, diceOf } from "../evaluate/overlap.ts";
import type { Model } from "../model/types.ts";
import type { NetSpec } from "../net/spec.ts";
import { countWindows } from "../predict/placement.ts";
import { createPrograms } from "../predict/programs.ts";
import { slidingWindow } from "../predict/sliding.ts";
import { chooseWindow } from "../predict/window.ts";
import { pause } from "../util/pause.ts";
import { type Vec3, voxelCount } from "../volume/volume.ts";

export interface CheckWatch {
  signal?: AbortSignal;
  onCase?: (done: number) => void;
}

export interface Validator {
  /**
   * Dice of each foreground class or region, a mean over the first `count` cases, on the net's grid (1 where it is in neither
   * truth nor prediction). Null when the signal stopped it.
   */
  check(model: Model, count: number, watch?: CheckWatch): Promise<number[] | null>;
  close(): void;
}

/** Compiled programs kept between checks; cases of one shape share one. */
const keptBytes = 2 ** 29;

/** Predicts whole cases as `predict` does, but keeps compiled programs while the weights change. */
export function createValidator(backend: Backend, cases: readonly PreparedCase[]): Validator {
  const programs = createPrograms(backend, keptBytes);
  return {
    async check(model, count, watch = {}) {
      const { net, plan } = model;
      const sums = targetNames(plan).map(() => 0);
      const countIn = counterOf(plan);
      for (const [done, { image, shape, label }] of cases.slice(0, count).entries()) {
        if (watch.signal?.aborted) return null;
        watch.onCase?.(done);
        const window = chooseWindow(net, plan.patch, shape);
        const run = await programs.get(model, window, 1);
        const logits = await slidingWindow({
          image,
          shape,
          channels: net.inputChannels,
          patch: window,
          classes: net.outputChannels,
          run,
        });
        for (const [c, counts] of countIn(logits, label!).entries()) sums[c] += diceOf(counts);
        await pause(); // lets a signal in
      }
      return watch.signal?.aborted ? null : sums.map((sum) => sum / Math.min(count, cases.length));
    },
    close: () => programs.close(),
  };
}

/**
 * Counts what Dice is of: each class but the background, or each region of the label map that predict would write (so that the
 * scores are those of lunet evaluate).
 */
function counterOf({ labels, regions }: Plan): (logits: Float32Array, label: Uint8Array) => ClassCounts[] {
  if (!regions) {
    return (logits, label) => countClasses(argmax(logits, labels.length), label, labels.length).slice(1);
  }
  const ofClass = masksOfClasses(labels, regions);
  const painted = lookUp(paintOfMasks(regions), masksOfValues(regions));
  return (logits, label) => {
    // A logit of 0 is a probability of 0.5.
    const found = lookUp(foundRegions(logits, regions.length, 0, new Uint8Array(label.length)), painted);
    return countRegions(found, lookUp(Uint8Array.from(label), ofClass), regions.length);
  };
}

/** Mean number of voxels that predicting one of the cases runs through the net. */
export function voxelsPerCase(net: NetSpec, plan: Pick<Plan, "patch">, shapes: readonly Vec3[]): number {
  const sum = shapes.reduce((total, shape) => {
    const window = chooseWindow(net, plan.patch, shape);
    return total + countWindows(shape, window) * voxelCount(window);
  }, 0);
  return sum / Math.max(1, shapes.length);
}

/** Class of the largest logit at each voxel of [K, ...]; the first of equals. */
function argmax(logits: Float32Array, classes: number): Uint8Array {
  const voxels = logits.length / classes;
  const out = new Uint8Array(voxels);
  for (let i = 0; i < voxels; i++) {
    let best = logits[i];
    for (let k = 1; k < classes; k++) {
      const value = logits[k * voxels + i];
      if (value <= best) continue;
      best = value;
      out[i] = k;
    }
  }
  return out;
}
