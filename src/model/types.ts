import type { Plan } from "../dataset/types.ts";
import type { TensorMap } from "../engine/types.ts";
import type { Calibration } from "../evaluate/calibration.ts";
import type { NetSpec } from "../net/spec.ts";
import type { Postprocessing, TestTime } from "../predict/postprocess.ts";

/** Where a model came from, for the record. */
export interface Provenance {
  /** lunet version that wrote the file. */
  lunet: string;
  /** ISO 8601 time. */
  created: string;
  seed: number;
  preset: string;
  /** Fold number, or null when trained on all cases. */
  fold: number | null;
  steps: number;
  trainingCases: string[];
  validationCases: string[];
  /** Further cases that models it learned from (--distil), or theirs, were trained on; absent where there are none. */
  teacherCases?: string[];
  /** Mean validation Dice per class when the weights were taken, where known. */
  validationDice: number[] | null;
}

/** A model file in memory: everything predict needs. On disk: safetensors, with `header` as JSON in its metadata. */
export interface Model {
  net: NetSpec;
  plan: Plan;
  provenance: Provenance;
  /** How probabilities are made from logits; absent means temperature 1. */
  calibration?: Calibration;
  /** What is done to label maps; absent means nothing. */
  postprocessing?: Postprocessing;
  /** What is averaged where the caller does not say; absent means nothing. */
  testTime?: TestTime;
  tensors: TensorMap;
}
