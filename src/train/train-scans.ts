import { createLabelCounter } from "../dataset/count-labels.ts";
import { measureDataset } from "../dataset/measure.ts";
import { prepareCase } from "../dataset/preprocess.ts";
import type { Dataset, Plan, PreparedCase } from "../dataset/types.ts";
import type { EngineName } from "../engine/backend.ts";
import type { Backend } from "../engine/types.ts";
import type { Model } from "../model/types.ts";
import { parseNet } from "../net/make.ts";
import { fail } from "../util/errors.ts";
import { pause } from "../util/pause.ts";
import type { Volume } from "../volume/volume.ts";
import { createDirectLoader } from "./direct-loader.ts";
import { createMemoryStore, type StoreWatch } from "./memory-store.ts";
import { missingClasses } from "./missing-classes.ts";
import type { PlanOptions } from "./plan-run.ts";
import { type Progress, silentProgress } from "./progress.ts";
import { resolveSetup } from "./resolve-setup.ts";
import type { RunFile } from "./run-folder.ts";
import { runTraining } from "./run-training.ts";
import { modelOf } from "./session.ts";
import type { RunSetup, SetupOptions } from "./setup.ts";

/** A scan with its label map, in memory: a volume per channel, all on one grid. */
export interface LabelledScan {
  images: readonly Volume[];
  label: Volume;
}

export interface TrainScansOptions
  extends Pick<SetupOptions, "net" | "levels" | "convs" | "mirrorAxes" | "fold" | "folds" | "preset" | "settings">,
    Pick<PlanOptions, "budget" | "epochSteps">,
    StoreWatch {
  /** What there is; paths are not read. The ids of `training` are the keys of `scans`. */
  dataset: Dataset;
  scans: ReadonlyMap<string, LabelledScan>;
  /** Stays open. */
  backend: Backend;
  plan?: Plan;
  /** Called before the first step. */
  onPrepared?: (setup: RunSetup, cases: { training: PreparedCase[]; validation: PreparedCase[] }) => void;
  progress?: Progress;
  /** Ends the run after its step; before the first one the call rejects with the signal's reason. */
  signal?: AbortSignal;
}

export interface TrainScansResult {
  run: RunFile;
  /** Best on validation, or the last where no case validates or the run was stopped before the first check. */
  model: Model;
  last: Model | null;
}

/**
 * Trains a net on scans in memory, without files: what {@link trainNet} does with a folder, in Node and in pages. The same scans, seed and
 * number of steps give the same weights, on the wasm engine with the same register tile. Throws UserError for bad scans.
 */
export async function trainScans(options: TrainScansOptions): Promise<TrainScansResult> {
  const began = performance.now();
  const { dataset, scans, backend, progress = silentProgress, signal } = options;
  const scanOf = (id: string): LabelledScan =>
    scans.get(id) ?? fail(`Expected a scan for case ${id} of ${dataset.name}, but there is none; add it.`);
  const onProgress = (done: number, total: number): void => progress.live(`measuring scans ${done}/${total}`);
  const setup = await resolveSetup(options, {
    dataset,
    plan: options.plan,
    fingerprint: () =>
      measureDataset(
        dataset,
        async ({ id }) => {
          await pause();
          const { images, label } = scanOf(id);
          return { images: [...images], label };
        },
        { onProgress },
      ),
    readNet: async (name, made) => parseNet(name, made),
    countLabels: async (ids) => {
      const counter = createLabelCounter(dataset.labels);
      for (const id of ids) counter.add(scanOf(id).label.data, id);
      return counter.counts;
    },
  });
  const { plan, trainingCases, validationCases } = setup;
  const prepare = async (ids: readonly string[], before: number): Promise<PreparedCase[]> => {
    const prepared: PreparedCase[] = [];
    for (const id of ids) {
      const { images, label } = scanOf(id);
      prepared.push(prepareCase([...images], label, plan, id));
      progress.live(`preparing scans ${before + prepared.length}/${trainingCases.length + validationCases.length}`);
      await pause();
      signal?.throwIfAborted();
    }
    return prepared;
  };
  const training = await prepare(trainingCases, 0);
  const validation = await prepare(validationCases, trainingCases.length);
  for (const warning of missingClasses(training, setup)) progress.say(warning);
  options.onPrepared?.(setup, { training, validation });
  const store = createMemoryStore(options);
  const run = await runTraining({
    ...{ setup, training, validation, backend, store, options, progress, signal, began },
    startLoader: createDirectLoader,
    engine: backend.name as EngineName,
    data: { name: dataset.name },
  });
  // Training writes a model at its end and weights where it is stopped.
  const stopped = (): Model => {
    const { step, parameters } = store.weights!;
    return modelOf(run, plan, parameters, { step, dice: null });
  };
  return { run, model: store.best ?? store.last ?? stopped(), last: store.last };
}
