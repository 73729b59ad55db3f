import type { AugmentLevel } from "../../src/dataset/augment-chain.ts";
import type { Budget } from "../../src/train/budget.ts";
import type { GivenSettings, PresetName } from "../../src/train/presets.ts";
import type { TrainScansOptions } from "../../src/train/train-scans.ts";

/** What the user chose; what is left empty is as on the command line. */
export interface Choices {
  net: string;
  budget: Budget;
  /** The fold that validates; null: none, all cases train. */
  fold: number | null;
  engine: "wasm" | "webgpu";
  seed: number;
  preset: PresetName;
  augment?: AugmentLevel;
  learningRate?: number;
  batch?: number;
  /** As in "32x48x32". */
  window?: string;
  /** Whether classes weigh by how rare they are. */
  classWeights: boolean;
}

export const defaultChoices: Choices = {
  net: "lean:8",
  budget: { minutes: 2 },
  fold: 0,
  engine: "wasm",
  seed: 0,
  preset: "strong",
  // Few cases gain by it in short runs too: in a run each, 800 steps of lean:16 on 16 phantoms reach a Dice of 0.89, and 0.82 with "light".
  augment: "full",
  classWeights: false,
};

/** Folds of a set without its own: five, or one a case where there are fewer; undefined is the command line's number. */
export const foldCount = (cases: number): number | undefined => (cases < 5 ? cases : undefined);

/** The choices as options of training. */
export function optionsOf(
  choices: Choices,
  { training, splits }: { training: readonly unknown[]; splits?: unknown },
): Pick<TrainScansOptions, "net" | "budget" | "fold" | "folds" | "preset" | "settings"> {
  const { net, budget, fold, preset, seed, augment, learningRate, batch, window, classWeights } = choices;
  const settings: GivenSettings = {
    seed,
    ...(augment === undefined ? {} : { augment }),
    ...(learningRate === undefined ? {} : { learningRate }),
    ...(batch === undefined ? {} : { batch }),
    ...(window === undefined ? {} : { window }),
    ...(classWeights ? { classWeights: "auto" } : {}),
  };
  const folds = splits || fold === null ? undefined : foldCount(training.length);
  return { net, budget, fold, preset, settings, ...(folds === undefined ? {} : { folds }) };
}
