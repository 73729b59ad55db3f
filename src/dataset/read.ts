import { existsSync } from "node:fs";
import { readdir, readFile } from "node:fs/promises";
import { basename, join, resolve } from "node:path";
import { fail, UserError } from "../util/errors.ts";
import { listSome } from "../util/list-some.ts";
import { scanExtension, scanExtensions } from "../volume/extensions.ts";
import type { Volume } from "../volume/volume.ts";
import { parseDatasetJson, parseSplits } from "./datasetJson.ts";
import { findCases } from "./layout.ts";
import { resolveListed } from "./pair-cases.ts";
import { readChannels, readLabelMap } from "./scan.ts";
import type { Dataset, DatasetCase, Fold, LabelInfo } from "./types.ts";

export interface ReadOptions {
  /** Plain folders instead of a dataset.json: one of images, one of label maps with the same names. */
  images?: string;
  labels?: string;
  name?: string;
  /** Keep cases with missing files instead of throwing (verify reports them one by one). Default false. */
  allowIncomplete?: boolean;
}

const howToCall =
  "give a folder with dataset.json (nnU-Net raw or MSD layout), or plain folders with --images DIR --labels DIR";

/**
 * Reads a data set's description (no voxels, except to discover the label values of plain folders).
 * `path`: a folder with dataset.json in MSD's or nnU-Net's dialect; or undefined with `options.images` and `options.labels`.
 * Throws UserError for a missing or empty folder, bad JSON (key named), a case without label, a label without image.
 */
export async function readDataset(path: string | undefined, options: ReadOptions = {}): Promise<Dataset> {
  if (options.images || options.labels) {
    if (path)
      fail(`Expected one data set, but got ${path} and plain folders with --images or --labels; leave out one.`);
    return readPlain(options);
  }
  if (!path) fail(`Expected a data set, but no path was given; ${howToCall}.`);
  const root = resolve(path);
  if (!existsSync(root)) fail(`Expected a data set at ${path}, but there is no such folder; ${howToCall}.`);
  const jsonPath = join(root, "dataset.json");
  if (!existsSync(jsonPath)) fail(`Expected dataset.json in ${path}, but there is none; ${howToCall}.`);
  const json = parseDatasetJson(await readFile(jsonPath, "utf8"), jsonPath);
  const { allowIncomplete = false } = options;
  const common = { ending: json.ending, channels: json.channels.length, allowIncomplete };
  const place = { at: (path: string) => resolve(root, path), has: existsSync };
  const training = json.training
    ? resolveListed(json.training, place, json.channels.length, true)
    : await findCases({ images: join(root, "imagesTr"), labels: join(root, "labelsTr"), ...common });
  if (training.length === 0)
    fail(`Expected training cases in ${jsonPath}, but the list is empty; add cases at key "training".`);
  let test: DatasetCase[] = [];
  if (json.test?.length) {
    test = resolveListed(json.test, place, json.channels.length, false);
  } else if (await holdsFiles(join(root, "imagesTs"))) {
    test = await findCases({ images: join(root, "imagesTs"), ...common });
  }
  for (const entry of test) entry.label ??= testLabel(root, entry);
  checkIds(training, jsonPath);
  checkIds(test, jsonPath);
  if (!allowIncomplete) checkComplete(training, test, json.channels, jsonPath);
  const splits = await readSplits(root, training);
  return {
    name: options.name ?? json.name ?? basename(root),
    root,
    channels: json.channels,
    labels: json.labels,
    ...(json.regions ? { regions: json.regions } : {}),
    training,
    test,
    ...(splits ? { splits } : {}),
  };
}

/** Data sets without test cases often have an empty folder for them. */
async function holdsFiles(folder: string): Promise<boolean> {
  return existsSync(folder) && (await readdir(folder)).length > 0;
}

function testLabel(root: string, entry: DatasetCase): string | undefined {
  const ending = scanExtension(entry.images[0]);
  // A folder of slices may have its label map as a folder or as any file.
  const endings = ending ? [ending] : ["", ...scanExtensions];
  return endings.map((end) => join(root, "labelsTs", `${entry.id}${end}`)).find((path) => existsSync(path));
}

function checkIds(cases: DatasetCase[], where: string): void {
  const seen = new Set<string>();
  for (const { id } of cases) {
    if (seen.has(id)) fail(`Expected every case once in ${where}, but "${id}" comes twice; remove one.`);
    seen.add(id);
  }
}

function checkComplete(training: DatasetCase[], test: DatasetCase[], channels: string[], where: string): void {
  for (const [what, paths] of [
    ["image", [...training, ...test].flatMap((entry) => entry.images)],
    ["label", training.map((entry) => entry.label ?? "")],
  ] as const) {
    const missing = paths.filter((path) => !existsSync(path));
    if (missing.length > 0) {
      fail(
        `Expected every ${what} file that ${where} calls for, but ${missing.length} are missing (${listSome(missing)}); add them or take those cases out.`,
      );
    }
  }
  // One file may hold all channels (MSD's 4D images); any other number is a mistake.
  const odd = [...training, ...test].find(({ images }) => images.length !== 1 && images.length !== channels.length);
  if (odd) {
    fail(
      `Expected ${channels.length} image files (${channels.join(", ")}) for case ${odd.id}, but found ${odd.images.length}; add the missing channel or mend ${where}.`,
    );
  }
}

async function readSplits(root: string, training: DatasetCase[]): Promise<Fold[] | undefined> {
  const ids = new Set(training.map((entry) => entry.id));
  for (const name of ["splits.json", "splits_final.json"]) {
    const path = join(root, name);
    if (existsSync(path)) return parseSplits(await readFile(path, "utf8"), path, ids);
  }
  return undefined;
}

async function readPlain(options: ReadOptions): Promise<Dataset> {
  if (!options.images || !options.labels) {
    fail(
      `Expected both --images and --labels, but only --${options.images ? "images" : "labels"} was given; ${howToCall}.`,
    );
  }
  const { allowIncomplete = false } = options;
  const training = await findCases({ images: options.images, labels: options.labels, allowIncomplete });
  const files = Math.max(...training.map((entry) => entry.images.length));
  const odd = training.find((entry) => entry.images.length !== files);
  if (odd && !allowIncomplete) {
    fail(
      `Expected ${files} image files for every case in ${options.images}, but ${odd.id} has ${odd.images.length}; add the missing channels.`,
    );
  }
  const labels = await discoverLabels(training, allowIncomplete);
  const channels = await discoverChannels(training, files, allowIncomplete);
  const root = resolve(options.images);
  return {
    name: options.name ?? basename(root),
    root,
    channels,
    labels,
    training,
    test: [],
  };
}

/** Names for the channels of plain folders. Where a case is one file, this may hold several: the first one tells. */
async function discoverChannels(cases: DatasetCase[], files: number, allowIncomplete: boolean): Promise<string[]> {
  const numbered = (count: number): string[] => Array.from({ length: count }, (_, c) => `channel ${c}`);
  if (files !== 1) return numbered(files);
  for (const path of cases.flatMap(({ images }) => images)) {
    try {
      const inside = (await readChannels(path)).length;
      return scanExtension(path) === ".png" && inside === 3 ? ["red", "green", "blue"] : numbered(inside);
    } catch (error) {
      // verify comes to this file itself and says what is wrong with it.
      if (!(allowIncomplete && error instanceof UserError)) throw error;
    }
  }
  return numbered(1);
}

/** The label values present in the files of plain folders, background always among them. */
async function discoverLabels(cases: DatasetCase[], allowIncomplete: boolean): Promise<LabelInfo[]> {
  const values = new Set<number>([0]);
  for (const { label } of cases) {
    if (!label || !existsSync(label)) continue;
    try {
      for (const value of labelValuesOf(await readLabelMap(label), label)) values.add(value);
    } catch (error) {
      // verify comes to this file itself and says what is wrong with it.
      if (!(allowIncomplete && error instanceof UserError)) throw error;
    }
  }
  if (values.size < 2 && !allowIncomplete)
    fail("Expected at least one label besides 0 in the label files, but all are empty; check --labels.");
  return [...values]
    .sort((a, b) => a - b)
    .map((value) => ({ value, name: value === 0 ? "background" : `label ${value}` }));
}

function labelValuesOf({ data }: Volume, path: string): Set<number> {
  const values = new Set<number>();
  let last = 0;
  for (let i = 0; i < data.length; i++) {
    if (data[i] === last) continue;
    last = data[i];
    values.add(last);
    if (!Number.isInteger(last) || last < 0 || last > 255) {
      fail(
        `Expected whole label values from 0 to 255 in ${path}, but found ${last}; is this folder the one with label maps?`,
      );
    }
  }
  return values;
}
