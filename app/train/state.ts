import type { LabelInfo } from "../../src/dataset/types.ts";
import type { EpochRecord } from "../../src/train/log.ts";
import type { RunFile } from "../../src/train/run-folder.ts";
import type { Store as AnyStore } from "../shared/store.ts";
import type { Planned, Standing } from "../worker/train-worker.ts";
import { type Choices, defaultChoices } from "./choices.ts";
import type { Finding } from "./preview.ts";
import type { CasesInfo } from "./read-cases.ts";

/** A run from its start on. */
export interface Run {
  status: "running" | "stopping" | "done" | "stopped" | "failed";
  /** Of the cases that it was started on. */
  labels: readonly LabelInfo[];
  targets: readonly string[];
  /** What is done before the first step, and between steps. */
  phase: string;
  /** Known once the first step is near. */
  start: { run: RunFile; engine: string; threads: number; validation: string[] } | null;
  standing: Standing | null;
  records: readonly EpochRecord[];
  /** What the engine had to say. */
  words: readonly string[];
  finding: Finding | null;
  result: { steps: number; dice: number[] | null; model: Uint8Array; saved: boolean } | null;
}

export interface State {
  /** How many cases are read, while they are. */
  reading: { done: number; total: number } | null;
  cases: CasesInfo | null;
  choices: Choices;
  /** What the choices come to, or why they come to nothing. */
  planned: Planned | null;
  refused: string | null;
  run: Run | null;
  view: "cases" | "run";
}

export type Store = AnyStore<State>;

export const initial: State = {
  reading: null,
  cases: null,
  choices: defaultChoices,
  planned: null,
  refused: null,
  run: null,
  view: "cases",
};

export const isRunning = ({ run }: State): boolean => run?.status === "running" || run?.status === "stopping";
