import { foundRegions, lookUp, paintOfMasks, targetNames } from "../../src/dataset/regions.ts";
import type { Plan, PreparedCase } from "../../src/dataset/types.ts";
import type { Backend } from "../../src/engine/types.ts";
import type { Model } from "../../src/model/types.ts";
import { createPrograms } from "../../src/predict/programs.ts";
import { slidingWindow } from "../../src/predict/sliding.ts";
import { chooseWindow } from "../../src/predict/window.ts";
import type { Scene } from "../runs/scan-worker.ts";

/** What the weights find in a case that validates. */
export interface Finding {
  id: string;
  scene: Scene;
  /** Steps after which the weights were taken; 0 where there are none yet. */
  step: number;
}

export interface Preview {
  /** Chooses the case. */
  choose(id: string): Promise<void>;
  /** Takes better weights. */
  better(model: Model): Promise<void>;
  close(): void;
}

/** Programs kept between two looks. */
const keptBytes = 2 ** 28;

/** Segments one of the cases again whenever the weights get better, and shows it. Looks wait for each other. */
export function createPreview(
  { plan, cases }: { plan: Plan; cases: readonly PreparedCase[] },
  backend: Backend,
  show: (finding: Finding) => void,
): Preview {
  const programs = createPrograms(backend, keptBytes);
  let chosen = cases[0];
  let model: Model | null = null;
  let queue: Promise<void> = Promise.resolve();
  let closed = false;
  const look = (): Promise<void> => {
    queue = queue.then(async () => {
      if (closed || !chosen) return;
      const { id, image, shape, label } = chosen;
      const step = model?.provenance.steps ?? 0;
      const truth = lookUp(label!.slice(), valuesOf(plan));
      const prediction = model ? await segmented(model, chosen) : null;
      const scene: Scene = {
        ...{ shape, truth, prediction, spacing: plan.spacing, values: [] },
        image: greyOf(image.subarray(0, truth.length)),
        start: middleOf(truth, shape),
      };
      show({ id, scene, step });
    });
    return queue;
  };
  const segmented = async ({ net, tensors, ...rest }: Model, { image, shape }: PreparedCase): Promise<Uint8Array> => {
    const window = chooseWindow(net, plan.patch, shape);
    programs.nextCase();
    const run = await programs.get({ net, tensors, ...rest }, window, 1);
    const { inputChannels: channels, outputChannels: classes } = net;
    const logits = await slidingWindow({ ...{ image, shape, channels, classes, run }, patch: window });
    return labelsOf(logits, plan);
  };
  return {
    choose(id) {
      chosen = cases.find((one) => one.id === id) ?? chosen;
      return look();
    },
    async better(next) {
      if (next.provenance.steps === model?.provenance.steps) return;
      model = next;
      await look();
    },
    close() {
      closed = true;
      programs.close();
    },
  };
}

/** Table of 256: a class index to its label value. */
function valuesOf({ labels }: Plan): Uint8Array {
  const table = new Uint8Array(256);
  for (const [k, { value }] of labels.entries()) table[k] = value;
  return table;
}

/** Label values of logits [K, ...]: the largest wins, regions are painted in their order. */
function labelsOf(logits: Float32Array, plan: Plan): Uint8Array {
  const count = plan.regions ? targetNames(plan).length : plan.labels.length;
  const out = new Uint8Array(logits.length / count);
  if (plan.regions) return lookUp(foundRegions(logits, count, 0, out), paintOfMasks(plan.regions));
  for (let i = 0; i < out.length; i++) {
    let best = logits[i];
    for (let k = 1, at = i + out.length; k < count; k++, at += out.length) {
      if (logits[at] <= best) continue;
      best = logits[at];
      out[i] = k;
    }
  }
  return lookUp(out, valuesOf(plan));
}

/** A channel of a prepared case as grey values: mean 0 and deviation 1 where it was made so, else its own range. */
function greyOf(channel: Float32Array): Uint8Array {
  let [sum, squares] = [0, 0];
  for (const value of channel) {
    sum += value;
    squares += value * value;
  }
  const mean = sum / channel.length;
  const deviation = Math.sqrt(Math.max(1e-12, squares / channel.length - mean * mean));
  const grey = new Uint8ClampedArray(channel.length);
  for (let i = 0; i < grey.length; i++) grey[i] = 100 + (55 * (channel[i] - mean)) / deviation;
  return new Uint8Array(grey.buffer);
}

/** The slices through the middle of what is labelled. */
function middleOf(truth: Uint8Array, [d, h, w]: Scene["shape"]): Scene["start"] {
  const sums = [0, 0, 0];
  let count = 0;
  for (let i = 0; i < truth.length; i++) {
    if (truth[i] === 0) continue;
    count++;
    sums[0] += Math.floor(i / (h * w));
    sums[1] += Math.floor(i / w) % h;
    sums[2] += i % w;
  }
  return count > 0 ? (sums.map((sum) => Math.round(sum / count)) as Scene["start"]) : [d >> 1, h >> 1, w >> 1];
}
