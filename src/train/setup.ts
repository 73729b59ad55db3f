import { resolve } from "node:path";
import { fingerprintSound, skippedText } from "../dataset/bad-cases.ts";
import { fingerprintDataset } from "../dataset/fingerprint.ts";
import { parseGroups } from "../dataset/groups.ts";
import { countLabels } from "../dataset/load.ts";
import type { SkippedCase } from "../dataset/measure.ts";
import { readDataset } from "../dataset/read.ts";
import type { Dataset, Plan } from "../dataset/types.ts";
import { planFromJson } from "../model/header.ts";
import { type MakeOptions, parseNet } from "../net/make.ts";
import type { NetSpec, UnitSpec } from "../net/spec.ts";
import { are, counted } from "../util/counted.ts";
import { fail, UserError } from "../util/errors.ts";
import { readJson } from "../util/files.ts";
import { type GivenSettings, type PresetName, resolveSettings, type TrainSettings } from "./presets.ts";
import type { Progress } from "./progress.ts";
import { resolveSetup } from "./resolve-setup.ts";
import type { RunFile } from "./run-folder.ts";

/** What a run is asked for; anything left out is a default, or the started run's own on resume. */
export interface SetupOptions {
  /** A data set folder, or plain folders of images and labels. */
  data?: string;
  images?: string;
  labels?: string;
  /** "lean:8", "unet:4", a JSON object of widths, or the path of a .json file with one. */
  net?: string;
  /** The net itself; `net` is then only what it is called. */
  spec?: NetSpec;
  /** Resolution levels, the bottleneck counted; default from the plan. */
  levels?: number;
  /** Convolutions a block; default 2. */
  convs?: number;
  /** What stands around each convolution; what is left out is the paper's: conv-act-norm, batch norm, ReLU (slope 0). */
  order?: UnitSpec["order"];
  norm?: UnitSpec["norm"];
  slope?: number;
  /** A plan to use instead of planning, or the path of a plan.json. */
  plan?: string | Plan;
  /** Axes (0 = D, 1 = H, 2 = W) along which augmentation may mirror. */
  mirrorAxes?: number[];
  /** Number of the fold that validates; null trains on all cases. Default 0. */
  fold?: number | null;
  /** Number of folds to make; default the set's own splits.json, else 5. */
  folds?: number;
  /** Pattern or table file that says which cases are of one subject ({@link parseGroups}); they stay in one fold. */
  groups?: string;
  /** Ids of the cases instead of those of a fold, whose number is then only noted. */
  cases?: { training: string[]; validation: string[] };
  /** Leave out cases that cannot be read or do not fit the data set, instead of refusing the run. All scans are read for that. */
  skipBad?: boolean;
  preset?: PresetName;
  settings?: GivenSettings;
}

export interface RunSetup {
  dataset: Dataset;
  plan: Plan;
  netName: string;
  net: NetSpec;
  parameters: number;
  settings: TrainSettings;
  fold: number | null;
  trainingCases: string[];
  validationCases: string[];
  /** Cases that were left out as bad; they are in no list of the others. */
  skipped?: SkippedCase[];
}

/** Reads and plans everything of a new run; no voxels are kept. */
export async function setUpRun(options: SetupOptions, progress: Progress): Promise<RunSetup> {
  const { images, labels, skipBad = false } = options;
  const whole = await readDataset(options.data, { images, labels, allowIncomplete: skipBad });
  const onProgress = (done: number, total: number): void => progress.live(`reading scans ${done}/${total}`);
  const sound = skipBad ? await fingerprintSound(whole, { onProgress }) : undefined;
  const { dataset, skipped } = sound ?? { dataset: whole, skipped: [] };
  for (const text of skippedText(skipped)) progress.say(text);
  return resolveSetup(
    { ...options, settings: withAbsolutePaths(options.settings) },
    {
      dataset,
      skipped,
      groups: options.groups === undefined ? undefined : await parseGroups(options.groups),
      plan: typeof options.plan === "string" ? await readPlanFile(options.plan) : options.plan,
      fingerprint: async () => sound?.fingerprint ?? fingerprintDataset(dataset, { onProgress }),
      readNet,
      countLabels: (ids) =>
        countLabels(dataset, ids, {
          onProgress: (done, total) => progress.live(`counting labels ${done}/${total}`),
        }),
    },
  );
}

/** A run is resumed from any folder, so the models that it learns from are found by absolute paths. */
function withAbsolutePaths(given: GivenSettings = {}): GivenSettings {
  return given.distil ? { ...given, distil: given.distil.map((path) => resolve(path)) } : given;
}

/** Where the data of a run lie, to find them again on resume. */
export function dataRecord({ data, images, labels }: SetupOptions, { name }: Pick<Dataset, "name">): RunFile["data"] {
  return {
    ...(data ? { path: resolve(data) } : {}),
    ...(images ? { images: resolve(images) } : {}),
    ...(labels ? { labels: resolve(labels) } : {}),
    name,
  };
}

/** The setup of a started run, from its folder and the data set that is there now. */
export async function setUpAgain(
  options: SetupOptions,
  run: Pick<RunFile, "data" | Exclude<keyof RunSetup, "dataset" | "plan">>,
  planPath: string,
): Promise<RunSetup> {
  const stated = options.data || options.images || options.labels;
  const { path, images, labels } = stated ? { ...options, path: options.data } : run.data;
  // A run that left out bad cases goes on without them, whether their files are there or not.
  const allowIncomplete = options.skipBad === true || run.skipped !== undefined;
  const dataset = await readDataset(path, { images, labels, allowIncomplete });
  const here = new Set(dataset.training.map((entry) => entry.id));
  const gone = [...run.trainingCases, ...run.validationCases].filter((id) => !here.has(id));
  if (gone.length > 0) {
    fail(
      `The run was started with ${counted(run.trainingCases.length + run.validationCases.length, "case")}, but ${gone.length} of them ` +
        `(${gone.slice(0, 3).join(", ")}) ${are(gone.length)} no longer in the data set; put ${gone.length === 1 ? "it" : "them"} back, or start a new run.`,
    );
  }
  const value = await readJson(planPath);
  const plan = within(planPath, () => planFromJson(value));
  const { netName, net, parameters, settings, fold, trainingCases, validationCases } = run;
  return { dataset, plan, netName, net, parameters, settings, fold, trainingCases, validationCases };
}

/** What was stated of the options that a started run must not change, by their keys in run.json. */
export function statedOptions(
  options: SetupOptions & Pick<Partial<RunFile>, "engine" | "tiles" | "epochSteps">,
  settings: TrainSettings,
  plan: Plan,
): Record<string, unknown> {
  if (options.plan) fail("Expected no --plan with --resume: the run keeps the plan it was started with; leave it out.");
  const {
    settings: given = {},
    preset,
    net,
    fold,
    folds,
    groups,
    engine,
    tiles,
    levels,
    convs,
    order,
    norm,
    slope,
    mirrorAxes,
    epochSteps,
  } = options;
  const resolved = resolveSettings(preset ?? settings.preset, withAbsolutePaths(given), plan);
  const { weightDecay, ...plain } = given;
  const keys = Object.entries(plain).flatMap(([key, value]) => (value === undefined ? [] : [key]));
  if (weightDecay !== undefined) keys.push("optimiser");
  // Counted at the start: the same data give the same weights.
  if (resolved.classWeights?.auto && settings.classWeights?.auto) resolved.classWeights = settings.classWeights;
  const stated = Object.fromEntries(keys.map((key) => [key, resolved[key as keyof typeof resolved]]));
  const shape = { netName: net, levels, convs, order, norm, slope };
  return { preset, ...shape, fold, folds, groups, engine, tiles, mirrorAxes, epochSteps, ...stated };
}

async function readPlanFile(path: string): Promise<Plan> {
  const value = await readJson(path);
  return within(path, () => planFromJson(value));
}

/** The net of a name, or of the widths in a .json file. */
async function readNet(name: string, options: MakeOptions): Promise<NetSpec> {
  if (!name.endsWith(".json")) return parseNet(name, options);
  const text = JSON.stringify(await readJson(name));
  if (!text.startsWith("{")) fail(`Expected a JSON object of widths in ${name}, but it holds ${text.slice(0, 40)}.`);
  return within(name, () => parseNet(text, options));
}

/** Puts the file's name before what is wrong in it. */
function within<T>(path: string, read: () => T): T {
  try {
    return read();
  } catch (error) {
    throw error instanceof UserError ? new UserError(`${path}: ${error.message}`) : error;
  }
}
