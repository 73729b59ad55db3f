import { prepareCase, restoreGrid } from "../dataset/preprocess.ts";
import type { PreparedCase } from "../dataset/types.ts";
import type { Backend } from "../engine/types.ts";
import type { Model } from "../model/types.ts";
import { fail } from "../util/errors.ts";
import type { Vec3, Volume } from "../volume/volume.ts";
import { classesOf, classProbabilities } from "./probabilities.ts";
import { createPrograms } from "./programs.ts";
import { countWindows, slidingWindow } from "./sliding.ts";
import { chooseWindow } from "./window.ts";

export interface PredictorOptions {
  backend: Backend;
  /**
   * "auto" predicts the whole padded volume at once where that is cheaper and fits the memory (see {@link chooseWindow}); "patch"
   * always slides the plan's patch; a shape slides that window (multiples of the net's pools).
   */
  window?: "auto" | "patch" | Vec3;
  /** Limit on one whole-volume window's activations in bytes; default 1 GiB. */
  maxBytes?: number;
  /** Limit on all compiled programs that are kept for the next case, in bytes; default 1 GiB. */
  keepBytes?: number;
}

export interface SegmentOptions {
  /** Name of the case in error sentences. */
  id?: string;
  /** Distance of windows as a share of the window. */
  step?: number;
  /** Windows at once. */
  batch?: number;
  /** Average over mirrorings along the plan's mirror axes. */
  mirror?: boolean;
  /** Average over this many one-voxel shifts (0 to 7; 3 in 2D). */
  shifts?: number;
  /** Indices of the models to average; default all. */
  models?: readonly number[];
  /** Windows done, over all models. */
  onProgress?: (done: number, total: number) => void;
  signal?: AbortSignal;
}

export interface Segmentation {
  /** Label values on the grid of the input: same shape, affine and orientation. */
  labels: Volume<Uint8Array>;
  /** Wall-clock time of each part; `predict` includes compiling where no program was kept. */
  milliseconds: { prepare: number; predict: number; restore: number; total: number };
}

export interface Predictor {
  readonly models: readonly Model[];
  /** Segments one case; `images` holds a volume per channel, all on one grid. Calls wait for each other. */
  segment(images: readonly Volume[], options?: SegmentOptions): Promise<Segmentation>;
  /** Mean class probabilities [K, D, H, W] of a prepared case, as for validation during training. */
  probabilities(prepared: PreparedCase, options?: SegmentOptions): Promise<Float32Array>;
  /** Closes the compiled programs; the backend stays open, it belongs to the caller. */
  close(): void;
}

/**
 * Makes a predictor for many cases from one model or an ensemble (the mean of the models' class probabilities). Nets are
 * compiled when first needed and kept per window size. Throws UserError where the models cannot vote on one grid:
 * other labels, channels or spacing.
 */
export function createPredictor(models: Model | readonly Model[], options: PredictorOptions): Predictor {
  const all: readonly Model[] = "net" in models ? [models] : models;
  if (all.length === 0) fail("Expected at least one model to predict with, but got none.");
  for (const [index, model] of all.entries()) checkModel(model, all[0], index);
  const { backend, window = "auto", maxBytes, keepBytes = 2 ** 30 } = options;
  const programs = createPrograms(backend, keepBytes);
  let queue: Promise<unknown> = Promise.resolve();
  // A program holds one model's parameters at a time, so cases go one after the other.
  const inTurn = <T>(work: () => Promise<T>): Promise<T> => {
    const result = queue.then(work);
    queue = result.catch(() => {});
    return result;
  };

  const chosenModels = ({ models: chosen }: SegmentOptions): readonly Model[] => {
    if (!chosen) return all;
    if (chosen.length === 0) fail("Expected at least one model to predict with, but the choice is empty.");
    return chosen.map((index) => all[index] ?? fail(`Expected a model from 0 to ${all.length - 1}, but got ${index}.`));
  };

  /** `prepare` gives the case as one model's plan wants it. */
  async function mean(prepare: (model: Model) => PreparedCase, segment: SegmentOptions): Promise<Float32Array> {
    const { batch = 1, step, shifts, signal, onProgress } = segment;
    const jobs = chosenModels(segment).map((model) => {
      const { shape } = prepare(model);
      const patch =
        window === "auto"
          ? chooseWindow(model.net, model.plan.patch, shape, { step, shifts, maxBytes })
          : window === "patch"
            ? model.plan.patch
            : window;
      return { model, patch, windows: countWindows(shape, patch, step, shifts) };
    });
    const total = jobs.reduce((sum, { windows }) => sum + windows, 0);
    let before = 0;
    let sum: Float32Array | undefined;
    for (const { model, patch, windows } of jobs) {
      const { image, shape } = prepare(model);
      const { net, plan } = model;
      const n = Math.min(batch, windows);
      const logits = await slidingWindow({
        image,
        shape,
        channels: net.inputChannels,
        patch,
        classes: net.outputChannels,
        run: await programs.get(model, patch, n),
        batch: n,
        step,
        shifts,
        mirrorAxes: segment.mirror ? plan.mirrorAxes : [],
        signal,
        onProgress: (done) => onProgress?.(before + done, total),
      });
      before += windows;
      const probabilities = classProbabilities(logits, net);
      if (!sum) sum = probabilities;
      else for (let i = 0; i < sum.length; i++) sum[i] += probabilities[i];
    }
    const out = sum!;
    if (jobs.length > 1) for (let i = 0; i < out.length; i++) out[i] /= jobs.length;
    return out;
  }

  return {
    models: all,
    probabilities: (prepared, segment = {}) => inTurn(() => mean(() => prepared, segment)),
    segment: (images, segment = {}) =>
      inTurn(async () => {
        const { id = "the scan" } = segment;
        const start = performance.now();
        const cases = new Map<string, PreparedCase>();
        const prepare = ({ plan }: Model): PreparedCase => {
          const key = JSON.stringify(plan.channels.map(({ normalisation }) => normalisation));
          const prepared = cases.get(key) ?? prepareCase(images, undefined, plan, id);
          cases.set(key, prepared);
          return prepared;
        };
        const chosen = chosenModels(segment);
        for (const model of chosen) prepare(model);
        const prepared = performance.now();
        const scores = await mean(prepare, segment);
        const predicted = performance.now();
        const labels = restoreGrid(scores, prepare(chosen[0]), all[0].plan);
        const end = performance.now();
        return {
          labels,
          milliseconds: {
            prepare: prepared - start,
            predict: predicted - prepared,
            restore: end - predicted,
            total: end - start,
          },
        };
      }),
    close: () => programs.close(),
  };
}

/** Segments one case and closes everything but the backend; for many cases keep a {@link createPredictor}. */
export async function segment(
  models: Model | readonly Model[],
  images: readonly Volume[],
  options: PredictorOptions & SegmentOptions,
): Promise<Segmentation> {
  const predictor = createPredictor(models, options);
  try {
    return await predictor.segment(images, options);
  } finally {
    predictor.close();
  }
}

function checkModel({ net, plan }: Model, first: Model, index: number): void {
  const name = index === 0 ? "The model" : `Model ${index + 1}`;
  if (classesOf(net) !== plan.labels.length) {
    fail(
      `${name} has ${classesOf(net)} classes in its net but ${plan.labels.length} labels in its plan; train it again.`,
    );
  }
  const wide = plan.labels.find(({ value }) => value > 255);
  if (wide)
    fail(`${name} has the label value ${wide.value}, but predictions hold values up to 255; renumber the labels.`);
  const differs = (what: string, of: (model: Model["plan"]) => unknown): void => {
    const [here, there] = [of(plan), of(first.plan)].map((value) => JSON.stringify(value));
    if (here !== there)
      fail(`Models of an ensemble must share their ${what}, but model 1 has ${there} and model ${index + 1} ${here}.`);
  };
  differs("label values", ({ labels }) => labels.map(({ value }) => value));
  differs("channels", ({ channels }) => channels.map((channel) => channel.name));
  differs("spacing", ({ spacing }) => spacing);
}
