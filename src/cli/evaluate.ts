import { existsSync } from "node:fs";
import { readFile, stat } from "node:fs/promises";
import { dirname, join, resolve } from "node:path";
import { Command, InvalidArgumentError, Option } from "commander";
import { readUncertainty } from "../batch/uncertainty-file.ts";
import { parseDatasetJson } from "../dataset/datasetJson.ts";
import { scanFiles } from "../dataset/layout.ts";
import { stemOf } from "../dataset/names.ts";
import { readDataset } from "../dataset/read.ts";
import { readLabelMap } from "../dataset/scan.ts";
import { commonGrid, placeLabels } from "../dataset/segmentation.ts";
import type { Dataset, LabelInfo } from "../dataset/types.ts";
import { type CaseMetrics, evaluateCase, labelValues } from "../evaluate/case.ts";
import { formatSummary, summarise } from "../evaluate/summary.ts";
import { counted } from "../util/counted.ts";
import { fail, UserError } from "../util/errors.ts";
import { explainFileError, writeFileAtomic } from "../util/files.ts";
import { listSome } from "../util/list-some.ts";
import { scanExtension } from "../volume/extensions.ts";
import { holdsSlices } from "../volume/files.ts";
import type { Volume } from "../volume/volume.ts";
import { formatTrust, trustRows } from "./evaluate-uncertainty.ts";

interface EvaluateCommandOptions {
  labels?: string;
  json?: string;
  tolerance: number;
  perCase?: boolean;
}

interface Pair {
  id: string;
  prediction: string;
  truth: string;
}

const millimetres = (text: string): number => {
  const value = Number(text);
  if (text.trim() === "" || !(value >= 0 && Number.isFinite(value))) {
    throw new InvalidArgumentError("Expected millimetres, 0 or more.");
  }
  return value;
};

export const evaluateCommand = new Command("evaluate")
  .description("Compare predicted label maps with the true ones: overlap, volumes, and surface distances in mm.")
  .argument("<predictions>", "a folder of predicted label maps, or one file")
  .argument("<truth>", "a data set folder, a folder of true label maps, or one file")
  .option(
    "--labels <file>",
    "dataset.json with the names of the labels (default: the truth's own, else the values found)",
  )
  .option("--json <file>", "also write everything as JSON, every case included; - prints it instead of the table")
  .addOption(
    new Option("--tolerance <mm>", "tolerance of the normalised surface Dice").default(1).argParser(millimetres),
  )
  .option("--per-case", "show a row for every case")
  .action(async (predictions: string, truth: string, options: EvaluateCommandOptions) => {
    const predicted = await mapsOf(predictions);
    const { maps, targets: own } = await truthOf(truth);
    const pairs = pairUp(predicted, maps, predictions, truth);
    const found = options.labels ? await targetsOf(options.labels) : own;
    const { labels, regions } = found ?? { labels: await foundLabels(pairs) };
    const cases: CaseMetrics[] = [];
    const failed: { id: string; error: string }[] = [];
    for (const pair of pairs) {
      try {
        const [p, t] = await readPair(pair, found);
        cases.push(evaluateCase(pair.id, p, t, labels, { tolerance: options.tolerance, regions }, pair));
      } catch (error) {
        if (!(error instanceof UserError)) throw error;
        failed.push({ id: pair.id, error: error.message });
      }
    }
    const withoutTruth = [...predicted.keys()].filter((id) => !maps.has(id));
    const withoutPrediction = [...maps.keys()].filter((id) => !predicted.has(id));
    const summary = summarise(cases);
    const measured = await readUncertainty((await isFolder(predictions)) ? predictions : dirname(predictions));
    const uncertainty = measured ? trustRows(summary.cases, measured) : [];
    const json = JSON.stringify(
      {
        tolerance: options.tolerance,
        labels,
        regions,
        ...summary,
        uncertainty,
        failed,
        withoutTruth,
        withoutPrediction,
      },
      null,
      2,
    );
    if (options.json === "-") process.stdout.write(`${json}\n`);
    else process.stdout.write(`${formatSummary(summary, { cases: options.perCase })}\n`);
    if (uncertainty.length > 0 && options.json !== "-") process.stdout.write(`\n${formatTrust(uncertainty)}`);
    if (options.json && options.json !== "-") await writeFileAtomic(options.json, `${json}\n`);
    const note = (ids: string[], ...words: [one: string, many: string]): void => {
      if (ids.length > 0) process.stderr.write(`Left out: ${counted(ids.length, ...words)} (${listSome(ids)}).\n`);
    };
    note(withoutTruth, "prediction without a true label map", "predictions without a true label map");
    note(withoutPrediction, "true label map without a prediction", "true label maps without a prediction");
    for (const { id, error } of failed) process.stderr.write(`${id}: ${error}\n`);
    if (failed.length > 0) process.exitCode = 1;
  });

/**
 * The predicted and the true label map on one grid. A DICOM segmentation has only the planes in which something lies: it is put on the
 * other map's grid, and two of them on one that holds both.
 */
async function readPair({ prediction, truth }: Pair, targets?: Targets): Promise<[Volume, Volume]> {
  const [p, t] = [await readLabelMap(prediction, { targets }), await readLabelMap(truth, { targets })];
  // A folder of PNG slices has no ending either, and one that lost slices must not be scored as if they were empty.
  const isSegmentation = async (path: string): Promise<boolean> =>
    scanExtension(path) === null && !(await holdsSlices(path));
  const [segmented, segmentedTruth] = [await isSegmentation(prediction), await isSegmentation(truth)];
  const grid = segmented && segmentedTruth ? commonGrid(t, p) : segmentedTruth ? p : segmented ? t : null;
  return grid ? [placeLabels(p, grid, prediction), placeLabels(t, grid, truth)] : [p, t];
}

async function isFolder(path: string): Promise<boolean> {
  const info = await stat(path).catch((error) => {
    throw explainFileError(error, path) ?? error;
  });
  return info.isDirectory();
}

async function mapsOf(path: string): Promise<Map<string, string>> {
  return (await isFolder(path)) ? scanFiles(path) : new Map([[stemOf(path), resolve(path)]]);
}

type Targets = Pick<Dataset, "labels" | "regions">;

/** The true label maps by case id, and the labels and regions where a dataset.json stands in or above the folder. */
async function truthOf(path: string): Promise<{ maps: Map<string, string>; targets?: Targets }> {
  const folder = await isFolder(path);
  if (folder && existsSync(join(path, "dataset.json"))) {
    // Only its label maps are needed: a set without its images can be evaluated on.
    const { training, test, labels, regions } = await readDataset(path, { allowIncomplete: true });
    const labelled = [...training, ...test].flatMap(({ id, label }) =>
      label && existsSync(label) ? [[id, label] as const] : [],
    );
    return { maps: new Map(labelled), targets: { labels, regions } };
  }
  const above = join(dirname(resolve(path)), folder ? "" : "..", "dataset.json");
  return { maps: await mapsOf(path), ...(existsSync(above) ? { targets: await targetsOf(above) } : {}) };
}

/** Matches by case id; two single files are a pair whatever their names. */
function pairUp(predicted: Map<string, string>, maps: Map<string, string>, predictions: string, truth: string): Pair[] {
  const single = predicted.size === 1 && maps.size === 1 && resolve(predictions) === [...predicted.values()][0];
  if (single && resolve(truth) === [...maps.values()][0]) {
    const [[id, prediction]] = predicted;
    return [{ id, prediction, truth: [...maps.values()][0] }];
  }
  const pairs = [...predicted].flatMap(([id, prediction]) => {
    const match = maps.get(id);
    return match ? [{ id, prediction, truth: match }] : [];
  });
  if (pairs.length === 0) {
    fail(
      `Expected predictions named like the true label maps, but no name in ${predictions} ` +
        `(${listSome([...predicted.keys()])}) is one in ${truth} (${listSome([...maps.keys()])}).`,
    );
  }
  return pairs;
}

async function targetsOf(path: string): Promise<Targets> {
  const text = await readFile(path, "utf8").catch((error) => {
    throw explainFileError(error, path) ?? error;
  });
  return parseDatasetJson(text, path);
}

/** Every value in any readable truth or prediction, for folders without a label list. */
async function foundLabels(pairs: readonly Pair[]): Promise<LabelInfo[]> {
  const values = new Set<number>([0]);
  for (const path of pairs.flatMap(({ prediction, truth }) => [prediction, truth])) {
    try {
      for (const value of labelValues(await readLabelMap(path), path)) values.add(value);
    } catch (error) {
      // The pair is read again for its metrics and said to have failed there.
      if (!(error instanceof UserError)) throw error;
    }
  }
  return [...values]
    .sort((a, b) => a - b)
    .map((value) => ({ value, name: value === 0 ? "background" : `label ${value}` }));
}
