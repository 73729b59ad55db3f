import { readCase } from "../dataset/load.ts";
import { readDataset } from "../dataset/read.ts";
import type { Dataset, DatasetCase } from "../dataset/types.ts";
import { createBackend } from "../engine/backend.ts";
import { evaluateCase } from "../evaluate/case.ts";
import { roundWeights, type WeightType } from "../model/onnx-weights.ts";
import type { Model } from "../model/types.ts";
import { buildGraph, strideOf } from "../net/build.ts";
import { createPredictor } from "../predict/segment.ts";
import type { Progress } from "../train/progress.ts";
import { fail } from "../util/errors.ts";
import { listSome } from "../util/list-some.ts";

/** Labelled cases that a model was not trained on, with their data set. */
export interface UnseenCases {
  dataset: Dataset;
  cases: DatasetCase[];
}

/** Mean Dice over cases (of a case: over its classes or regions), with the model's weights and with rounded ones. */
export interface RoundingCost {
  cases: number;
  before: number;
  after: number;
  /** Largest loss of a case. */
  worst: { id: string; loss: number };
}

/** The model's validation cases in a data set, or, where it has none, every labelled case that it was not trained on. */
export async function findUnseen(folder: string, { provenance }: Model): Promise<UnseenCases> {
  const dataset = await readDataset(folder);
  const labelled = [...dataset.training, ...dataset.test].filter(({ label }) => label);
  const { trainingCases, validationCases } = provenance;
  const known = new Set(labelled.map(({ id }) => id));
  const missing = validationCases.filter((id) => !known.has(id));
  if (missing.length > 0) {
    fail(`Expected the model's validation cases in ${folder}, but ${listSome(missing)} are not there with a label.`);
  }
  const cases = labelled.filter(({ id }) =>
    validationCases.length > 0 ? validationCases.includes(id) : !trainingCases.includes(id),
  );
  if (cases.length === 0) {
    fail(
      `Expected labelled cases in ${folder} that the model was not trained on, but there are none; leave --data out.`,
    );
  }
  return { dataset, cases };
}

/** What rounding a model's weights does to its Dice, measured with lunet's engine, which gives what the file gives. */
export async function roundingCost(
  model: Model,
  weights: WeightType,
  { dataset, cases }: UnseenCases,
  progress: Progress,
): Promise<RoundingCost> {
  const graph = buildGraph(model.net, { batch: 1, shape: strideOf(model.net) });
  const rounded = { ...model, tensors: roundWeights(graph, model.tensors, weights) };
  const backend = await createBackend();
  const predictors = [model, rounded].map((one) => createPredictor(one, { backend }));
  const { labels, regions } = model.plan;
  const sums = [0, 0];
  let worst = { id: "", loss: Number.NEGATIVE_INFINITY };
  try {
    for (const [done, entry] of cases.entries()) {
      const { id } = entry;
      progress.live(`${weights} weights  ${done + 1}/${cases.length} ${id}`);
      const { images, label } = await readCase(entry, dataset.channels, dataset);
      const dice: number[] = [];
      for (const predictor of predictors) {
        const { labels: predicted } = await predictor.segment(images, { id });
        const { classes } = evaluateCase(id, predicted, label!, labels, { regions });
        dice.push(classes.reduce((sum, one) => sum + one.dice, 0) / classes.length);
      }
      sums[0] += dice[0];
      sums[1] += dice[1];
      if (dice[0] - dice[1] > worst.loss) worst = { id, loss: dice[0] - dice[1] };
    }
  } finally {
    for (const predictor of predictors) predictor.close();
    await backend.close();
  }
  return { cases: cases.length, before: sums[0] / cases.length, after: sums[1] / cases.length, worst };
}
