import { existsSync, realpathSync } from "node:fs";
import { stat } from "node:fs/promises";
import { basename, dirname, join, resolve } from "node:path";
import { findCases } from "../dataset/layout.ts";
import { channelSuffix, stemOf } from "../dataset/names.ts";
import { readDataset } from "../dataset/read.ts";
import { dicomCaseId } from "../dataset/scan.ts";
import type { DatasetCase } from "../dataset/types.ts";
import { holdsDicom, isOneScan } from "../dicom/files.ts";
import { knownCases } from "../model/known-cases.ts";
import type { Model } from "../model/types.ts";
import { fail } from "../util/errors.ts";
import { explainFileError } from "../util/files.ts";
import { listSome } from "../util/list-some.ts";
import { scanExtension, scanExtensions } from "../volume/extensions.ts";
import { holdsSlices, writeStack, writeVolume } from "../volume/files.ts";
import type { Volume } from "../volume/volume.ts";

/** Which cases of a data set to predict: `val` and `train` are those of the models themselves. */
export type CaseChoice = "val" | "train" | "test" | "all";

export interface PredictInput extends DatasetCase {
  /** Indices of the models to average: all, but for `val` those that have the case in their validation part. */
  models: number[];
  /** Whether one of those models, or one that it learned from, was trained on this case (known for data set folders only). */
  trained: boolean;
}

export interface FindOptions {
  /** For data set folders (those with a dataset.json), where it is required. */
  cases?: CaseChoice;
  /** Where predictions go: what lies in there is not taken for scans of a folder around it. */
  out?: string;
}

/**
 * The cases that `paths` stand for: a scan file (`_0000` gathers its channels), a folder of scans, or a data set folder. A folder of
 * PNG slices is one scan for a 3D model, and a scan a slice for a 2D one; a folder, archive or file of DICOM is one, with
 * `path#SERIES` where it has several series. Throws UserError for a path that does not exist or holds no scan, two cases with one id, and a choice that gives no case.
 */
export async function findInputs(
  paths: readonly string[],
  models: readonly Model[],
  options: FindOptions = {},
): Promise<PredictInput[]> {
  const found: PredictInput[] = [];
  const everyModel = models.map((_, index) => index);
  for (const path of paths) {
    if (!options.cases && !scanExtension(path) && (await isDicomInput(path))) {
      found.push({ id: dicomCaseId(path), images: [resolve(path)], models: everyModel, trained: false });
      continue;
    }
    const info = await stat(path).catch((error) => {
      throw explainFileError(error, path) ?? error;
    });
    const plain = (entry: DatasetCase): PredictInput => ({ ...entry, models: everyModel, trained: false });
    if (info.isDirectory() && existsSync(join(path, "dataset.json"))) {
      found.push(...(await datasetInputs(path, models, options.cases)));
    } else if (options.cases) {
      fail(`Expected a data set folder for --cases ${options.cases}, but there is no dataset.json in ${path}.`);
    } else if (models[0].plan.patch[0] > 1 && (await holdsSlices(path))) {
      found.push(plain({ id: basename(resolve(path)), images: [resolve(path)] }));
    } else if (info.isDirectory()) {
      found.push(...(await scansIn(path, models[0].plan.channels.length, options.out)).map(plain));
    } else {
      found.push(plain(fileInput(path, models[0].plan.channels.length)));
    }
  }
  const seen = new Map<string, string>();
  // There a file's name is the same in capitals.
  const nameOf = (id: string): string => (/^(darwin|win32)$/.test(process.platform) ? id.toLowerCase() : id);
  for (const { id, images } of found) {
    const other = seen.get(nameOf(id));
    if (other) fail(`Expected every case once, but ${other} and ${images[0]} are both named ${id}; rename one.`);
    seen.set(nameOf(id), images[0]);
  }
  return found;
}

/** More files than these are not the channels of one case but scans with numbers for names. */
const mostChannels = 16;

/** The scans of a folder, but for those in the folder of predictions within it. */
async function scansIn(folder: string, channels: number, out: string | undefined): Promise<DatasetCase[]> {
  let cases = await findCases({ images: folder });
  if (cases.length === 1 && cases[0].images.length > mostChannels)
    cases = await findCases({ images: folder, channels });
  if (!out || !existsSync(out)) return cases;
  const place = realpathSync(out);
  return cases.filter(({ images }) => images.every((image) => !existsSync(image) || realpathSync(image) !== place));
}

/** One DICOM scan, not a folder in which other scans or a data set lie. */
async function isDicomInput(path: string): Promise<boolean> {
  if (existsSync(join(path, "dataset.json")) || (await holdsSlices(path)) || !(await holdsDicom(path))) return false;
  return isOneScan(path);
}

function fileInput(path: string, channels: number): DatasetCase {
  if (!scanExtension(path)) fail(`Expected a scan (${scanExtensions.join(", ")}), but got ${path}.`);
  const stem = stemOf(path);
  const suffix = channelSuffix(stem);
  if (suffix?.channel !== 0) return { id: stem, images: [resolve(path)] };
  const images = Array.from({ length: channels }, (_, c) =>
    resolve(dirname(path), `${suffix.id}_${String(c).padStart(4, "0")}${basename(path).slice(stem.length)}`),
  ).filter((image) => existsSync(image));
  return { id: suffix.id, images };
}

async function datasetInputs(
  path: string,
  models: readonly Model[],
  choice: CaseChoice | undefined,
): Promise<PredictInput[]> {
  if (!choice) fail(`${path} is a data set; say which of its cases to predict with --cases val, test, train or all.`);
  const dataset = await readDataset(path);
  const parts = models.map(({ provenance }) => ({
    train: new Set(provenance.trainingCases),
    val: new Set(provenance.validationCases),
    known: knownCases(provenance),
  }));
  const listed = [...dataset.training, ...dataset.test];
  const everyModel = models.map((_, index) => index);
  const modelsFor = (entry: DatasetCase): number[] => {
    if (choice === "val") return everyModel.filter((m) => parts[m].val.has(entry.id));
    if (choice === "train") return parts.some(({ train }) => train.has(entry.id)) ? everyModel : [];
    return choice === "all" || dataset.test.includes(entry) ? everyModel : [];
  };
  const chosen = listed
    .map((entry) => ({ ...entry, models: modelsFor(entry) }))
    .filter((entry) => entry.models.length > 0)
    .map((entry) => ({ ...entry, trained: entry.models.some((m) => parts[m].known.has(entry.id)) }));
  if (chosen.length === 0) {
    const reasons: Record<CaseChoice, string> = {
      val: "none of the models has validation cases in it (was it trained on all cases, or on another data set?)",
      train: "none of the models was trained on it",
      test: "it has no test cases (imagesTs)",
      all: "it is empty",
    };
    fail(`Expected cases for --cases ${choice} in ${path}, but ${reasons[choice]}.`);
  }
  const known = new Set(listed.map(({ id }) => id));
  const wanted = choice === "val" || choice === "train" ? parts.flatMap((part) => [...part[choice]]) : [];
  const absent = [...new Set(wanted)].filter((id) => !known.has(id));
  if (absent.length > 0) {
    fail(
      `Expected the models' ${choice} cases in ${path}, but ${listSome(absent)} ${absent.length > 1 ? "are" : "is"} not there.`,
    );
  }
  return chosen;
}

/** Formats that predictions are written in. */
export const outputFormats = ["nii.gz", "nii", "nrrd", "mha", "png"] as const;
export type OutputFormat = (typeof outputFormats)[number];

/** The format of a scan's own file, or compressed NIfTI where predictions are not written in that one. */
export async function formatLike(image: string): Promise<OutputFormat> {
  const ending = scanExtension(image);
  if (ending === ".png" || (ending === null && (await holdsSlices(image)))) return "png";
  if (ending === ".nrrd" || ending === ".nhdr") return "nrrd";
  return ending === ".mha" || ending === ".mhd" ? "mha" : "nii.gz";
}

/** Path of a case's prediction: several slices of PNG are a folder. */
export function outputPath(folder: string, id: string, format: OutputFormat, slices: number): string {
  return join(folder, format === "png" && slices > 1 ? id : `${id}.${format}`);
}

/** Writes a label map under its case's name; returns the path. */
export async function writePrediction(
  folder: string,
  id: string,
  labels: Volume<Uint8Array>,
  format: OutputFormat,
): Promise<string> {
  const path = outputPath(folder, id, format, labels.shape[0]);
  await (scanExtension(path) ? writeVolume(path, labels) : writeStack(path, labels));
  return path;
}

/** Refuses a folder that holds inputs: a prediction must never stand in for a scan or a true label. */
export function assertSafeFolder(folder: string, inputs: readonly DatasetCase[]): void {
  if (!existsSync(folder)) return;
  const out = realpathSync(folder);
  const files = inputs.flatMap(({ images, label }) => (label ? [...images, label] : images));
  // A folder of slices is itself an input.
  const holds = (file: string): boolean => file === out || dirname(file) === out;
  const inside = files.find((file) => existsSync(file) && holds(realpathSync(file)));
  if (inside) {
    fail(
      `Predictions would be written into ${folder}, among inputs such as ${basename(inside)}; choose another --out.`,
    );
  }
}
