import { readCase } from "../dataset/load.ts";
import type { Dataset } from "../dataset/types.ts";
import type { Backend } from "../engine/types.ts";
import { evaluateCase } from "../evaluate/case.ts";
import type { Model } from "../model/types.ts";
import { buildGraph } from "../net/build.ts";
import { createPredictor } from "../predict/segment.ts";
import { fail } from "../util/errors.ts";
import { random } from "../util/random.ts";
import { type Vec3, voxelCount } from "../volume/volume.ts";
import type { CaseScores } from "./types.ts";

export interface ScoreOptions {
  backend: Backend;
  dataset: Dataset;
  /** Tolerance of the NSD in mm. */
  tolerance: number;
  onCase?: (done: number) => void;
  signal?: AbortSignal;
}

/** Compiled programs kept for the next case, in bytes: cases come in few sizes. */
const keepBytes = 2 ** 27;

/** Scores of a model by case, on the cases' own grids. Null when the signal stopped it. */
export async function scoreModel(
  model: Model,
  ids: readonly string[],
  options: ScoreOptions,
): Promise<CaseScores | null> {
  const { backend, dataset, tolerance, onCase, signal } = options;
  const byId = new Map(dataset.training.map((entry) => [entry.id, entry]));
  const scores: CaseScores = {};
  const predictor = createPredictor(model, { backend, keepBytes });
  try {
    for (const [done, id] of ids.entries()) {
      if (signal?.aborted) return null;
      onCase?.(done);
      const entry =
        byId.get(id) ?? fail(`Expected the case ${id} of the study in its data set, but it is gone; put it back.`);
      const { images, label } = await readCase(entry, dataset.channels, dataset);
      const { labels } = await predictor.segment(images, { id });
      const { classes } = evaluateCase(id, labels, label!, dataset.labels, { tolerance, regions: dataset.regions });
      scores[id] = {
        dice: classes.map(({ dice }) => dice),
        hd95: classes.map(({ hd95 }) => hd95),
        nsd: classes.map(({ nsd }) => nsd),
      };
    }
  } finally {
    predictor.close();
  }
  return scores;
}

/** Mean Dice over cases and classes. */
export function meanDice(scores: CaseScores): number {
  const all = Object.values(scores).map(({ dice }) => mean(dice));
  return mean(all);
}

const warmRuns = 5;
const timedRuns = 11;

/** Median ms of predicting one window with the threads of the backend. */
export async function latencyOf(model: Model, window: Vec3, backend: Backend): Promise<number> {
  const program = await backend.inference(buildGraph(model.net, { batch: 1, shape: window }));
  try {
    program.setParameters(model.tensors);
    const generator = random(1);
    const input = Float32Array.from({ length: model.net.inputChannels * voxelCount(window) }, () => generator.normal());
    const times: number[] = [];
    for (let run = 0; run < warmRuns + timedRuns; run++) {
      const start = performance.now();
      await program.logits(input);
      times.push(performance.now() - start);
    }
    const timed = times.slice(warmRuns).sort((a, b) => a - b);
    return Math.round(100 * timed[timedRuns >> 1]) / 100;
  } finally {
    program.close();
  }
}

function mean(values: readonly number[]): number {
  return values.reduce((sum, v) => sum + v, 0) / values.length;
}
