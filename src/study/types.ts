import type { UnitSpec } from "../net/spec.ts";

/**
 * What a study keeps on disk, written by the runner and read by the report. A study folder holds `study.json`
 * ({@link StudyFile}) and one numbered folder a run, `runs/0001/`, with `config.json` ({@link RunConfig}) and either
 * `result.json` ({@link RunResult}) when it is done or `failure.json` ({@link RunFailure}) when it failed.
 */

/** How a pruning arm finds the channel to remove. */
export type Pick = "stamp" | "random-at-stamp-layer" | "random-at-largest";

/** One arm: a way to get a net, repeated for every fold and seed. */
export interface StudyArm {
  /** Distinct within the study; stands in file names. */
  id: string;
  /** How people call it: tables and figures show this. */
  label: string;
  kind: "train" | "prune";
  /** As on the command line: `lean:8`, `unet:4`. For pruning the net that it starts from. */
  net: string;
  /** Pruning only; `stamp` by default. */
  pick?: Pick;
  /** Pruning only: the importance of a channel, such as `l2`. */
  criterion?: string;
  /** Skip connections, finest level first; `all` by default. */
  skips?: boolean[] | "all" | "none";
  /** Channels of the bottleneck's convolutions where they are not the family's own. */
  bottleneck?: number;
  /** Convolutions a block; 2 by default. */
  convs?: number;
  /** What stands around each convolution where it is not the default. */
  unit?: { norm?: UnitSpec["norm"]; order?: UnitSpec["order"]; slope?: number };
  /** Resolution levels where they are not the plan's. */
  levels?: number;
  /** Training recipe. */
  preset?: string;
  /** Steps and settings of the arm's own, by the names of the study file, where they are not the study's. */
  settings?: Record<string, unknown>;
  /** Training cases of a fold that are used; all by default. */
  trainingCases?: number;
  /** What the arm is there for, in words of the study file; "reference" marks the arm that all others are compared with. */
  role?: string;
  /** Id of the arm that has as many parameters and the other family of widths. */
  pair?: string;
}

/** `study.json`: the study with all defaults filled in. */
export interface StudyFile {
  version: 1;
  name: string;
  /** The data set's name; its path belongs to the runs' configurations. */
  data: string;
  scale: string;
  arms: StudyArm[];
  folds: number[];
  seeds: number[];
  /** Named budgets as the runner spends them, such as `{ "train": "40 epochs" }`; the report prints them. */
  budgets: Record<string, string | number>;
  /** lunet's version. */
  lunet: string;
  /** Names of the foreground classes, in the order of the scores. */
  classes?: string[];
  /** Tolerance of the NSD in mm. */
  tolerance?: number;
  /** Voxels D, H, W of the window that MACs, bytes and latency refer to. */
  patch?: number[];
  /** Patient of each case, where several cases belong to one: the statistics then count patients. */
  groups?: Record<string, string>;
  /** Differences in Dice smaller than this count as none (0.01 is one Dice point, the default). */
  margin?: number;
}

/** What every run's configuration tells the report; the runner stores more beside it. */
export interface RunConfig {
  version: 1;
  run: string;
  arm: string;
  label: string;
  kind: StudyArm["kind"];
  fold: number;
  seed: number;
}

/** Scores of one case, one entry a foreground class. Distances are null where one of the two surfaces is missing. */
export interface CaseScore {
  dice: number[];
  /** mm. */
  hd95: (number | null)[];
  nsd: (number | null)[];
}

/** Scores by case id. */
export type CaseScores = Record<string, CaseScore>;

/** One net that was evaluated: a trained one, or a point of a pruning curve. */
export interface SizeResult {
  /** Pruning step; 0 before any removal. */
  step: number;
  /** Channels of every convolution and transposed convolution by layer name, the head left out. */
  widths: Record<string, number>;
  parameters: number;
  parametersWithoutNorm: number;
  /** Multiply-accumulates of one window. */
  macs: number;
  /** Activations of one window while predicting, in bytes. */
  inferenceBytes: number;
  /** Activations and gradients of one window while training, in bytes. */
  trainingBytes: number;
  /** Path inside the study folder. */
  model: string;
  validation: CaseScores;
  /** Null where this size was not evaluated on the test cases. */
  test: CaseScores | null;
  /** Median time of predicting one window. */
  latencyMs: number | null;
}

/** One channel that pruning removed; level 0 is the finest, the bottleneck has the highest. */
export interface Removal {
  layer: string;
  level: number;
  step: number;
}

/** `result.json` of a finished run. */
export interface RunResult extends RunConfig {
  trainingCases: number;
  /** One for `train`; for `prune` one an evaluated point of the curve, largest first. */
  sizes: SizeResult[];
  /** Index in `sizes` of the best mean Dice on the validation cases. */
  chosen: number;
  seconds: number;
  /** Pruning only, in the order of removal. */
  removals?: Removal[];
}

/** `failure.json` of a run that failed; it goes when the run is tried again. */
export interface RunFailure {
  version: 1;
  run: string;
  /** One sentence for the user. */
  message: string;
}
