import { readdir } from "node:fs/promises";
import { join } from "node:path";
import * as v from "valibot";
import { issueSentence } from "../net/json.ts";
import { fail } from "../util/errors.ts";
import { explainFileError, readJson } from "../util/files.ts";
import type { CaseScore, Removal, RunConfig, RunFailure, RunResult, SizeResult, StudyArm, StudyFile } from "./types.ts";

/** A study as the report sees it. */
export interface StudyData {
  study: StudyFile;
  /** Finished runs in the order of their numbers. */
  results: RunResult[];
  /** Runs that failed, with the reason. */
  failures: { config: RunConfig; message: string }[];
  /** Runs that have neither finished nor failed. */
  open: RunConfig[];
}

const text = v.string("text");
const number = v.number("a number");
const count = v.message(v.pipe(v.number(), v.integer(), v.minValue(0)), "a whole number of 0 or more");
const list = <T extends v.GenericSchema>(item: T, words: string) => v.array(item, words);
const kind = v.picklist(["train", "prune"], "train or prune");
const skips = v.union([v.picklist(["all", "none"]), v.array(v.boolean())], '"all", "none" or a list of true and false');

/** A schema for every field of a type, and none else: types.ts is the one list of what files hold, and this is checked against it. */
type Fields<T> = { [Key in keyof Required<T>]: v.GenericSchema<unknown, T[Key]> };

const arm = v.looseObject(
  {
    id: text,
    label: text,
    kind,
    net: text,
    pick: v.optional(v.picklist(["stamp", "random-at-stamp-layer", "random-at-largest"], "a way to pick channels")),
    criterion: v.optional(text),
    skips: v.optional(skips),
    bottleneck: v.optional(count),
    convs: v.optional(count),
    levels: v.optional(count),
    unit: v.optional(v.looseObject({}, "an object")),
    preset: v.optional(text),
    settings: v.optional(v.record(v.string(), v.unknown(), "an object")),
    trainingCases: v.optional(count),
    role: v.optional(text),
    pair: v.optional(text),
  } satisfies Fields<StudyArm>,
  "an object",
);

const studySchema = v.looseObject(
  {
    version: v.literal(1, "1 (update lunet to read newer studies)"),
    name: text,
    data: text,
    scale: text,
    arms: list(arm, "a list of arms"),
    folds: list(count, "a list of numbers"),
    seeds: list(count, "a list of numbers"),
    budgets: v.record(text, v.union([text, number]), "an object"),
    lunet: text,
    classes: v.optional(list(text, "a list of names")),
    tolerance: v.optional(number),
    patch: v.optional(list(number, "a list of numbers")),
    groups: v.optional(v.record(text, text, "an object of patients by case")),
    margin: v.optional(number),
  } satisfies Fields<StudyFile>,
  "an object",
);

const version = v.literal(1, "1");
const runKeys = {
  version,
  run: text,
  arm: text,
  label: text,
  kind,
  fold: count,
  seed: count,
} satisfies Fields<RunConfig>;
const configSchema = v.looseObject(runKeys, "an object");
const failureSchema = v.looseObject({ version, run: text, message: text } satisfies Fields<RunFailure>, "an object");

const perClass = list(v.nullable(number), "a list of numbers");
const scores = v.record(
  text,
  v.object(
    { dice: list(number, "a list of numbers"), hd95: perClass, nsd: perClass } satisfies Fields<CaseScore>,
    "an object",
  ),
  "an object of scores by case",
);
const size = v.looseObject(
  {
    step: count,
    widths: v.record(text, count, "an object of widths by layer"),
    parameters: count,
    parametersWithoutNorm: count,
    macs: number,
    inferenceBytes: number,
    trainingBytes: number,
    model: text,
    validation: scores,
    test: v.nullable(scores),
    latencyMs: v.nullable(number),
  } satisfies Fields<SizeResult>,
  "an object",
);
const resultSchema = v.looseObject(
  {
    ...runKeys,
    trainingCases: count,
    sizes: v.message(v.pipe(v.array(size), v.minLength(1)), "a list of at least one size"),
    chosen: count,
    seconds: number,
    removals: v.optional(
      list(v.object({ layer: text, level: count, step: count } satisfies Fields<Removal>), "a list of removals"),
    ),
  } satisfies Fields<RunResult>,
  "an object",
);

/**
 * Reads `study.json` and every run of a study folder. Throws a UserError where a file is not as the format says, or where a
 * run belongs to no arm of the study; a run without result is not an error.
 */
export async function loadStudy(folder: string): Promise<StudyData> {
  const study = read(studySchema, await readJson(join(folder, "study.json")), join(folder, "study.json")) as StudyFile;
  const runsFolder = join(folder, "runs");
  const names = await readdir(runsFolder, { withFileTypes: true }).catch((error) => {
    throw explainFileError(error, runsFolder) ?? error;
  });
  const data: StudyData = { study, results: [], failures: [], open: [] };
  for (const { name } of names.filter((entry) => entry.isDirectory()).toSorted((a, b) => (a.name < b.name ? -1 : 1))) {
    const file = (base: string) => join(runsFolder, name, base);
    const config = await readIfThere<RunConfig>(configSchema, file("config.json"));
    const result = await readIfThere<RunResult>(resultSchema, file("result.json"));
    const run = result ?? config;
    if (!run) continue;
    if (!study.arms.some((one) => one.id === run.arm)) {
      fail(
        `${file("config.json")} names the arm "${run.arm}", which ${folder}/study.json does not have; remove that run.`,
      );
    }
    if (result) {
      if (result.chosen >= result.sizes.length) {
        fail(`${file("result.json")} chose size ${result.chosen} of only ${result.sizes.length}; repeat that run.`);
      }
      data.results.push(result);
      continue;
    }
    const failure = await readIfThere<RunFailure>(failureSchema, file("failure.json"));
    if (failure) data.failures.push({ config: config!, message: failure.message });
    else data.open.push(config!);
  }
  return data;
}

async function readIfThere<T>(schema: v.GenericSchema, path: string): Promise<T | null> {
  const value = await readJson(path).catch((error) => {
    if ((error as { cause?: { code?: string } }).cause?.code === "ENOENT") return undefined;
    throw error;
  });
  return value === undefined ? null : (read(schema, value, path) as T);
}

function read(schema: v.GenericSchema, value: unknown, path: string): unknown {
  const result = v.safeParse(schema, value);
  return result.success ? result.output : fail(issueSentence(result.issues[0], path));
}
