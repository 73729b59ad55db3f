import type { AugmentLevel } from "../dataset/augment.ts";
import type { PreparedCase } from "../dataset/types.ts";
import type { Graph } from "../engine/graph.ts";
import type { Backend, Trainer } from "../engine/types.ts";
import { buildGraph, initialise } from "../net/build.ts";
import { counted } from "../util/counted.ts";
import type { Checkpoint } from "./checkpoint.ts";
import type { Loader, LoaderData } from "./direct-loader.ts";
import { type PlanOptions, planRun } from "./plan-run.ts";
import { trainSpecOf } from "./presets.ts";
import { durationText, type Progress } from "./progress.ts";
import type { RunFile } from "./run-folder.ts";
import { freshCheckpoint, runSession } from "./session.ts";
import type { RunSetup } from "./setup.ts";
import type { RunStore } from "./store.ts";
import { createValidator } from "./validate.ts";

/** What training works with once the scans are in memory; the same in Node and in a page. */
export interface TrainingParts {
  setup: RunSetup;
  training: PreparedCase[];
  validation: PreparedCase[];
  /** Stays open; it belongs to the caller. */
  backend: Backend;
  startLoader(data: LoaderData): Loader;
  store: RunStore;
  engine: RunFile["engine"];
  /** Where the data lie. */
  data: RunFile["data"];
  /** As TrainSpec.recompute. */
  lowMemory?: boolean;
  /** The started run that this one goes on with. */
  previous?: RunFile | null;
  /** The checkpoint to go on from, where there is one. */
  readCheckpoint?(): Promise<Checkpoint | null>;
  /** Called before the trainer has its memory. */
  beforeTrainer?(graph: Graph): Promise<void>;
  /** Put into the record of a new run. */
  more?: Pick<RunFile, "teachers" | "teacherCases">;
  options: PlanOptions;
  progress: Progress;
  signal?: AbortSignal;
  onBegin?: () => void;
  /** performance.now() from which a budget in minutes counts. */
  began: number;
}

/** Trains from the start or from a checkpoint to the end of the run, or to the signal. Returns the record as it was left. */
export async function runTraining(parts: TrainingParts): Promise<RunFile> {
  const { setup, training, validation, backend, store, engine, data, previous, progress, signal, began } = parts;
  const { plan, net, settings } = setup;
  const { deepSupervision } = settings;
  const graph = buildGraph(net, { batch: settings.batch, shape: settings.window, deepSupervision });
  const open: { close(): unknown }[] = [];
  try {
    await parts.beforeTrainer?.(graph);
    const trainer = await backend.trainer(graph, trainSpecOf(settings, parts.lowMemory));
    open.push(trainer);
    trainer.setParameters(initialise(graph, settings.seed));
    const { seed, batch, window, shift, foreground } = settings;
    const startLoader = (augment: AugmentLevel): Loader => {
      const options = { seed, batch, augment, shift, foreground, patch: window };
      const loader = parts.startLoader({ cases: training, plan, options });
      open.push(loader);
      return loader;
    };
    let batches = startLoader(settings.augment);
    const validator = validation.length > 0 ? createValidator(backend, validation) : null;
    if (validator) open.push(validator);

    const planned = previous
      ? { run: { ...previous, state: "running" as const }, deadline: Number.POSITIVE_INFINITY }
      : await planRun(parts.options, setup, {
          ...{ trainer, graph, batches, validator, validation, began, engine, data, progress },
        });
    planned.run = { ...planned.run, ...parts.more };
    // The number of steps may have chosen another augmentation than the one that was measured.
    if (planned.run.settings.augment !== settings.augment) {
      await batches.close();
      batches = startLoader(planned.run.settings.augment);
    }
    await store.writeRun(planned.run);
    progress.say(planWords(planned.run));
    const start = await loadStart(parts, trainer);
    if (start.step > 0) progress.say(`resuming after step ${start.step}`);
    parts.onBegin?.();
    return await runSession({ store, plan, graph, trainer, batches, validator, progress, signal, ...planned }, start);
  } finally {
    for (const thing of open.reverse()) await thing.close();
  }
}

/** The checkpoint to start from, loaded into the trainer; a run that was killed before its first one starts anew. */
async function loadStart({ readCheckpoint }: TrainingParts, trainer: Trainer): Promise<Checkpoint> {
  const checkpoint = await readCheckpoint?.();
  if (!checkpoint) return freshCheckpoint(trainer);
  trainer.setParameters(checkpoint.parameters);
  trainer.setState(checkpoint.state);
  return checkpoint;
}

function planWords({ steps, epochSteps, calibration, settings }: RunFile): string {
  const words = `${counted(steps, "step")} in epochs of ${epochSteps}, ${settings.augment === "none" ? "no" : settings.augment} augmentation`;
  if (!calibration) return words;
  return `${words}: ${(1000 * calibration.stepSeconds).toFixed(0)} ms a step, about ${durationText(steps * calibration.stepSeconds)} of training`;
}
