import { readCase } from "../dataset/load.ts";
import type { Dataset, DatasetCase } from "../dataset/types.ts";
import type { Backend } from "../engine/types.ts";
import { formatLike, type OutputFormat, writePrediction } from "../predict/files.ts";
import { createPredictor } from "../predict/segment.ts";
import type { Progress } from "../train/progress.ts";
import { fail } from "../util/errors.ts";
import type { Volume } from "../volume/volume.ts";
import type { Candidate } from "./candidates.ts";
import type { Configuration } from "./configurations.ts";
import { diceOfTargets } from "./steps.ts";

export interface OutOfFoldOptions {
  configurations: readonly Configuration[];
  dataset: Dataset;
  backend: Backend;
  /** Folder for the label maps, without post-processing. */
  folder: string;
  progress: Progress;
}

/** A case and the folds whose models have not seen it. */
interface Unseen {
  entry: DatasetCase;
  folds: number[];
}

export interface Predicted {
  entry: DatasetCase;
  /** By class or region. */
  dice: number[];
  /** Of the label map. */
  path: string;
  format: OutputFormat;
}

/** Programs that are kept for the next case, in bytes: cases come in few sizes. */
const keepBytes = 2 ** 28;

/** Cases that some fold validates, those of one fold together, so that models change seldom. */
export function unseenCases(dataset: Dataset, { record, folder }: Configuration): Unseen[] {
  const byId = new Map(dataset.training.map((entry) => [entry.id, entry]));
  const folds = new Map<string, number[]>();
  for (const [fold, { val }] of record.cases.entries()) {
    for (const id of val) folds.set(id, [...(folds.get(id) ?? []), fold]);
  }
  return [...folds].map(([id, own]) => {
    const entry =
      byId.get(id) ??
      fail(
        `Expected the case ${id} of ${folder} in the data set at ${dataset.root}, but it is not there; put it back.`,
      );
    return { entry, folds: own };
  });
}

/** Predicts every case with the models that have not seen it, and scores it on its own grid; in the order of {@link unseenCases}. */
export async function predictOutOfFold(candidate: Candidate, options: OutOfFoldOptions): Promise<Predicted[]> {
  const { configurations, dataset, backend, folder, progress } = options;
  const { name, members, mirror, shifts } = candidate;
  const cases = unseenCases(dataset, configurations[0]);
  const models = members.flatMap((m) => configurations[m].models);
  const count = configurations[0].record.cases.length;
  const [{ plan }] = models;
  const predictor = createPredictor(models, { backend, keepBytes, postprocess: false, testTime: false });
  const predicted: Predicted[] = [];
  try {
    for (const [done, { entry, folds }] of cases.entries()) {
      progress.live(`${name}: predicting unseen cases ${done + 1}/${cases.length}`);
      const { images, label } = await readCase(entry, dataset.channels, dataset);
      const chosen = members.flatMap((_, i) => folds.map((fold) => i * count + fold));
      const { labels } = await predictor.segment(images, { id: entry.id, models: chosen, mirror, shifts });
      const dice = diceOfTargets(labels.data, truthOf(entry, label!, labels), plan);
      const format = await formatLike(entry.images[0]);
      const path = await writePrediction(folder, entry.id, labels, format);
      predicted.push({ entry, dice, path, format });
    }
  } finally {
    predictor.close();
  }
  return predicted;
}

/** The true label map as bytes on the grid of the prediction. */
export function truthOf({ id, label: path }: DatasetCase, truth: Volume, prediction: Volume): Uint8Array {
  if (truth.shape.join() !== prediction.shape.join()) {
    fail(
      `Expected the label map ${path} of case ${id} on the grid of its image, ${prediction.shape.join(" x ")} voxels, but it has ` +
        `${truth.shape.join(" x ")}; run lunet verify.`,
    );
  }
  return Uint8Array.from(truth.data);
}
