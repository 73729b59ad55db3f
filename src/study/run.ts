import { existsSync } from "node:fs";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { readDataset } from "../dataset/read.ts";
import { roundUpPatch } from "../dataset/topology.ts";
import { createBackend } from "../engine/backend.ts";
import { loadModel } from "../model/files.ts";
import type { Model } from "../model/types.ts";
import { pruneNet } from "../prune/prune.ts";
import type { CurveRecord } from "../prune/types.ts";
import { readLog } from "../train/file-store.ts";
import { type Progress, silentProgress } from "../train/progress.ts";
import { runPaths } from "../train/run-folder.ts";
import { trainNet } from "../train/train.ts";
import { fail, UserError } from "../util/errors.ts";
import type { Vec3 } from "../volume/volume.ts";
import { latencyOf, meanDice, scoreModel } from "./evaluate-sizes.ts";
import {
  forgetFailure,
  readConfig,
  readResult,
  readStudy,
  runFiles,
  studyPaths,
  writeFailure,
  writeResult,
} from "./folder.ts";
import { takeLock } from "./lock.ts";
import { runIdentity, sizeCounts } from "./record.ts";
import type { RunConfigFile, StudyOnDisk } from "./resolve.ts";
import { chooseSizes } from "./sizes.ts";
import type { RunResult, SizeResult } from "./types.ts";

export interface ExecuteOptions {
  threads?: number;
  progress?: Progress;
  /** Ends the run after its step, with a checkpoint. */
  signal?: AbortSignal;
  /** Wait where another process has the run, instead of refusing. */
  wait?: boolean;
  /** Called just before the first step: from here on there is something to keep. */
  onBegin?: () => void;
}

/** How long to wait before asking again for a run that another process has, in ms. */
const askAgain = 1000;

/**
 * Does one run of a study: trains or prunes, then scores the outcome. A run that was cut off goes on; one that is done stays.
 * Null when the signal stopped it. What goes wrong is also kept in the run's folder. UserError when another process has the run.
 */
export async function executeRun(folder: string, run: string, options: ExecuteOptions = {}): Promise<RunResult | null> {
  const study = await readStudy(folder);
  const config = await readConfig(folder, run);
  const files = runFiles(folder, run);
  let lock = await takeLock(files.lock);
  while (options.wait && "heldBy" in lock && !options.signal?.aborted) {
    await sleep(askAgain);
    lock = await takeLock(files.lock);
  }
  if ("heldBy" in lock) {
    const { pid, host } = lock.heldBy;
    fail(`Run ${run} of the study in ${folder} is being done by process ${pid} on ${host}; wait for it to end.`);
  }
  try {
    if (existsSync(files.result)) return await readResult(folder, run);
    await forgetFailure(folder, run);
    return await trainAndScore(folder, study, config, options);
  } catch (error) {
    const words =
      error instanceof UserError
        ? error.message
        : `lunet itself failed (${(error as Error).message}); see ${files.log}.`;
    await writeFailure(folder, run, words);
    throw error;
  } finally {
    lock.release();
  }
}

/** A net that the run gave. */
interface Outcome {
  step: number;
  /** Path of the model, from the run's folder. */
  model: string;
}

async function trainAndScore(
  folder: string,
  study: StudyOnDisk,
  config: RunConfigFile,
  options: ExecuteOptions,
): Promise<RunResult | null> {
  const { progress = silentProgress, signal, threads } = options;
  const files = runFiles(folder, config.run);
  const curve = config.pruning ? await prune(folder, config, options) : await train(folder, config, options);
  if (!curve) return null;
  const outcomes: Outcome[] = config.pruning
    ? chooseSizes(curve.records, config.sizeEvery)
    : [{ step: 0, model: "model.safetensors" }];
  const began = performance.now();
  const dataset = await readDataset(config.data.path, config.data);
  const backend = await createBackend({ threads });
  try {
    const sizes: SizeResult[] = [];
    for (const [i, outcome] of outcomes.entries()) {
      const model = await loadModel(join(files.folder, outcome.model));
      const score = (part: "validation" | "test") => {
        const ids = config.cases[part];
        const size = outcomes.length > 1 ? `size ${i + 1}/${outcomes.length}, ` : "";
        const onCase = (done: number): void => progress.live(`scoring ${size}${part} cases ${done}/${ids.length}`);
        return scoreModel(model, ids, { backend, dataset, tolerance: study.tolerance, signal, onCase });
      };
      const validation = await score("validation");
      const test = validation && (await score("test"));
      if (!test) return null;
      sizes.push({
        step: outcome.step,
        ...sizeCounts(model.net, windowOf(model, study)),
        model: `runs/${config.run}/${outcome.model}`,
        validation,
        test,
        latencyMs: await latencyOf(model, windowOf(model, study), backend),
      });
    }
    const result: RunResult = {
      ...runIdentity(config),
      trainingCases: config.cases.training.length,
      sizes,
      chosen: bestOf(sizes),
      seconds: Math.round(curve.seconds + (performance.now() - began) / 1000),
      ...(config.pruning ? { removals: removalsOf(curve.records, config) } : {}),
    };
    await writeResult(folder, result);
    return result;
  } finally {
    progress.close();
    await backend.close();
  }
}

/** What training or pruning left: the curve where it pruned, and the time it took over all its calls. */
interface Trained {
  records: CurveRecord[];
  seconds: number;
}

function common(folder: string, config: RunConfigFile, options: ExecuteOptions) {
  const { path: data, images, labels } = config.data;
  const { threads, progress, signal, onBegin } = options;
  return { data, images, labels, threads, progress, signal, onBegin, out: runFiles(folder, config.run).folder };
}

/** What a run starts with; when it goes on its own files say so. */
function fresh(folder: string, config: RunConfigFile) {
  const { netName, net, fold, cases, preset, settings, epochSteps } = config;
  return {
    net: netName,
    spec: net,
    plan: studyPaths(folder).plan,
    fold,
    cases: { training: cases.training, validation: cases.validation },
    preset,
    settings,
    epochSteps,
  };
}

async function train(folder: string, config: RunConfigFile, options: ExecuteOptions): Promise<Trained | null> {
  const paths = runPaths(runFiles(folder, config.run).folder);
  const base = common(folder, config, options);
  const { run } = existsSync(paths.run)
    ? await trainNet({ ...base, resume: true })
    : await trainNet({ ...base, ...fresh(folder, config), budget: { steps: config.steps } });
  if (run.state !== "finished") return null;
  const records = await readLog(paths.log);
  return { records: [], seconds: records.reduce((sum, r) => sum + r.seconds + r.validationSeconds, 0) };
}

async function prune(folder: string, config: RunConfigFile, options: ExecuteOptions): Promise<Trained | null> {
  const base = common(folder, config, options);
  const { run, curve } = existsSync(join(base.out, "prune.json"))
    ? await pruneNet({ ...base, resume: true })
    : await pruneNet({ ...base, ...fresh(folder, config), ...config.pruning });
  if (run.state !== "finished") return null;
  return { records: curve, seconds: curve.reduce((sum, record) => sum + record.seconds, 0) };
}

/** The study's window, made larger where a net has more pools than fit it. */
function windowOf({ net }: Model, { patch }: StudyOnDisk): Vec3 {
  return roundUpPatch(patch, net.pools);
}

/** The best mean validation Dice; of equals the smallest. */
function bestOf(sizes: readonly SizeResult[]): number {
  const scores = sizes.map(({ validation }) => meanDice(validation));
  return scores.lastIndexOf(Math.max(...scores));
}

function removalsOf(curve: readonly CurveRecord[], { net }: RunConfigFile): RunResult["removals"] {
  const level = (layer: string): number => Number(/^(?:encoder|decoder)\.(\d+)/.exec(layer)?.[1] ?? net.pools.length);
  return curve.flatMap(({ step, removed }) => removed.map(({ layer }) => ({ layer, level: level(layer), step })));
}
