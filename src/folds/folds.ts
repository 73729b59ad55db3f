import { existsSync } from "node:fs";
import { readdir, rm, rmdir } from "node:fs/promises";
import { availableParallelism } from "node:os";
import { resolve } from "node:path";
import { type Groups, parseGroups } from "../dataset/groups.ts";
import { targetNames } from "../dataset/regions.ts";
import { foldsOf } from "../dataset/splits.ts";
import type { Dataset, Fold } from "../dataset/types.ts";
import { foldFolder } from "../model/files.ts";
import { planFromJson } from "../model/header.ts";
import { subjectOf } from "../study/folds.ts";
import { parseBudget } from "../train/budget.ts";
import { readTeachers } from "../train/distil.ts";
import { availableBytes, sizeText, totalBytes } from "../train/memory.ts";
import { durationText, silentProgress } from "../train/progress.ts";
import { checkSameSettings, clearRunFolder, openFolder, runPaths } from "../train/run-folder.ts";
import { checkRunMemory, type RunPlace, runNeed } from "../train/run-memory.ts";
import { dataRecord, type RunSetup, setUpAgain, setUpRun, statedOptions } from "../train/setup.ts";
import type { TrainOptions } from "../train/train.ts";
import { are, counted } from "../util/counted.ts";
import { fail } from "../util/errors.ts";
import { readJson, writeFileAtomic } from "../util/files.ts";
import { listSome } from "../util/list-some.ts";
import { startTime } from "../util/time.ts";
import { lunetVersion } from "../util/version.ts";
import type { FoldOrder } from "./process.ts";
import { runFoldProcesses } from "./processes.ts";
import {
  type AskedOptions,
  type FoldsFile,
  type FoldsPaths,
  foldsPaths,
  holdsFolds,
  readFoldRuns,
  readFoldsFile,
  writeFoldsFile,
} from "./record.ts";
import { summariseFolds } from "./summary.ts";

/** As for one run; `out` is the folder of all, and minutes, epochs and steps are those of each fold. */
export interface FoldsOptions extends Omit<TrainOptions, "fold" | "cases"> {
  /** Folds at a time, each in a process of its own with its share of the threads. Default 1. */
  jobs?: number;
}

export interface FoldsResult {
  /** cross-validation.json as it was left. */
  record: FoldsFile;
  folder: string;
  /** Wall time of this call. */
  seconds: number;
  interrupted: boolean;
}

/**
 * Trains a net on every fold of a data set: `out`/fold0, fold1, ... are ordinary run folders with one plan, cross-validation.json says
 * what they share and reached. Resumed, folds that are finished stay, others go on, the rest is started. The first fold that
 * fails stops the call. Throws UserError as trainNet does, and for more jobs than fit the memory.
 */
export async function trainFolds(options: FoldsOptions): Promise<FoldsResult> {
  const began = performance.now();
  const { progress = silentProgress, signal } = options;
  const paths = foldsPaths(resolve(options.out));
  const going = await openFolder({ ...paths }, options);
  const { record: started, setup } = going ? await findStarted(options, paths) : await startNew(options, paths);
  let record = started;
  const runs = await readFoldRuns(paths.folder, record.cases.length);
  const open = record.cases.flatMap((_, fold) => (runs[fold]?.state === "finished" ? [] : [fold]));
  const { jobs, threads, lowMemory } = placeOf(options, open.length);
  if (going && jobs > 1) await checkJobs(setup, jobs, { threads, lowMemory });
  const orders = open.map((fold) => {
    const mine = { out: foldFolder(paths.folder, fold), threads, lowMemory: options.lowMemory };
    const { images, labels } = options;
    const { path, ...plain } = record.data;
    const data = options.data || images || labels ? { data: options.data, images, labels } : { data: path, ...plain };
    const order: FoldOrder = runs[fold]
      ? { ...data, ...mine, resume: true }
      : {
          ...record.asked,
          settings: ofFold(record.asked.settings, fold),
          ...data,
          ...mine,
          fold,
          cases: casesOf(record.cases[fold]),
          plan: setup.plan,
          spec: record.net,
        };
    return { fold, order };
  });
  if (open.length === 0) progress.say(`All ${counted(runs.length, "fold")} in ${options.out} are finished already.`);
  else progress.say(describe(record, open.length, jobs));
  const names = targetNames(setup.plan);
  const summarise = async (): Promise<void> => {
    record = { ...record, summary: summariseFolds(runs, names) };
    await writeFoldsFile(paths.folder, record);
  };
  await runFoldProcesses(orders, {
    jobs,
    progress,
    signal,
    onBegin: options.onBegin,
    onEnd: async (fold, run) => {
      runs[fold] = run;
      await summarise();
    },
  });
  // Also where nothing was left to train: a kill may have come between the end of the last fold and its summary.
  await summarise();
  const interrupted = signal?.aborted === true;
  return { record, folder: paths.folder, seconds: (performance.now() - began) / 1000, interrupted };
}

/** How many folds train at a time, and what each of them has. */
function placeOf({ jobs: asked = 1, threads = availableParallelism(), lowMemory = false }: FoldsOptions, open: number) {
  const jobs = Math.max(1, Math.min(asked, open));
  return { jobs, threads: Math.max(1, Math.floor(threads / jobs)), lowMemory };
}

function describe({ cases, budget }: FoldsFile, open: number, jobs: number): string {
  const done = open < cases.length ? ` (${cases.length - open} ${are(cases.length - open)} finished)` : "";
  const words = `${open} of ${cases.length} folds to train${done}, ${jobs === 1 ? "one" : jobs} at a time`;
  if (!("minutes" in budget)) return words;
  const total = durationText(60 * budget.minutes * Math.ceil(open / jobs));
  return `${words}, ${budget.minutes} min each: about ${total} at most`;
}

/** A teacher that is a cross-validation itself teaches each fold by its model of that fold, which has not seen its cases either. */
function ofFold(settings: AskedOptions["settings"], fold: number): AskedOptions["settings"] {
  const teachers = settings?.distil;
  if (!teachers) return settings;
  return { ...settings, distil: teachers.map((path) => (holdsFolds(path) ? foldFolder(path, fold) : path)) };
}

/** Its folds must be those of the run, or its models would have seen what is to be validated. */
async function checkTeachers(paths: readonly string[], cases: readonly Fold[]): Promise<void> {
  const key = (folds: readonly Fold[]): string => JSON.stringify(folds.map(({ val }) => val.toSorted()));
  for (const path of paths.filter(holdsFolds)) {
    if (key((await readFoldsFile(path)).cases) === key(cases)) continue;
    fail(
      `Expected the folds of ${path} (--distil) to be those of this run, but they hold other cases; give the same --folds and --groups.`,
    );
  }
}

const subjectsOf = ({ training }: Dataset, groups: Groups): Record<string, string> =>
  Object.fromEntries(training.map(({ id }) => [id, subjectOf(id, groups)]));

const casesOf = ({ train, val }: Fold) => ({ training: train, validation: val });

interface Opened {
  record: FoldsFile;
  /** Of the first fold. */
  setup: RunSetup;
}

async function startNew(options: FoldsOptions, paths: FoldsPaths): Promise<Opened> {
  const { jobs, out, resume, force, threads, progress, signal, onBegin, lowMemory, plan, spec, ...asked } = options;
  const setup = await setUpRun({ ...asked, plan, spec, fold: 0 }, progress ?? silentProgress);
  const groups = options.groups === undefined ? undefined : await parseGroups(options.groups);
  const cases = foldsOf(setup.dataset, { folds: options.folds, groups });
  for (const [fold, { train, val }] of cases.entries()) {
    const part = train.length === 0 ? "training" : val.length === 0 ? "validation" : null;
    if (part) fail(`Expected ${part} cases in fold ${fold}, but splits.json lists none; mend the file.`);
  }
  // What the first fold would refuse is refused here, while the folds that --force replaces are still there.
  const { distil } = setup.settings;
  if (distil) {
    await checkTeachers(distil, cases);
    await readTeachers(ofFold({ distil }, 0)!.distil!, setup);
  }
  const place = placeOf(options, cases.length);
  await checkRunMemory(setup, place);
  if (place.jobs > 1) await checkJobs(setup, place.jobs, place);
  await clearFolds(paths, cases.length, force);
  const record: FoldsFile = {
    version: 1,
    lunet: lunetVersion(),
    started: startTime(),
    data: dataRecord(options, setup.dataset),
    netName: setup.netName,
    net: setup.net,
    parameters: setup.parameters,
    ...(options.folds === undefined ? {} : { folds: options.folds }),
    ...(groups ? { groups: options.groups, subjects: subjectsOf(setup.dataset, groups) } : {}),
    ...(options.epochSteps === undefined ? {} : { epochSteps: options.epochSteps }),
    mirrorAxes: setup.plan.mirrorAxes,
    engine: options.engine ?? "wasm",
    settings: setup.settings,
    budget: parseBudget(options.budget ?? {}),
    cases,
    // A resumed call may come from another folder.
    asked: { ...asked, ...(distil ? { settings: { ...asked.settings, distil } } : {}) } satisfies AskedOptions,
    summary: null,
  };
  await writeFileAtomic(paths.plan, `${JSON.stringify(setup.plan, null, 2)}\n`);
  await writeFoldsFile(paths.folder, record);
  return { record, setup };
}

async function findStarted(options: FoldsOptions, paths: FoldsPaths): Promise<Opened> {
  const record = await readFoldsFile(paths.folder);
  const plan = planFromJson(await readJson(paths.plan));
  const { jobs, ...stated } = options;
  const same = { ...statedOptions(stated, record.settings, plan), ...options.budget };
  // Whether an epoch was given decides nothing here: the runs hold theirs and the rest is started as the first was.
  const { epochSteps, asked } = record;
  checkSameSettings(same, { ...record, fold: null, epochSteps: epochSteps as number, tiles: asked.tiles });
  const { train: trainingCases, val: validationCases } = record.cases[0];
  const setup = await setUpAgain(
    { ...options, skipBad: asked.skipBad },
    { ...record, fold: 0, trainingCases, validationCases },
    paths.plan,
  );
  return { record, setup };
}

/** Runs that are left of another cross-validation would be taken for those of this one. */
async function clearFolds(paths: FoldsPaths, folds: number, force: boolean | undefined): Promise<void> {
  await rm(paths.run, { force: true });
  for (let fold = 0; fold < folds || existsSync(foldFolder(paths.folder, fold)); fold++) {
    const folder = foldFolder(paths.folder, fold);
    if (!force && existsSync(runPaths(folder).run)) {
      fail(`${folder} already holds a run; add --force to replace it, or choose another --out.`);
    }
    if (existsSync(folder)) await clearRunFolder(runPaths(folder));
    if (fold < folds) continue;
    const left = await readdir(folder);
    if (left.length > 0) {
      fail(
        `${folder} would be taken for a fold of this run, but it holds ${listSome(left)}; move it away, or choose another --out.`,
      );
    }
    await rmdir(folder);
  }
}

/** Refuses more folds at a time than fit the memory; one alone is checked by its run. */
async function checkJobs(setup: RunSetup, jobs: number, place: RunPlace): Promise<void> {
  const bytes = totalBytes(await runNeed(setup, place));
  const free = availableBytes();
  if (jobs * bytes <= free) return;
  const fit = Math.max(1, Math.floor(free / bytes));
  fail(
    `${jobs} folds at a time need about ${sizeText(jobs * bytes)} of memory (${sizeText(bytes)} each), but only ${sizeText(free)} are ` +
      `free; --jobs ${fit} would fit.`,
  );
}
