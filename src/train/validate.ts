import { setImmediate } from "node:timers/promises";
import type { Plan, PreparedCase } from "../dataset/types.ts";
import type { Backend } from "../engine/types.ts";
import { countClasses, diceOf } from "../evaluate/overlap.ts";
import type { Model } from "../model/types.ts";
import type { NetSpec } from "../net/spec.ts";
import { countWindows } from "../predict/placement.ts";
import { createPrograms } from "../predict/programs.ts";
import { slidingWindow } from "../predict/sliding.ts";
import { chooseWindow } from "../predict/window.ts";
import { type Vec3, voxelCount } from "../volume/volume.ts";

export interface CheckWatch {
  signal?: AbortSignal;
  onCase?: (done: number) => void;
}

export interface Validator {
  /**
   * Dice of each foreground class, a mean over the first `count` cases, on the net's grid (1 where a class is in neither
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
      const sums = new Array<number>(plan.labels.length - 1).fill(0);
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
        const counts = countClasses(argmax(logits, net.outputChannels), label!, net.outputChannels);
        for (let c = 0; c < sums.length; c++) sums[c] += diceOf(counts[c + 1]);
        await setImmediate(); // lets a signal in
      }
      return watch.signal?.aborted ? null : sums.map((sum) => sum / Math.min(count, cases.length));
    },
    close: () => programs.close(),
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
