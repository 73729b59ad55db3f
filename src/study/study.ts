import { existsSync, realpathSync } from "node:fs";
import { mkdir } from "node:fs/promises";
import { availableParallelism } from "node:os";
import { resolve } from "node:path";
import { durationText, type Progress } from "../train/progress.ts";
import { are, counted } from "../util/counted.ts";
import { fail } from "../util/errors.ts";
import { explainFileError } from "../util/files.ts";
import {
  forgetFailure,
  holdsRuns,
  missingRuns,
  readConfig,
  readResult,
  readStudy,
  runNames,
  stateOf,
  studyPaths,
  writeStudy,
} from "./folder.ts";
import { runLocally } from "./local.ts";
import { takeLock } from "./lock.ts";
import { type RunConfigFile, resolveStudy, type StudyOnDisk } from "./resolve.ts";
import type { SlurmJobs } from "./sbatch.ts";
import { refuseQueued, submitToSlurm } from "./slurm.ts";
import type { StudySpec } from "./spec.ts";
import { type RunStatus, runStatus, secondsLeft, statusLine, statusOf } from "./status.ts";

export interface StudyOptions {
  spec: StudySpec;
  /** "tiny", "small", "full", or "own" for a study file. */
  scale: string;
  out: string;
  executor?: "local" | "slurm";
  /** Processes at once; default one a `threads` cores (local), 8 (Slurm). */
  processes?: number;
  /** Compute threads of a process; they change the time, not the result. */
  threads?: number;
  /** Do failed runs again. */
  retry?: boolean;
  /** More options for sbatch. */
  sbatch?: readonly string[];
  progress: Progress;
  signal?: AbortSignal;
}

export interface StudyOutcome {
  folder: string;
  study: StudyOnDisk;
  runs: RunStatus[];
  /** Where it was handed to Slurm. */
  jobs?: SlurmJobs;
  /** The signal ended it before its end. */
  interrupted: boolean;
}

/**
 * Does a study: makes its folder, or goes on with the one that is there, and does every run that is not done. Two at once in one
 * folder are refused. UserError for bad input, a folder with another study, a folder that is in use.
 */
export async function startStudy(options: StudyOptions): Promise<StudyOutcome> {
  const { progress, signal, executor = "local", threads = 1 } = options;
  const folder = resolve(options.out);
  const paths = studyPaths(folder);
  await mkdir(folder, { recursive: true }).catch((error) => {
    throw explainFileError(error, folder) ?? error;
  });
  const lock = await takeLock(paths.lock);
  if ("heldBy" in lock) {
    const { pid, host } = lock.heldBy;
    fail(
      `The study in ${options.out} is being done by process ${pid} on ${host} already; wait for it, or choose another --out.`,
    );
  }
  try {
    await refuseQueued(folder);
    const study = await openStudy(folder, options);
    const open = await openRuns(folder, study, options);
    if (executor === "slurm" && open.length > 0) {
      const processes = options.processes ?? 8;
      const jobs = await submitToSlurm({
        folder,
        name: study.name,
        configs: open,
        processes,
        threads,
        sbatch: options.sbatch ?? [],
      });
      return { folder, study, runs: await statusOf(folder, study), jobs, interrupted: false };
    }
    const processes = options.processes ?? defaultProcesses(threads);
    await followLocally(folder, study, open, { processes, threads, progress, signal });
    return { folder, study, runs: await statusOf(folder, study), interrupted: signal?.aborted === true };
  } finally {
    progress.close();
    lock.release();
  }
}

/** Processes at once on this machine, where nothing else is stated. */
export function defaultProcesses(threads: number): number {
  return Math.max(1, Math.floor(availableParallelism() / threads));
}

/** The study of the folder, made where there is none yet; runs whose folder was taken away are made again. */
async function openStudy(
  folder: string,
  { spec, scale, progress, out, threads = 1 }: StudyOptions,
): Promise<StudyOnDisk> {
  if (!existsSync(studyPaths(folder).study)) {
    if (await holdsRuns(folder)) {
      fail(`Expected ${out} to be empty or a study, but it holds runs without a study.json; choose another --out.`);
    }
    const resolved = await resolveStudy(spec, scale, { threads, progress });
    await writeStudy(folder, resolved);
    return resolved.study;
  }
  const study = await readStudy(folder);
  const keys = new Set([...Object.keys(spec), ...Object.keys(study.spec)]) as Set<keyof StudySpec>;
  const differs = [...keys].filter((key) => stated(spec, key) !== stated(study.spec, key));
  if (differs.length > 0 || study.scale !== scale) {
    fail(
      `${out} holds another study than asked for now (it differs in ${differs.join(", ") || "scale"}); choose another --out, or ask for ` +
        `the same to go on.`,
    );
  }
  const missing = missingRuns(folder, study);
  if (missing.length > 0) {
    progress.say(`making ${counted(missing.length, "run")} anew whose folder is gone: ${missing.join(", ")}`);
    await writeStudy(folder, await resolveStudy(spec, scale, { threads, progress }), missing);
  }
  return study;
}

/** What a study states, to be compared: of a folder the place that it is, by whatever path. */
function stated(spec: StudySpec, key: keyof StudySpec): string | undefined {
  const value = spec[key];
  const isPlace = key === "data" || key === "images" || key === "labels";
  return JSON.stringify(isPlace && typeof value === "string" && existsSync(value) ? realpathSync(value) : value);
}

/** Configurations of the runs that are to be done now. */
async function openRuns(
  folder: string,
  study: StudyOnDisk,
  { retry, progress }: StudyOptions,
): Promise<RunConfigFile[]> {
  const open: RunConfigFile[] = [];
  let failed = 0;
  for (const run of runNames(study)) {
    const state = stateOf(folder, run);
    if (state === "done") continue;
    if (state === "failed" && !retry) {
      failed++;
      continue;
    }
    if (state === "failed") await forgetFailure(folder, run);
    open.push(await readConfig(folder, run));
  }
  const done = study.runs - open.length - failed;
  if (done > 0) progress.say(`${done} of ${counted(study.runs, "run")} ${are(done)} done`);
  if (failed > 0)
    progress.say(`${failed} failed before and ${failed > 1 ? "are" : "is"} left; do them again with --retry`);
  return open;
}

async function followLocally(
  folder: string,
  study: StudyOnDisk,
  runs: readonly RunConfigFile[],
  options: Required<Pick<StudyOptions, "processes" | "threads" | "progress">> & Pick<StudyOptions, "signal">,
): Promise<void> {
  const { processes, progress } = options;
  const classes = study.classes ?? [];
  const left = new Map(runs.map((config) => [config.run, config]));
  const done: Parameters<typeof secondsLeft>[1][number][] = [];
  for (const run of runNames(study)) {
    if (stateOf(folder, run) !== "done") continue;
    const { kind, need } = await readConfig(folder, run);
    done.push({ kind, milliseconds: need.milliseconds, seconds: (await readResult(folder, run)).seconds });
  }
  await runLocally({
    folder,
    runs: runs.map(({ run }) => run),
    processes,
    threads: options.threads,
    signal: options.signal,
    say: progress.say,
    onBegin: (config) =>
      progress.live(`${study.runs - left.size} of ${study.runs} done; ${config.run} ${config.label} began`),
    onEnd: async (config) => {
      left.delete(config.run);
      const status = await runStatus(folder, study, config.run);
      if (status.seconds !== null) {
        done.push({ kind: config.kind, milliseconds: config.need.milliseconds, seconds: status.seconds });
      }
      const time =
        left.size === 0 ? "" : `; about ${durationText(secondsLeft([...left.values()], done, processes))} left`;
      progress.say(`[${study.runs - left.size}/${study.runs}] ${statusLine(status, classes)}${time}`);
    },
  });
}
