import type { SkippedCase } from "../dataset/measure.ts";
import type { EngineName } from "../engine/backend.ts";
import type { NetSpec } from "../net/spec.ts";
import type { TrainSettings } from "../train/presets.ts";
import type { Progress } from "../train/progress.ts";
import type { SetupOptions } from "../train/setup.ts";

/** What a channel is ranked by; see {@link criteria} for the definitions. */
export type Criterion = "taylor" | "l1" | "l2" | "l1-sd" | "random" | "weight" | "bn-scale";

/** Which channels go: the lowest ranked, a random one of the layer where that one is, or a random one of the largest layer. */
export type PickRule = "stamp" | "random-at-stamp-layer" | "random-at-largest";

/** A length of training. An epoch is `epochSteps` steps. */
export type Length = { steps: number } | { epochs: number };

/** When pruning ends: at the first of these that is met. A text such as "10%" is a share of the net at the start. */
export interface StopLimits {
  /** Trained parameters that may be left. */
  parameters?: number | string;
  /** Channels that may be left, over all prunable layers. */
  channels?: number | string;
  /** Channels removed. */
  removed?: number | string;
  /** Mean validation Dice below the best size's, in [0, 1]. */
  diceDrop?: number;
}

/** What a prune run is asked for; anything left out is a default, or the started run's own on resume. */
export interface PruneOptions extends SetupOptions {
  /** Prune folder. */
  out: string;
  /** Go on with the run in `out`. */
  resume?: boolean;
  /** Replace the run in `out`. */
  force?: boolean;
  /** A run folder or model file to prune, instead of training `net` from the start; its plan and cases are kept. */
  from?: string;
  /** Default l2. */
  criterion?: Criterion;
  /** Default stamp. */
  pick?: PickRule;
  /** What makes a layer the largest for random-at-largest. Default width. */
  largestBy?: "width" | "parameters";
  /** Channels a step. Default 4. */
  remove?: number;
  /**
   * Time of this call for everything. In a new run `warm` and `recovery` are planned to fill it where they are not stated; then the
   * run ends after its step and can be resumed.
   */
  minutes?: number;
  /** Training before the first removal. Default 10 epochs; none with `from`. */
  warm?: Length;
  /** Training after each removal. Default 1 epoch. */
  recovery?: Length;
  /** Default parameters: "10%". */
  until?: StopLimits;
  /** Epochs without a better validation Dice after which a phase (warm-up or one recovery) ends; 0: never. Default 0. */
  patience?: number;
  /** Batches that channels are ranked on. Default one pass over the training cases, at most 32. */
  rankBatches?: number;
  /** Channel dropout aimed at unimportant layers after each removal (STAMP), else as in the settings. Default: where channels are ranked. */
  targeted?: boolean;
  /** Learning rate of the recoveries. Default that of the settings. */
  recoveryRate?: number;
  /** Sizes between validation checks; the first and the last size are always checked. Default 1. */
  checkEvery?: number;
  /** Validation cases of a check. Default all. */
  checkCases?: number;
  /** model.safetensors is the smallest size whose mean validation Dice is within this of the best. Default 0: the best. */
  within?: number;
  /** Steps between checkpoints; default about one pass over the cases. */
  epochSteps?: number;
  engine?: EngineName;
  /** Compute threads; they change the time, not the result. */
  threads?: number;
  /** Less memory for more time (TrainSpec.recompute), in training and ranking; the result is the same. */
  lowMemory?: boolean;
  progress?: Progress;
  /** Ends the run after its step, with a checkpoint. */
  signal?: AbortSignal;
  /** Called just before the first step: from here on there is something to keep. */
  onBegin?: () => void;
}

/** A channel of a layer, by the layer's name in the graph. */
export interface ChannelRef {
  layer: string;
  channel: number;
}

/** One line of curve.jsonl: a size of the net. */
export interface CurveRecord {
  /** Number of removals before; 0 is the whole net. */
  step: number;
  /** What this step removed; channel numbers are those of the net before the step. */
  removed: ChannelRef[];
  /** Channels of every conv unit and transposed convolution; the head is not listed. */
  widths: Record<string, number>;
  parameters: number;
  parametersWithoutNorm: number;
  /** Multiply-accumulates for one training window. */
  macs: number;
  /** Mean over the last epoch of the phase; null where none was trained. */
  trainLoss: number | null;
  /** Dice per foreground class; null where this size was not checked. */
  validationDice: number[] | null;
  meanDice: number | null;
  /** Path of the model, relative to the folder. */
  model: string;
  /** Wall time of ranking, training and checking. */
  seconds: number;
}

/** Stop limits as counts of what may be left; null: no such limit. */
export interface Limits {
  parameters: number | null;
  channels: number | null;
  diceDrop: number | null;
}

/** The settings of pruning, resolved. */
export interface PruneSettings {
  criterion: Criterion;
  pick: PickRule;
  largestBy: "width" | "parameters";
  remove: number;
  warmSteps: number;
  recoverySteps: number;
  epochSteps: number;
  until: Limits;
  patience: number;
  /** 0 where nothing is ranked. */
  rankBatches: number;
  targeted: boolean;
  recoveryRate: number;
  checkEvery: number;
  checkCases: number;
  within: number;
}

/** A size as it is named in results. */
export interface PrunedSize {
  step: number;
  parameters: number;
  dice: number[] | null;
  meanDice: number | null;
  model: string;
}

/** Channels lost at one level; level 0 is the finest, the last is the bottleneck. */
export interface LevelLoss {
  level: number;
  /** Before any removal. */
  channels: number;
  removed: number;
  /** Removed channels by layer. */
  layers: Record<string, number>;
}

/** Why pruning ended: a limit was met, no channel that may go was left, or its time was up. */
export type Ending = "parameters" | "channels" | "dice-drop" | "nothing left to remove" | "minutes";

export interface PruneOutcome {
  ended: Ending;
  sizes: number;
  /** What model.safetensors holds. */
  chosen: PrunedSize;
  last: PrunedSize;
  removedByLevel: LevelLoss[];
}

/** prune.json: what a prune run was told, and what came of it. */
export interface PruneFile {
  version: 1;
  /** Of the lunet that started the run. */
  lunet: string;
  /** ISO 8601; kept when the run is resumed. */
  started: string;
  data: { path?: string; images?: string; labels?: string; name: string };
  /** As it was asked for, e.g. "unet:4"; of a trained model the path that was given. */
  netName: string;
  /** The model that was pruned, where one was given: its path and the steps it had been trained. */
  from?: { path: string; steps: number };
  /** Before any removal. */
  net: NetSpec;
  parameters: number;
  /** null: all cases train. */
  fold: number | null;
  folds?: number;
  groups?: string;
  mirrorAxes: number[];
  engine: EngineName;
  settings: TrainSettings;
  pruning: PruneSettings;
  /** What turned minutes into steps, in a run that was planned so: seconds of a step and of a check, with the whole net. */
  calibration?: { minutes: number; stepSeconds: number; checkSeconds: number };
  /** Where such a run met another pace than it measured: the steps of a recovery from some size on. */
  replans?: { size: number; recoverySteps: number }[];
  trainingCases: string[];
  validationCases: string[];
  /** As in run.json. */
  skipped?: SkippedCase[];
  /** Of the model that was pruned, as Provenance.teacherCases. */
  teacherCases?: string[];
  state: "running" | "interrupted" | "finished" | "stopped at the time limit";
  result: PruneOutcome | null;
}

/** What `pruneNet(options: PruneOptions): Promise<PruneResult>` of prune.ts gives. */
export interface PruneResult {
  /** prune.json as it was left. */
  run: PruneFile;
  folder: string;
  curve: CurveRecord[];
  /** Wall time of this call. */
  seconds: number;
}
