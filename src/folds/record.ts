import { existsSync } from "node:fs";
import { join } from "node:path";
import type { Fold } from "../dataset/types.ts";
import { foldFolder, foldsFileName } from "../model/files.ts";
import { type RunFile, readRunFile, runPaths } from "../train/run-folder.ts";
import type { TrainOptions } from "../train/train.ts";
import { fail } from "../util/errors.ts";
import { readJson, writeFileAtomic } from "../util/files.ts";
import type { FoldsSummary } from "./summary.ts";

/** What every fold is told; the rest of its options is its own or the call's. */
export type AskedOptions = Omit<
  TrainOptions,
  | "out"
  | "resume"
  | "force"
  | "threads"
  | "progress"
  | "signal"
  | "onBegin"
  | "lowMemory"
  | "fold"
  | "cases"
  | "plan"
  | "spec"
>;

/** cross-validation.json: what all folds share, and what came of them. */
export interface FoldsFile
  extends Pick<
    RunFile,
    "lunet" | "started" | "data" | "netName" | "net" | "parameters" | "mirrorAxes" | "engine" | "settings" | "budget"
  > {
  version: 1;
  /** As they were asked for; see RunFile. */
  folds?: number;
  groups?: string;
  /** Case id to subject, where groups were given. */
  subjects?: Record<string, string>;
  epochSteps?: number;
  /** The cases of every fold. */
  cases: Fold[];
  /** Options of a fold that is yet to be started. */
  asked: AskedOptions;
  /** Null until every fold has a result. */
  summary: FoldsSummary | null;
}

export interface FoldsPaths {
  folder: string;
  run: string;
  plan: string;
}

export function foldsPaths(folder: string): FoldsPaths {
  return { folder, run: join(folder, foldsFileName), plan: join(folder, "plan.json") };
}

/** Whether a folder holds a cross-validation. */
export function holdsFolds(folder: string): boolean {
  return existsSync(foldsPaths(folder).run);
}

/** UserError where there is none, or another program's file. */
export async function readFoldsFile(folder: string): Promise<FoldsFile> {
  const { run } = foldsPaths(folder);
  if (!existsSync(run)) {
    fail(`Expected a folder of lunet train --fold all, but ${folder} has no ${foldsFileName}; check the path.`);
  }
  const value = (await readJson(run)) as Partial<FoldsFile> | null;
  if (value?.version !== 1 || !Array.isArray(value.cases) || !value.settings || !value.asked) {
    fail(`Expected ${run} to be the record of a cross-validation, version 1, but it is not; train again with --force.`);
  }
  return value as FoldsFile;
}

export async function writeFoldsFile(folder: string, file: FoldsFile): Promise<void> {
  await writeFileAtomic(foldsPaths(folder).run, `${JSON.stringify(file, null, 2)}\n`);
}

/** run.json of each fold; null where the fold was not started. */
export function readFoldRuns(folder: string, folds: number): Promise<(RunFile | null)[]> {
  return Promise.all(
    Array.from({ length: folds }, async (_, fold) => {
      const { run } = runPaths(foldFolder(folder, fold));
      return existsSync(run) ? readRunFile(run) : null;
    }),
  );
}
