import { openCase, putPlane } from "../dataset/preprocess.ts";
import { createGridRestorer } from "../dataset/preprocess-restore.ts";
import { netOutput, targetNames } from "../dataset/regions.ts";
import type { PreparedCase } from "../dataset/types.ts";
import type { Backend } from "../engine/types.ts";
import { createUncertaintyMeter, type Uncertainty } from "../evaluate/uncertainty.ts";
import type { Model } from "../model/types.ts";
import { fail } from "../util/errors.ts";
import { voxelVolume } from "../volume/affine.ts";
import { type Vec3, type Volume, voxelCount } from "../volume/volume.ts";
import { type Member, meanProbabilities } from "./ensemble.ts";
import { type ImagePlanes, type KeptPlanes, keepPlanes, planesOf } from "./planes.ts";
import { type Choices, postprocess, sharedChoices } from "./postprocess.ts";
import { classesOf } from "./probabilities.ts";
import { createPrograms } from "./programs.ts";
import { chooseWindow } from "./window.ts";

export interface PredictorOptions {
  backend: Backend;
  /**
   * "auto" predicts the whole padded volume at once where that is cheaper and fits the memory (see {@link chooseWindow}); "patch"
   * always slides the plan's patch; a shape slides that window (multiples of the net's pools).
   */
  window?: "auto" | "patch" | Vec3;
  /** Limit on the engine's memory for a whole-volume window in bytes; default 1 GiB. */
  maxBytes?: number;
  /** Limit on all compiled programs that are kept for the next case, in bytes; default 1 GiB. */
  keepBytes?: number;
  /** Whether to do the post-processing that the models hold (Model.postprocessing). Default true. */
  postprocess?: boolean;
  /** Whether the models' own averaging (Model.testTime) holds where `mirror` or `shifts` is left out. Default true. */
  testTime?: boolean;
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
  /** Also measure how sure the probabilities are, and how far the models agree. */
  uncertainty?: boolean;
  /** Windows done, over all models. */
  onProgress?: (done: number, total: number) => void;
  signal?: AbortSignal;
}

export interface Segmentation {
  /** Label values on the grid of the input: same shape, affine and orientation. */
  labels: Volume<Uint8Array>;
  /** Where it was asked for. */
  uncertainty?: Uncertainty;
  /** Voxels that post-processing made background. */
  removed: number;
  /** Wall-clock time of each part; `predict` includes compiling where no program was kept. */
  milliseconds: { prepare: number; predict: number; restore: number; total: number };
}

export interface Predictor {
  readonly models: readonly Model[];
  /** Of what the models hold, what is done. */
  readonly choices: Choices;
  /** Segments one case; `images` holds a volume per channel, all on one grid. Calls wait for each other. */
  segment(images: readonly Volume[], options?: SegmentOptions): Promise<Segmentation>;
  /** Mean probabilities [K, D, H, W], of classes or regions, of a prepared case, as for validation during training. */
  probabilities(prepared: PreparedCase, options?: SegmentOptions): Promise<Float32Array>;
  /** Closes the compiled programs; the backend stays open, it belongs to the caller. */
  close(): void;
}

/**
 * Makes a predictor for many cases from one model or an ensemble (the mean of the models' class probabilities). Nets are
 * compiled when first needed and kept per window size. Throws UserError where the models cannot vote on one grid:
 * other labels, channels, spacing, or other choices of post-processing.
 */
export function createPredictor(models: Model | readonly Model[], options: PredictorOptions): Predictor {
  const all: readonly Model[] = "net" in models ? [models] : models;
  checkModels(all);
  const { backend, window = "auto", maxBytes, keepBytes = 2 ** 30 } = options;
  const { postprocess: obey = true, testTime = true } = options;
  const choices = sharedChoices(all, { postprocessing: obey, testTime });
  const programs = createPrograms(backend, keepBytes, Math.max(keepBytes, 2 ** 30));
  let queue: Promise<unknown> = Promise.resolve();
  // A program holds one model's parameters at a time, so cases go one after the other.
  const inTurn = <T>(work: () => Promise<T>): Promise<T> => {
    const result = queue.then(() => {
      programs.nextCase();
      return work();
    });
    queue = result.catch(() => {});
    return result;
  };

  const chosenModels = ({ models: chosen }: SegmentOptions): readonly Model[] => {
    if (!chosen) return all;
    if (chosen.length === 0) fail("Expected at least one model to predict with, but the choice is empty.");
    return chosen.map((index) => all[index] ?? fail(`Expected a model from 0 to ${all.length - 1}, but got ${index}.`));
  };

  const memberOf = (model: Model, shape: Vec3, image: ImagePlanes, { step, shifts }: SegmentOptions): Member => {
    const patch =
      window === "auto"
        ? chooseWindow(model.net, model.plan.patch, shape, { step, shifts, maxBytes })
        : window === "patch"
          ? model.plan.patch
          : window;
    return { model, patch, image };
  };

  return {
    models: all,
    choices,
    probabilities: ({ image, shape }, segment = {}) =>
      inTurn(async () => {
        const members = chosenModels(segment).map((model) => memberOf(model, shape, planesOf(image, shape), segment));
        const out = new Float32Array(netOutput(all[0].plan).outputChannels * voxelCount(shape));
        let d = 0;
        for await (const plane of meanProbabilities(members, shape, programs, segment))
          putPlane(out, shape, d++, plane);
        return out;
      }),
    segment: (images, stated = {}) =>
      inTurn(async () => {
        const { mirror = choices.testTime?.mirror, shifts = choices.testTime?.shifts } = stated;
        const segment = { ...stated, mirror, shifts };
        const { id = "the scan", signal } = segment;
        signal?.throwIfAborted();
        const clock = createClock();
        const cases = new Map<string, KeptPlanes>();
        const open = ({ plan }: Model): KeptPlanes => {
          const key = JSON.stringify(plan.channels.map(({ normalisation }) => normalisation));
          const kept = cases.get(key) ?? keepPlanes(openCase(images, plan, id), (work) => clock.time("prepare", work));
          cases.set(key, kept);
          return kept;
        };
        const members = clock.time("prepare", () =>
          chosenModels(segment).map((model) => {
            const { prepared, image } = open(model);
            return memberOf(model, prepared.shape, image, segment);
          }),
        );
        const { prepared } = open(members[0].model);
        const restorer = createGridRestorer(prepared, all[0].plan);
        const meter = segment.uncertainty ? meterFor(prepared, all[0].plan, members.length) : null;
        const watched = meter ? { ...segment, onMember: meter.member } : segment;
        let d = 0;
        for await (const plane of meanProbabilities(members, prepared.shape, programs, watched)) {
          meter?.mean(plane);
          clock.time("restore", () => restorer.push(plane));
          for (const kept of cases.values()) kept.release(d);
          d++;
        }
        const labels = restorer.finish();
        const { postprocessing } = choices;
        const removed = postprocessing
          ? clock.time("restore", () => postprocess(labels.data, labels.shape, postprocessing))
          : 0;
        const { prepare, restore, total } = clock.milliseconds();
        const uncertainty = meter ? { uncertainty: meter.result() } : {};
        return {
          labels,
          removed,
          ...uncertainty,
          milliseconds: { prepare, predict: total - prepare - restore, restore, total },
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

/** A meter for the planes of a prepared case. */
function meterFor({ shape, source }: Pick<PreparedCase, "shape" | "source">, plan: Model["plan"], members: number) {
  return createUncertaintyMeter({
    kind: plan.regions ? "regions" : "classes",
    names: targetNames(plan),
    members,
    voxelMm3: (voxelVolume(source.affine) * voxelCount(source.cropShape)) / voxelCount(shape),
  });
}

/** Sums up the time of parts that alternate. */
function createClock() {
  const start = performance.now();
  const spent = { prepare: 0, restore: 0 };
  return {
    time<T>(part: keyof typeof spent, work: () => T): T {
      const from = performance.now();
      const result = work();
      spent[part] += performance.now() - from;
      return result;
    },
    milliseconds: () => ({ ...spent, total: performance.now() - start }),
  };
}

/** Throws UserError where models cannot vote on one grid. */
export function checkModels(models: readonly Model[]): void {
  if (models.length === 0) fail("Expected at least one model to predict with, but got none.");
  for (const [index, model] of models.entries()) checkModel(model, models[0], index);
}

function checkModel({ net, plan }: Model, first: Model, index: number): void {
  const name = index === 0 ? "The model" : `Model ${index + 1}`;
  const [scores, targets] = [classesOf(net, plan.regions), netOutput(plan).outputChannels];
  if (scores !== targets) {
    const [outputs, names] = plan.regions ? ["outputs", "regions"] : ["classes", "labels"];
    fail(`${name} has ${scores} ${outputs} in its net but ${targets} ${names} in its plan; train it again.`);
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
  differs("regions", ({ regions }) => regions?.map(({ values, paint }) => ({ values, paint })) ?? []);
  differs("channels", ({ channels }) => channels.map((channel) => channel.name));
  differs("spacing", ({ spacing }) => spacing);
}
