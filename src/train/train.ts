import { existsSync } from "node:fs";
import { resolve } from "node:path";
import { type BackendOptions, createBackend, type EngineName } from "../engine/backend.ts";
import { planMemory } from "../engine/wasm/plan-memory.ts";
import { supervisedLevels } from "../net/build.ts";
import type { NetSpec } from "../net/spec.ts";
import { counted } from "../util/counted.ts";
import { writeFileAtomic } from "../util/files.ts";
import type { Budget } from "./budget.ts";
import { readCheckpoint } from "./checkpoint.ts";
import { addSoftTargets, casesOfTeachers, readTeachers, type Teachers } from "./distil.ts";
import { createFileStore } from "./file-store.ts";
import { createWorkerLoader } from "./loader.ts";
import { missingClasses } from "./missing-classes.ts";
import { prepareCases } from "./prepare.ts";
import { trainSpecOf } from "./presets.ts";
import { type Progress, silentProgress } from "./progress.ts";
import { checkSameSettings, clearRunFolder, openRunFolder, type RunFile, runPaths } from "./run-folder.ts";
import { checkRunMemory } from "./run-memory.ts";
import { runTraining } from "./run-training.ts";
import { dataRecord, type RunSetup, type SetupOptions, setUpAgain, setUpRun, statedOptions } from "./setup.ts";

export interface TrainOptions extends SetupOptions {
  /** Run folder. */
  out: string;
  /** Go on with the run in `out`. */
  resume?: boolean;
  /** Replace the run in `out`. */
  force?: boolean;
  /** Default 10 minutes, counted from the call, reading and checks included. */
  budget?: Budget;
  /** Steps between checkpoints; default about one pass over the cases. */
  epochSteps?: number;
  engine?: EngineName;
  /** Forces a register tile of the wasm engine: machines with other vectors, and pages, round alike with the same one. */
  tiles?: BackendOptions["tiles"];
  /** Compute threads; they change the time, not the result. */
  threads?: number;
  /** Less memory for more time (TrainSpec.recompute); the result is the same. */
  lowMemory?: boolean;
  progress?: Progress;
  /** Ends the run after its step, with a checkpoint. */
  signal?: AbortSignal;
  /** Called just before the first step: from here on there is something to keep. */
  onBegin?: () => void;
}

export interface TrainResult {
  /** run.json as it was left. */
  run: RunFile;
  folder: string;
  /** Wall time of this call. */
  seconds: number;
}

/**
 * Trains a net on a data set into a run folder: model.safetensors (best on validation), model-last.safetensors, plan.json,
 * run.json, log.jsonl, progress.svg, checkpoint.safetensors. The same seed, data and number of steps give the same files, with
 * any number of threads, resumed or not. Throws UserError for bad input, a folder that holds a run, too little memory.
 */
export async function trainNet(options: TrainOptions): Promise<TrainResult> {
  const began = performance.now();
  const { progress = silentProgress, signal } = options;
  const { lowMemory = false } = options;
  const paths = runPaths(resolve(options.out));
  const previous = await openRunFolder(paths, options);
  const setup = previous ? await setUpAgain(options, previous, paths.plan) : await setUpRun(options, progress);
  if (previous) compareSettings(options, previous, setup);
  if (previous?.state === "finished") {
    progress.say(`The run in ${options.out} is finished already (${counted(previous.steps, "step")}).`);
    return { run: previous, folder: paths.folder, seconds: 0 };
  }
  const teachers = setup.settings.distil && (await readTeachers(setup.settings.distil, setup, previous?.teachers));
  const teacherCases = teachers && casesOfTeachers(teachers, setup.trainingCases);
  await checkRunMemory(setup, { lowMemory, threads: options.threads }, teachers?.models);
  if (!previous) {
    await clearRunFolder(paths);
    await writeFileAtomic(paths.plan, `${JSON.stringify(setup.plan, null, 2)}\n`);
  }
  progress.say(describe(setup));
  if (setup.settings.deepSupervision) progress.say(headWords(setup.net));
  if (teachers) tellTeachers(teachers, teacherCases ?? [], setup, progress);

  const { training, validation } = await prepareCases(setup, progress);
  for (const warning of missingClasses(training, setup)) progress.say(warning);
  const engine = previous?.engine ?? options.engine ?? "wasm";
  const { threads } = options;
  const tiles = previous ? previous.tiles : options.tiles;
  try {
    const backend = await createBackend({ name: engine, threads, tiles });
    try {
      const run = await runTraining({
        ...{ setup, training, validation, backend, engine, lowMemory, previous, options, progress, signal, began },
        startLoader: createWorkerLoader,
        store: createFileStore(paths),
        data: dataRecord(options, setup.dataset),
        readCheckpoint: async () => (existsSync(paths.checkpoint) ? readCheckpoint(paths.checkpoint) : null),
        beforeTrainer: async (graph) => {
          if (!teachers) return;
          const { plan, settings } = setup;
          // Within the least memory that the trainer may take: options that only save memory or time must not change the windows,
          // and so the probabilities.
          const maxBytes = planMemory(graph, trainSpecOf(settings, true), { threads: 1 }).total;
          const temperature = settings.distilTemperature!;
          await addSoftTargets(training, teachers, { backend, plan, temperature, maxBytes, progress });
        },
        more: teachers ? { teachers: teachers.records, ...(teacherCases ? { teacherCases } : {}) } : {},
        onBegin: options.onBegin,
      });
      return { run, folder: paths.folder, seconds: (performance.now() - began) / 1000 };
    } finally {
      await backend.close();
    }
  } finally {
    progress.close();
  }
}

/** Refuses a resumed run that is asked for with other settings than it was started with. */
function compareSettings(options: TrainOptions, run: RunFile, { plan }: RunSetup): void {
  checkSameSettings({ ...statedOptions(options, run.settings, plan), ...options.budget }, run);
}

function describe({ netName, parameters, dataset, settings, fold, trainingCases, validationCases }: RunSetup): string {
  const checked =
    fold === null ? "no validation" : `${counted(validationCases.length, "validates", "validate")} (fold ${fold})`;
  return (
    `${netName} (${parameters.toLocaleString("en-US")} parameters) on ${dataset.name}: ${counted(trainingCases.length, "case trains", "cases train")}, ` +
    `${checked}; windows of ${settings.window.join("x")}, batch ${settings.batch}`
  );
}

function headWords(net: NetSpec): string {
  const levels = supervisedLevels(net);
  const widths = levels.map((level) => net.decoder[level].convs.at(-1)!);
  const parameters = widths.reduce((sum, width) => sum + (width + 1) * net.outputChannels, 0);
  return `deep supervision at level ${levels.join(", ")}: heads of ${parameters} parameters more, which the model does not keep`;
}

function tellTeachers(
  teachers: Teachers,
  teacherCases: readonly string[],
  { settings, validationCases }: RunSetup,
  progress: Progress,
): void {
  const { length } = teachers.models;
  progress.say(
    `learning from ${length} ${length === 1 ? "model" : "models"} too, with weight ${settings.distilWeight} at ` +
      `temperature ${settings.distilTemperature}`,
  );
  const seen = validationCases.filter((id) => teacherCases.includes(id)).length;
  if (seen === 0) return;
  progress.say(
    `${seen} of ${counted(validationCases.length, "validation case")} trained a model of --distil: their Dice will be too good`,
  );
}
