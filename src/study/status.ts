import { existsSync } from "node:fs";
import { diceText, durationText } from "../train/progress.ts";
import { meanDice } from "./evaluate-sizes.ts";
import { type RunState, readConfig, readFailure, readResult, runFiles, runNames, stateOf } from "./folder.ts";
import type { RunConfigFile, StudyOnDisk } from "./resolve.ts";
import type { RunResult } from "./types.ts";

/** How one run stands. */
export interface RunStatus {
  run: string;
  arm: string;
  label: string;
  fold: number;
  seed: number;
  state: RunState | "missing";
  /** Mean Dice on the test cases of the size that validation chose; null while there is none. */
  testDice: number | null;
  /** Per class. */
  classDice: number[] | null;
  /** Parameters of that size. */
  parameters: number | null;
  seconds: number | null;
  /** Why it failed. */
  message: string | null;
}

export async function statusOf(folder: string, study: StudyOnDisk): Promise<RunStatus[]> {
  return Promise.all(runNames(study).map((run) => runStatus(folder, study, run)));
}

export async function runStatus(folder: string, study: StudyOnDisk, run: string): Promise<RunStatus> {
  const nothing = { testDice: null, classDice: null, parameters: null, seconds: null, message: null };
  if (!existsSync(runFiles(folder, run).config)) {
    // The order of the runs tells what it was.
    const index = Number(run) - 1;
    const arm = study.arms[index % study.arms.length];
    const pair = Math.floor(index / study.arms.length);
    const fold = study.folds[Math.floor(pair / study.seeds.length)];
    const seed = study.seeds[pair % study.seeds.length];
    return { run, arm: arm.id, label: arm.label, fold, seed, state: "missing", ...nothing };
  }
  const { arm, label, fold, seed } = await readConfig(folder, run);
  const state = stateOf(folder, run);
  const base = { run, arm, label, fold, seed, state, ...nothing };
  if (state === "failed") return { ...base, message: (await readFailure(folder, run)).message };
  return state === "done" ? { ...base, ...scoreOf(await readResult(folder, run)) } : base;
}

/** What a finished run reached on its test cases. */
export function scoreOf(result: RunResult): Pick<RunStatus, "testDice" | "classDice" | "parameters" | "seconds"> {
  const { test, parameters } = result.sizes[result.chosen];
  const cases = Object.values(test ?? {});
  if (!test || cases.length === 0) return { testDice: null, classDice: null, parameters, seconds: result.seconds };
  const classDice = cases[0].dice.map((_, c) => cases.reduce((sum, { dice }) => sum + dice[c], 0) / cases.length);
  return { testDice: meanDice(test), classDice, parameters, seconds: result.seconds };
}

/** "0007 lean:8, fold 1, seed 0". */
export function runTitle({ run, label, fold, seed }: Pick<RunStatus, "run" | "label" | "fold" | "seed">): string {
  return `${run} ${label}, fold ${fold}, seed ${seed}`;
}

/** One line for a run. */
export function statusLine(status: RunStatus, classes: readonly string[]): string {
  const title = runTitle(status);
  if (status.state === "failed") return `${title}: failed: ${status.message}`;
  if (status.state !== "done" || status.testDice === null) return `${title}: ${status.state}`;
  const each = classes.map((name, c) => `${name} ${diceText([status.classDice![c]])}`).join(", ");
  const size = `${status.parameters!.toLocaleString("en-US")} parameters`;
  return `${title}: test Dice ${diceText([status.testDice])} (${each}), ${size}, ${durationText(status.seconds!)}`;
}

/**
 * Seconds that the open runs will take: their estimates, corrected by what finished runs of the same kind took against theirs.
 * `processes` run at once.
 */
export function secondsLeft(
  open: readonly Pick<RunConfigFile, "kind" | "need">[],
  done: readonly { kind: RunConfigFile["kind"]; milliseconds: number; seconds: number }[],
  processes: number,
): number {
  const rate = (kind: RunConfigFile["kind"]): number => {
    const own = done.filter((one) => one.kind === kind);
    const from = own.length > 0 ? own : done;
    const estimated = from.reduce((sum, { milliseconds }) => sum + milliseconds, 0);
    return estimated === 0 ? 1e-3 : from.reduce((sum, { seconds }) => sum + seconds, 0) / estimated;
  };
  const work = open.reduce((sum, { kind, need }) => sum + need.milliseconds * rate(kind), 0);
  return work / Math.max(1, Math.min(processes, open.length));
}
