import * as v from "valibot";
import { fail } from "../util/errors.ts";
import { scanExtension, scanExtensions } from "../volume/extensions.ts";
import { mostRegions } from "./regions.ts";
import type { Fold, LabelInfo, Region } from "./types.ts";

const entry = v.object({ image: v.union([v.string(), v.array(v.string())]), label: v.optional(v.string()) });
const count = v.union([v.number(), v.string()]);

/** The fields of dataset.json that are read: MSD's (`modality`, `training`) and nnU-Net's (`channel_names`, `file_ending`). */
const schema = v.object({
  name: v.optional(v.string()),
  labels: v.record(v.string(), v.union([v.string(), v.number(), v.array(v.number())])),
  regions_class_order: v.optional(v.array(v.number())),
  modality: v.optional(v.record(v.string(), v.string())),
  channel_names: v.optional(v.record(v.string(), v.string())),
  file_ending: v.optional(v.string()),
  training: v.optional(v.array(v.union([v.string(), entry]))),
  test: v.optional(v.array(v.union([v.string(), entry]))),
  dataset: v.optional(v.record(v.string(), v.object({ images: v.array(v.string()), label: v.optional(v.string()) }))),
  numTraining: v.optional(count),
  numTest: v.optional(count),
});

const splitsSchema = v.array(v.object({ train: v.array(v.string()), val: v.array(v.string()) }));

export interface ListedCase {
  images: string[];
  label?: string;
  /** Given where the list is keyed by case. */
  id?: string;
}

export interface DatasetJson {
  name?: string;
  labels: LabelInfo[];
  /** Where `labels` lists several values under a name. */
  regions?: Region[];
  channels: string[];
  ending?: string;
  /** Paths as written in the file; undefined where the file has no list. */
  training?: ListedCase[];
  test?: ListedCase[];
}

function parseJson(text: string, path: string): unknown {
  try {
    return JSON.parse(text);
  } catch (error) {
    return fail(`Expected JSON in ${path}, but it does not parse (${(error as Error).message}); mend the file.`);
  }
}

function check<T>(shape: v.GenericSchema<unknown, T>, text: string, path: string): T {
  const result = v.safeParse(shape, parseJson(text, path));
  if (result.success) return result.output;
  const issue = result.issues[0];
  const key = v.getDotPath(issue);
  return fail(
    `Expected ${issue.expected ?? "another value"} in ${path}${key ? ` at key "${key}"` : ""}, but found ${issue.received}; mend the file.`,
  );
}

/** Names of a record keyed "0", "1", ... in number order. */
function numbered(record: Record<string, string>, key: string, path: string): string[] {
  const keys = Object.keys(record).sort((a, b) => Number(a) - Number(b));
  if (keys.length === 0 || keys.some((name, i) => name !== String(i))) {
    fail(
      `Expected keys "0", "1", ... in ${path} at key "${key}", but found ${keys.join(", ") || "none"}; mend the file.`,
    );
  }
  return keys.map((name) => record[name]);
}

type LabelRecord = Record<string, string | number | number[]>;

/**
 * Reads labels in either dialect: {"0": "background"} (MSD) or {"background": 0} (nnU-Net). A list of several values makes every
 * entry but the background a region, in the order of the file; `order` is nnU-Net's regions_class_order.
 */
function labelsFrom(
  record: LabelRecord,
  order: number[] | undefined,
  path: string,
): Pick<DatasetJson, "labels" | "regions"> {
  const ignored = Object.entries(record).find(([key, value]) => [key, value].some(isIgnore));
  if (ignored) {
    const value = isIgnore(ignored[0]) ? ignored[1] : ignored[0];
    fail(
      `Expected labels to learn in ${path} at key "labels", but ${value} is nnU-Net's "ignore", which lunet would learn as a class; label those voxels and take it out, or rename it if it is a class.`,
    );
  }
  if (Object.values(record).some((value) => Array.isArray(value) && value.length > 1)) {
    const regions = regionsFrom(record, order, path);
    return { labels: checkLabels(labelsOfRegions(regions), path), regions };
  }
  const labels = Object.entries(record).map(([key, value]): LabelInfo => {
    const single = Array.isArray(value) ? value[0] : value;
    return typeof single === "string" ? { value: Number(key), name: single } : { value: single, name: key };
  });
  return { labels: checkLabels(labels, path) };
}

const isIgnore = (word: unknown): boolean => typeof word === "string" && word.toLowerCase() === "ignore";

/** Every label value, with the name of the region that is this value alone, where there is one. */
function labelsOfRegions(regions: readonly Region[]): LabelInfo[] {
  const values = [...new Set([0, ...regions.flatMap((region) => region.values)])];
  return values.map((value) => {
    const own = regions.find((region) => region.values.length === 1 && region.values[0] === value);
    return { value, name: value === 0 ? "background" : (own?.name ?? `label ${value}`) };
  });
}

function checkLabels(labels: LabelInfo[], path: string): LabelInfo[] {
  for (const { value, name } of labels) {
    if (!Number.isInteger(value) || value < 0 || value > 255) {
      fail(`Expected label values from 0 to 255 in ${path} at key "labels", but "${name}" has ${value}; renumber it.`);
    }
  }
  labels.sort((a, b) => a.value - b.value);
  const double = labels.find((label, i) => i > 0 && labels[i - 1].value === label.value);
  if (double)
    fail(`Expected different values in ${path} at key "labels", but ${double.value} comes twice; renumber one.`);
  if (labels[0]?.value !== 0)
    fail(`Expected a background label 0 in ${path} at key "labels", but there is none; add it.`);
  if (labels.length < 2) fail(`Expected at least one label besides background in ${path} at key "labels"; add it.`);
  return labels;
}

/** The regions in the order of the file, which is the order of painting, checked so that painting loses none of them. */
function regionsFrom(record: LabelRecord, order: number[] | undefined, path: string): Region[] {
  const entries = Object.entries(record).map(([name, value]) => {
    if (typeof value === "string") {
      return fail(
        `Expected "name": values in ${path} at key "labels" because it has regions, but "${name}" is "${value}"; write "${value}": ${name}.`,
      );
    }
    return { name, values: [...new Set([value].flat())].sort((a, b) => a - b) };
  });
  const isBackground = ({ values }: { values: number[] }): boolean => values.length === 1 && values[0] === 0;
  if (!entries.some(isBackground))
    fail(`Expected a background label 0 in ${path} at key "labels", but there is none; add it.`);
  const regions = entries.filter((entry) => !isBackground(entry));
  if (regions.length > mostRegions) {
    fail(
      `Expected at most ${mostRegions} regions in ${path} at key "labels", but found ${regions.length}; leave some out, or give each label one value.`,
    );
  }
  const odd = regions.find(({ values }) => values.length === 0 || values.includes(0));
  if (odd) {
    fail(
      `Expected regions of label values from 1 to 255 in ${path} at key "labels", but "${odd.name}" is [${odd.values}]; mend it.`,
    );
  }
  if (!order) {
    fail(
      `Expected "regions_class_order" in ${path} because "labels" has regions, but there is none; list the value to write for each region, ${regions.map(({ name }) => name).join(", ")}, in this order.`,
    );
  }
  if (order.length !== regions.length) {
    fail(
      `Expected ${regions.length} values in ${path} at key "regions_class_order", one for each region (${regions.map(({ name }) => name).join(", ")}), but found ${order.length}; mend it.`,
    );
  }
  const painted = regions.map((region, r) => ({ ...region, paint: order[r] }));
  for (const [r, { name, values, paint }] of painted.entries()) {
    if (!values.includes(paint)) {
      fail(
        `Expected a value of each region in ${path} at key "regions_class_order", but "${name}" is [${values}] and would be written as ${paint}; mend the list, which follows the order of "labels".`,
      );
    }
    const over = painted.slice(r + 1).find((later) => values.every((value) => later.values.includes(value)));
    if (over) {
      fail(
        `Expected regions that hold others first in ${path} at key "labels", but "${over.name}" comes after "${name}" and would paint over all of it; change their places there and in "regions_class_order".`,
      );
    }
  }
  return painted;
}

const listed = (item: string | v.InferOutput<typeof entry>): ListedCase =>
  typeof item === "string" ? { images: [item] } : { images: [item.image].flat(), label: item.label };

/** Parses and checks dataset.json; every error is a UserError that names the file and the key. */
export function parseDatasetJson(text: string, path: string): DatasetJson {
  const raw = check(schema, text, path);
  const names = raw.channel_names ?? raw.modality;
  if (!names)
    fail(`Expected the image channels in ${path} at key "channel_names" or "modality", but found neither; add one.`);
  const ending = raw.file_ending;
  if (ending !== undefined && !scanExtension(ending)) {
    fail(
      `Expected ${scanExtensions.join(", ")} in ${path} at key "file_ending", but found "${ending}"; convert the scans and correct the key.`,
    );
  }
  return {
    name: raw.name,
    ...labelsFrom(raw.labels, raw.regions_class_order, path),
    channels: numbered(names, raw.channel_names ? "channel_names" : "modality", path),
    ending,
    training: raw.dataset
      ? Object.entries(raw.dataset).map(([id, item]) => ({ id, ...item }))
      : raw.training?.map(listed),
    test: raw.test?.map(listed),
  };
}

/** Parses and checks splits.json / splits_final.json: a list of {train, val} id lists. */
export function parseSplits(text: string, path: string, ids: ReadonlySet<string>): Fold[] {
  const folds = check(splitsSchema, text, path);
  for (const [i, fold] of folds.entries()) {
    const unknown = [...fold.train, ...fold.val].find((id) => !ids.has(id));
    if (unknown)
      fail(
        `Expected case ids of the set in ${path}, but fold ${i} names "${unknown}", which has no files; mend the file.`,
      );
    const train = new Set(fold.train);
    const both = fold.val.find((id) => train.has(id));
    if (both) fail(`Expected train and val apart in ${path}, but fold ${i} has "${both}" in both; mend the file.`);
  }
  return folds;
}
