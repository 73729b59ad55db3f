import { existsSync } from "node:fs";
import { access, constants, mkdir, rm } from "node:fs/promises";
import { basename, join } from "node:path";
import type { SkippedCase } from "../dataset/measure.ts";
import type { BackendOptions, EngineName } from "../engine/backend.ts";
import { foldsFileName } from "../model/files.ts";
import type { NetSpec } from "../net/spec.ts";
import { fail } from "../util/errors.ts";
import { explainFileError, readJson, removeLeftovers, writeFileAtomic } from "../util/files.ts";
import type { Budget, CheckPlan } from "./budget.ts";
import type { TeacherRecord } from "./distil.ts";
import type { TrainSettings } from "./presets.ts";

/** What one set of weights reached. */
export interface RunScore {
  /** Steps done when the weights were taken. */
  step: number;
  /** Mean validation Dice over foreground classes, and per class; null without validation cases. */
  meanDice: number | null;
  dice: number[] | null;
}

/** run.json: what a run was told, and what came of it. */
export interface RunFile {
  version: 1;
  /** Of the lunet that started the run. */
  lunet: string;
  /** ISO 8601; kept when the run is resumed. */
  started: string;
  /** Where the data lay, to find it again on resume. */
  data: { path?: string; images?: string; labels?: string; name: string };
  /** As it was asked for, e.g. "lean:8". */
  netName: string;
  net: NetSpec;
  parameters: number;
  /** null: all cases train. */
  fold: number | null;
  /** As they were asked for; the set's own folds, else five, where they were not. */
  folds?: number;
  groups?: string;
  /** As in plan.json. */
  mirrorAxes: number[];
  engine: EngineName;
  /** The register tile that was asked for; a resumed run rounds as it began. */
  tiles?: BackendOptions["tiles"];
  settings: TrainSettings;
  budget: Budget;
  /** Fixed at the start; changed when a run in minutes meets another pace than it measured. */
  steps: number;
  /** Those changes: after how many steps, and the number planned from then on. A run with some is not repeated by --steps. */
  replans?: { step: number; steps: number }[];
  epochSteps: number;
  checks: CheckPlan;
  /** Measured once to turn minutes into steps. */
  calibration: { stepSeconds: number; caseSeconds: number } | null;
  /** Where the run learns from other models. */
  teachers?: TeacherRecord[];
  /** As Provenance.teacherCases. */
  teacherCases?: string[];
  trainingCases: string[];
  validationCases: string[];
  /** Cases that --skip-bad left out, with what was wrong; absent where there were none. */
  skipped?: SkippedCase[];
  state: "running" | "interrupted" | "finished" | "stopped at the time limit";
  result: { best: RunScore; last: RunScore } | null;
}

export interface RunPaths {
  folder: string;
  run: string;
  plan: string;
  log: string;
  chart: string;
  checkpoint: string;
  best: string;
  last: string;
}

export function runPaths(folder: string): RunPaths {
  return {
    folder,
    run: join(folder, "run.json"),
    plan: join(folder, "plan.json"),
    log: join(folder, "log.jsonl"),
    chart: join(folder, "progress.svg"),
    checkpoint: join(folder, "checkpoint.safetensors"),
    best: join(folder, "model.safetensors"),
    last: join(folder, "model-last.safetensors"),
  };
}

/** Names of the records that a folder of some kind of run holds. */
const records = ["run.json", "prune.json", foldsFileName];

/** A folder and the files of its run; `run` is the record. */
export interface FolderPaths {
  folder: string;
  run: string;
}

/**
 * Makes sure of the folder; true if there is a run in it to go on with. Throws UserError when the folder holds a run and
 * neither `resume` nor `force` is given, when there is none to resume, when it holds a run of another kind, or when nothing may
 * be written there. Keeps every file: that is for {@link clearRunFolder}, once it is sure that the new run can start.
 */
export async function openFolder(paths: FolderPaths, mode: { resume?: boolean; force?: boolean }): Promise<boolean> {
  const { folder, ...files } = paths;
  const record = basename(paths.run);
  const holdsRun = existsSync(paths.run);
  if (mode.resume && mode.force) fail("Expected --resume or --force, but got both: go on with a run, or replace it.");
  const other = records.find((name) => name !== record && existsSync(join(folder, name)));
  if (other) fail(`${folder} holds a run of another kind (${other}); choose another --out.`);
  if (mode.resume && !holdsRun) {
    fail(`Expected a run to resume in ${folder}, but there is no ${record}; leave out --resume to start one.`);
  }
  if (holdsRun && !mode.resume && !mode.force) {
    fail(
      `${folder} already holds a run; add --resume to go on with it, --force to replace it, or choose another --out.`,
    );
  }
  try {
    await mkdir(folder, { recursive: true });
    await access(folder, constants.W_OK);
    await removeLeftovers(Object.values(files));
  } catch (error) {
    throw explainFileError(error, folder) ?? error;
  }
  return mode.resume === true;
}

/** The run to resume, or null for a new one; see {@link openFolder}. */
export async function openRunFolder(
  paths: RunPaths,
  mode: { resume?: boolean; force?: boolean },
): Promise<RunFile | null> {
  return (await openFolder(paths, mode)) ? readRunFile(paths.run) : null;
}

/** Takes away a run's files, or what is left of one, so that a new run does not go on from an old checkpoint. */
export async function clearRunFolder(paths: FolderPaths): Promise<void> {
  // The record goes first, so that a kill in between leaves no half run that looks whole.
  const { folder, run, ...rest }: FolderPaths & Record<string, string> = { ...paths };
  try {
    for (const path of [run, ...Object.values(rest)]) await rm(path, { force: true });
  } catch (error) {
    throw explainFileError(error, folder) ?? error;
  }
}

export async function readRunFile(path: string): Promise<RunFile> {
  const value = (await readJson(path)) as Partial<RunFile> | null;
  if (value?.version !== 1 || !value.settings || !value.steps) {
    fail(`Expected ${path} to be the record of a run, version 1, but it is not; train again with --force.`);
  }
  return value as RunFile;
}

export async function writeRunFile(path: string, run: RunFile): Promise<void> {
  await writeFileAtomic(path, `${JSON.stringify(run, null, 2)}\n`);
}

/** Option of the command line for each key that is not its own name in kebab-case. */
const optionNames: Record<string, string> = {
  learningRate: "--lr",
  recoveryRate: "--recovery-lr",
  window: "--patch",
  netName: "--net",
  mirrorAxes: "--mirror",
  optimiser: "--optimiser or --weight-decay",
};

const optionOf = (key: string): string =>
  optionNames[key] ?? `--${key.replace(/[A-Z]/g, (letter) => `-${letter.toLowerCase()}`)}`;

/** What a run was started with, as far as a resumed run must not change it. */
export type StartedWith = Pick<
  RunFile,
  "settings" | "netName" | "fold" | "folds" | "groups" | "engine" | "tiles" | "net" | "mirrorAxes" | "epochSteps"
> &
  Partial<Pick<RunFile, "budget" | "steps">>;

/**
 * Throws UserError when something stated now differs from what the run was started with, naming the option; `more` are values
 * of the run under the keys of other options. Keys with the value undefined were not stated.
 */
export function checkSameSettings(
  stated: Record<string, unknown>,
  run: StartedWith,
  more: Record<string, unknown> = {},
): void {
  const before: Record<string, unknown> = {
    ...run.settings,
    netName: run.netName,
    fold: run.fold,
    folds: run.folds,
    groups: run.groups,
    engine: run.engine,
    tiles: run.tiles,
    levels: run.net.pools.length + 1,
    convs: run.net.bottleneck.length,
    order: run.net.unit.order,
    norm: run.net.unit.norm,
    slope: run.net.unit.slope,
    mirrorAxes: run.mirrorAxes,
    epochSteps: run.epochSteps,
    ...run.budget,
    ...more,
  };
  for (const [key, value] of Object.entries(stated)) {
    // A run that was planned in minutes is the same run when it is asked for by its number of steps.
    const old = key === "steps" ? run.steps : before[key];
    if (value === undefined || JSON.stringify(value) === JSON.stringify(old)) continue;
    const words = (v: unknown): string => (typeof v === "string" ? v : v === undefined ? "not set" : JSON.stringify(v));
    fail(
      `The run was started with another ${optionOf(key)} (${words(old)}) than asked for now (${words(value)}); ` +
        `resume without this option, or start a new run with another --out.`,
    );
  }
}
