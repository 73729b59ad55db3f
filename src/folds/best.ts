import { existsSync } from "node:fs";
import { rename, rm } from "node:fs/promises";
import { join } from "node:path";
import { readCase } from "../dataset/load.ts";
import { readDataset } from "../dataset/read.ts";
import { targetNames } from "../dataset/regions.ts";
import type { Dataset } from "../dataset/types.ts";
import { createBackend, type EngineName } from "../engine/backend.ts";
import { evaluateCase } from "../evaluate/case.ts";
import { type Summary, summarise } from "../evaluate/summary.ts";
import { foldFolder, modelFileName, saveModel } from "../model/files.ts";
import type { Model } from "../model/types.ts";
import { writePrediction } from "../predict/files.ts";
import { postprocess } from "../predict/postprocess.ts";
import { average } from "../study/statistics.ts";
import { type Progress, silentProgress } from "../train/progress.ts";
import { fail } from "../util/errors.ts";
import { writeFileAtomic } from "../util/files.ts";
import { startTime } from "../util/time.ts";
import { lunetVersion } from "../util/version.ts";
import { readVolume } from "../volume/files.ts";
import { type BestFile, bestFileName, bestTextName, type CandidateResult } from "./best-file.ts";
import { bestText } from "./best-text.ts";
import { type Candidate, candidatesOf, withTestTime } from "./candidates.ts";
import { type CaseMeans, highest, pairedDifference } from "./compare.ts";
import { type Configuration, readConfigurations } from "./configurations.ts";
import { type Predicted, predictOutOfFold, truthOf, unseenCases } from "./out-of-fold.ts";
import { holdsFolds } from "./record.ts";
import { type ChosenSteps, chooseSteps, type StepDice, stepDice } from "./steps.ts";

export interface BestOptions {
  /** Folders of cross-validations of the same folds of the same data. */
  folders: readonly string[];
  /** The data set; default where the first cross-validation found it. */
  data?: string;
  images?: string;
  labels?: string;
  /** Also averages of several configurations. Default true. */
  ensembles?: boolean;
  /** Also mirror images and shifts of the chosen one. Default false. */
  tryTta?: boolean;
  /** Folder for a copy of the chosen models and nothing else. */
  exportTo?: string;
  engine?: EngineName;
  threads?: number;
  progress?: Progress;
}

export interface BestResult {
  best: BestFile;
  text: string;
  /** Folders of the chosen configurations. */
  folders: string[];
  /** Folder of the label maps of the chosen candidate, after post-processing. */
  outOfFold: string;
}

interface Scored {
  candidate: Candidate;
  cases: Predicted[];
  means: CaseMeans;
  /** Where its label maps lie. */
  maps: string;
}

interface Reading {
  dataset: Dataset;
  progress: Progress;
}

/**
 * Chooses among cross-validations, and averages of them, by the Dice of every case from models that have not seen it; then
 * post-processing that raises the mean and lowers no class. Writes the choice into the chosen models, and best.json, best.txt and
 * the label maps (out-of-fold) beside them. Throws UserError as {@link readConfigurations}.
 */
export async function chooseBest(options: BestOptions): Promise<BestResult> {
  const { ensembles = true, tryTta = false, progress = silentProgress } = options;
  const configurations = await readConfigurations(options.folders);
  const [first] = configurations;
  if (options.exportTo !== undefined) checkExport(options.exportTo);
  const dataset = await datasetOf(first, options);
  const order = unseenCases(dataset, first).map(({ entry }) => entry.id);
  const { subjects } = first.record;
  const units = subjects && order.map((id) => subjects[id] ?? id);
  const scratch = join(first.folder, ".out-of-fold");
  await rm(scratch, { recursive: true, force: true });
  const backend = await createBackend({ name: options.engine, threads: options.threads });
  const scored: Scored[] = [];
  try {
    const score = async (candidate: Candidate): Promise<void> => {
      const maps = join(scratch, String(scored.length));
      const cases = await predictOutOfFold(candidate, { configurations, dataset, backend, folder: maps, progress });
      const means = cases.map(({ dice }) => average(dice));
      scored.push({ candidate, cases, means, maps });
      progress.say(`${candidate.name}: Dice ${(100 * average(means)).toFixed(2)} on ${cases.length} unseen cases`);
    };
    for (const candidate of candidatesOf(configurations, ensembles)) await score(candidate);
    let chosen = scored[highest(scored.map(({ means }) => means))];
    if (tryTta) {
      const before = scored.length;
      for (const candidate of withTestTime(chosen.candidate, configurations)) await score(candidate);
      // It costs time at every prediction: only for what chance does not explain.
      const sure = scored.slice(before).filter(({ means }) => pairedDifference(means, chosen.means, units).low > 0);
      if (sure.length > 0) chosen = sure[highest(sure.map(({ means }) => means))];
    }
    const names = targetNames(first.models[0].plan);
    const reading = { dataset, progress };
    const tried = await trySteps(chosen, first.models[0], reading);
    const steps = chooseSteps(tried, first.models[0].plan, names, units);
    const summary = await finish(chosen, steps, first.models[0], reading);
    const outOfFold = join(first.folder, "out-of-fold");
    await rm(outOfFold, { recursive: true, force: true });
    await rename(chosen.maps, outOfFold);
    const best: BestFile = {
      version: 1,
      lunet: lunetVersion(),
      created: startTime(),
      data: dataset.name,
      cases: order.length,
      subjects: units ? new Set(units).size : null,
      folds: first.record.cases.length,
      classes: names,
      labels: first.models[0].plan.labels,
      candidates: scored.map((one) => resultOf(one, chosen, configurations, units)),
      chosen: chosen.candidate.name,
      ...steps,
      metrics: { classes: summary.classes, mean: summary.mean },
    };
    const members = chosen.candidate.members.map((m) => configurations[m]);
    const text = bestText(best);
    await writeChoice(members, chosen.candidate, best, text, options.exportTo);
    return { best, text, folders: members.map(({ folder }) => folder), outOfFold };
  } finally {
    progress.close();
    await backend.close();
    await rm(scratch, { recursive: true, force: true });
  }
}

/** A copy must not mix with models that are there. */
function checkExport(folder: string): void {
  if (existsSync(foldFolder(folder, 0)) || holdsFolds(folder)) {
    fail(`${folder} already holds the models of folds; choose another --export.`);
  }
}

function datasetOf({ record }: Configuration, { data, images, labels }: BestOptions): Promise<Dataset> {
  if (data || images || labels) return readDataset(data, { images, labels });
  return readDataset(record.data.path, { images: record.data.images, labels: record.data.labels });
}

/** Scores each of the chosen label maps after every post-processing that is tried. */
async function trySteps({ cases }: Scored, { plan }: Model, { dataset, progress }: Reading): Promise<StepDice[]> {
  const scores: StepDice[] = [];
  for (const [done, { entry, path }] of cases.entries()) {
    progress.live(`trying post-processing ${done + 1}/${cases.length}`);
    const map = await readVolume(path);
    const { label } = await readCase(entry, dataset.channels, dataset);
    scores.push(stepDice(Uint8Array.from(map.data), truthOf(entry, label!, map), map.shape, plan));
  }
  return scores;
}

/** Post-processes the chosen label maps in place and measures everything about them. */
async function finish(
  { maps, cases }: Scored,
  { postprocessing }: ChosenSteps,
  { plan: { labels, regions } }: Model,
  { dataset, progress }: Reading,
): Promise<Summary> {
  const metrics = [];
  for (const [done, { entry, path, format }] of cases.entries()) {
    progress.live(`measuring ${done + 1}/${cases.length}`);
    const kept = await readVolume(path);
    const map = { ...kept, data: Uint8Array.from(kept.data) };
    if (postprocessing && postprocess(map.data, map.shape, postprocessing) > 0) {
      await writePrediction(maps, entry.id, map, format);
    }
    const { label } = await readCase(entry, dataset.channels, dataset);
    metrics.push(evaluateCase(entry.id, map, label!, labels, { regions }));
  }
  return summarise(metrics);
}

function resultOf(
  { candidate, cases, means }: Scored,
  chosen: Scored,
  configurations: readonly Configuration[],
  units: readonly string[] | undefined,
): CandidateResult {
  const { name, members, mirror, shifts } = candidate;
  return {
    name,
    configurations: members.map((m) => configurations[m].name),
    mirror,
    shifts,
    parameters: members.reduce((sum, m) => sum + configurations[m].record.parameters, 0),
    dice: {
      mean: average(means),
      classes: cases[0].dice.map((_, c) => average(cases.map(({ dice }) => dice[c]))),
    },
    lead: pairedDifference(chosen.means, means, units),
  };
}

/** The choice in every model of the chosen configurations, and the report beside them. */
async function writeChoice(
  members: readonly Configuration[],
  { mirror, shifts }: Candidate,
  best: BestFile,
  text: string,
  exportTo: string | undefined,
): Promise<void> {
  const { postprocessing } = best;
  const told = (model: Model): Model => {
    const { postprocessing: _, testTime: __, ...plain } = model;
    return {
      ...plain,
      ...(postprocessing ? { postprocessing } : {}),
      ...(mirror || shifts > 0 ? { testTime: { mirror, shifts } } : {}),
    };
  };
  const write = async (folder: string, models: readonly Model[]): Promise<void> => {
    for (const [fold, model] of models.entries())
      await saveModel(join(foldFolder(folder, fold), modelFileName), told(model));
    await writeFileAtomic(join(folder, bestFileName), `${JSON.stringify(best, null, 2)}\n`);
    await writeFileAtomic(join(folder, bestTextName), `${text}\n`);
  };
  for (const { folder, models } of members) await write(folder, models);
  if (exportTo !== undefined) {
    await write(
      exportTo,
      members.flatMap(({ models }) => models),
    );
  }
}
