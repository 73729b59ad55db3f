import { existsSync } from "node:fs";
import { mkdir, readdir, rm } from "node:fs/promises";
import { join } from "node:path";
import type { Plan } from "../dataset/types.ts";
import { fail } from "../util/errors.ts";
import { explainFileError, readJson, writeFileAtomic } from "../util/files.ts";
import { lockHolder } from "./lock.ts";
import type { ResolvedStudy, RunConfigFile, StudyOnDisk } from "./resolve.ts";
import type { RunFailure, RunResult } from "./types.ts";

export interface StudyPaths {
  folder: string;
  study: string;
  plan: string;
  lock: string;
  runs: string;
  /** What was handed to Slurm. */
  slurm: string;
}

export function studyPaths(folder: string): StudyPaths {
  return {
    folder,
    study: join(folder, "study.json"),
    plan: join(folder, "plan.json"),
    lock: join(folder, "study.lock"),
    runs: join(folder, "runs"),
    slurm: join(folder, "slurm"),
  };
}

export interface RunFiles {
  folder: string;
  config: string;
  result: string;
  failure: string;
  lock: string;
  log: string;
}

export function runFiles(folder: string, run: string): RunFiles {
  const own = join(folder, "runs", run);
  return {
    folder: own,
    config: join(own, "config.json"),
    result: join(own, "result.json"),
    failure: join(own, "failure.json"),
    lock: join(own, "run.lock"),
    log: join(own, "log.txt"),
  };
}

/** Number of a run as it names its folder. */
export function runName(number: number): string {
  return String(number).padStart(4, "0");
}

export type RunState = "done" | "failed" | "running" | "interrupted" | "waiting";

/** What the files of a run say about it. */
export function stateOf(folder: string, run: string): RunState {
  const files = runFiles(folder, run);
  if (existsSync(files.result)) return "done";
  if (existsSync(files.failure)) return "failed";
  if (lockHolder(files.lock)) return "running";
  const begun = ["run.json", "prune.json"].some((name) => existsSync(join(files.folder, name)));
  return begun ? "interrupted" : "waiting";
}

const json = (value: unknown): string => `${JSON.stringify(value, null, 2)}\n`;

export async function readStudy(folder: string): Promise<StudyOnDisk> {
  const { study } = studyPaths(folder);
  if (!existsSync(study)) {
    fail(
      `Expected a study in ${folder}, but there is no study.json; check the path, or start one with lunet study NAME --out ${folder}.`,
    );
  }
  const value = (await readJson(study)) as Partial<StudyOnDisk> | null;
  if (value?.version !== 1 || !Array.isArray(value.arms) || typeof value.runs !== "number") {
    fail(`Expected ${study} to describe a study, version 1, but it does not; start the study again in another folder.`);
  }
  return value as StudyOnDisk;
}

/** Numbers of the study's runs. */
export function runNames(study: Pick<StudyOnDisk, "runs">): string[] {
  return Array.from({ length: study.runs }, (_, i) => runName(i + 1));
}

export async function readConfig(folder: string, run: string): Promise<RunConfigFile> {
  const { config, folder: own } = runFiles(folder, run);
  if (!existsSync(config)) {
    fail(
      `Expected run ${run} of the study in ${own}, but its folder or its config.json is gone; start the study again with the ` +
        `same command and --out to make it anew.`,
    );
  }
  return (await readJson(config)) as RunConfigFile;
}

export async function readResult(folder: string, run: string): Promise<RunResult> {
  return (await readJson(runFiles(folder, run).result)) as RunResult;
}

export async function readFailure(folder: string, run: string): Promise<RunFailure> {
  return (await readJson(runFiles(folder, run).failure)) as RunFailure;
}

export async function writeResult(folder: string, result: RunResult): Promise<void> {
  await writeFileAtomic(runFiles(folder, result.run).result, json(result));
}

export async function writeFailure(folder: string, run: string, message: string): Promise<void> {
  const failure: RunFailure = { version: 1, run, message };
  await writeFileAtomic(runFiles(folder, run).failure, json(failure));
}

export async function forgetFailure(folder: string, run: string): Promise<void> {
  await rm(runFiles(folder, run).failure, { force: true });
}

/** Runs whose folder or configuration is missing. */
export function missingRuns(folder: string, study: Pick<StudyOnDisk, "runs">): string[] {
  return runNames(study).filter((run) => !existsSync(runFiles(folder, run).config));
}

/** Writes a study; study.json comes last, so that a study with one is whole. `only`: the configurations of these runs alone. */
export async function writeStudy(
  folder: string,
  { study, plan, configs }: ResolvedStudy,
  only?: readonly string[],
): Promise<void> {
  const paths = studyPaths(folder);
  await mkdir(paths.runs, { recursive: true }).catch((error) => {
    throw explainFileError(error, folder) ?? error;
  });
  if (!only) await writeFileAtomic(paths.plan, json(plan satisfies Plan));
  for (const config of configs) {
    if (!only || only.includes(config.run)) await writeFileAtomic(runFiles(folder, config.run).config, json(config));
  }
  if (!only) await writeFileAtomic(paths.study, json(study));
}

/** Whether something has been run in a folder, whatever study.json says. */
export async function holdsRuns(folder: string): Promise<boolean> {
  const { runs } = studyPaths(folder);
  const names = existsSync(runs) ? await readdir(runs) : [];
  return names.some((run) => stateOf(folder, run) !== "waiting");
}
