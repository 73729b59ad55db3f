import * as v from "valibot";
import { fail } from "../util/errors.ts";
import { scanExtension, scanExtensions } from "../volume/files.ts";
import type { Fold, LabelInfo } from "./types.ts";

const entry = v.object({ image: v.union([v.string(), v.array(v.string())]), label: v.optional(v.string()) });
const count = v.union([v.number(), v.string()]);

/** The fields of dataset.json that are read: MSD's (`modality`, `training`) and nnU-Net's (`channel_names`, `file_ending`). */
const schema = v.object({
  name: v.optional(v.string()),
  labels: v.record(v.string(), v.union([v.string(), v.number(), v.array(v.number())])),
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

/** Reads labels in either dialect: {"0": "background"} (MSD) or {"background": 0} (nnU-Net). */
function labelsFrom(record: Record<string, string | number | number[]>, path: string): LabelInfo[] {
  const labels = Object.entries(record).map(([key, value]): LabelInfo => {
    if (Array.isArray(value)) {
      fail(
        `Expected one number per label in ${path}, but label "${key}" is a region [${value}]; give each label one value.`,
      );
    }
    return typeof value === "number" ? { value, name: key } : { value: Number(key), name: value };
  });
  for (const { value, name } of labels) {
    if (!Number.isInteger(value) || value < 0 || value > 255) {
      fail(`Expected label values from 0 to 255 in ${path} at key "labels", but "${name}" has ${value}; renumber it.`);
    }
  }
  const ignored = labels.find(({ name }) => name.toLowerCase() === "ignore");
  if (ignored) {
    fail(
      `Expected labels to learn in ${path} at key "labels", but ${ignored.value} is nnU-Net's "ignore", which lunet would learn as a class; label those voxels and take it out, or rename it if it is a class.`,
    );
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
    labels: labelsFrom(raw.labels, path),
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
