import { type Command, InvalidArgumentError, Option } from "commander";
import { type EngineName, engineNames } from "../engine/backend.ts";
import type { UnitSpec } from "../net/spec.ts";
import { parseAugment, parsePreset } from "../train/presets.ts";
import { parseSchedule } from "../train/schedule.ts";
import { parseCount } from "./options.ts";
import { parseMirror } from "./plan.ts";

/** What the commands that train share, as the command line gives it. */
export interface TrainingOptions {
  images?: string;
  labels?: string;
  out: string;
  resume?: boolean;
  force?: boolean;
  net?: string;
  levels?: number;
  convs?: number;
  order?: UnitSpec["order"];
  norm?: UnitSpec["norm"];
  slope?: number;
  plan?: string;
  mirror?: number[];
  fold?: string;
  folds?: number;
  groups?: string;
  skipBad?: boolean;
  preset?: string;
  epochSteps?: number;
  lr?: number;
  schedule?: string;
  warmup?: number;
  batch?: number;
  patch?: string;
  augment?: string;
  shift?: number;
  foreground?: number;
  loss?: string;
  classWeights?: string;
  labelSmoothing?: number;
  deepSupervision?: boolean;
  distil?: string[];
  distilWeight?: number;
  distilTemperature?: number;
  optimiser?: string;
  weightDecay?: number;
  clip?: number;
  ema?: number;
  dropout?: number;
  seed?: number;
  threads?: number;
  engine?: EngineName;
  json?: boolean;
}

export const parseNumber = (text: string): number => {
  const value = Number(text);
  if (text.trim() === "" || !Number.isFinite(value)) throw new InvalidArgumentError("Expected a number.");
  return value;
};

export const option = (flags: string, description: string, parser?: (text: string) => unknown): Option => {
  const made = new Option(flags, description);
  return parser ? made.argParser(parser) : made;
};

/** Options under their headings, in the order of `--help`. */
export function addGroups(command: Command, groups: readonly [string, Option[]][]): void {
  for (const [heading, options] of groups) {
    for (const one of options) command.addOption(one.helpGroup(heading));
  }
}

export function dataOptions(folds = "fold that validates, from 0; none trains on all cases (default: 0)"): Option[] {
  return [
    option("--images <dir>", "plain folder of images, instead of a data set folder"),
    option("--labels <dir>", "plain folder of label maps with the same names"),
    option("--fold <k>", folds),
    option("--folds <n>", "make this many folds (default: those of splits.json, else 5)", parseNumber),
    option(
      "--groups <how>",
      "keep a subject's cases in one fold: pattern like '^(sub-[0-9]+)', or .json/.csv/.tsv table",
    ),
    option(
      "--skip-bad",
      "leave out cases that cannot be read or do not fit the others; the record of the run tells which and why",
    ),
    option("--plan <file>", "a plan.json to use instead of planning"),
    option(
      "--mirror <axes>",
      "axes along which mirroring keeps the meaning: D,H,W, or none (default: none)",
      parseMirror,
    ),
  ];
}

/** Of a run in a folder, beside those of its length. */
export function runOptions(): Option[] {
  return [
    option("--seed <n>", "same seed, same result (default: 0)", parseNumber),
    option("--threads <n>", "compute threads; they change the time, not the result (default: all)", parseCount),
    option("--engine <name>", "wasm, webgpu (a graphics card), or the slow plain reference (default: wasm)").choices([
      ...engineNames,
    ]),
    option("--json", "print the result as JSON; progress goes to stderr"),
  ];
}

export function netOptions(fallback: string): Option[] {
  return [
    option("--net <net>", `lean:8, unet:4, or a .json file of widths (default: ${fallback})`),
    option("--levels <n>", "resolution levels, bottleneck counted (default: from the plan)", parseCount),
    option("--convs <n>", "convolutions a block (default: 2)", parseCount),
    option("--norm <kind>", "norm of each convolution's unit (default: batch)").choices(["batch", "instance", "none"]),
    option("--order <order>", "activation before or after the norm (default: conv-act-norm)").choices([
      "conv-act-norm",
      "conv-norm-act",
    ]),
    option("--slope <n>", "of the activation below 0, as in 0.01 for leaky ReLU (default: 0)", parseNumber),
  ];
}

export function recipeOptions(): Option[] {
  return [
    option("--preset <name>", "strong, or paper (Lean Unet, arXiv 2512.03834) (default: strong)"),
    option("--lr <n>", "learning rate", parseNumber),
    option("--schedule <kind>", "constant, poly or cosine"),
    option("--warmup <share>", "share of the steps over which the rate climbs", parseNumber),
    option("--batch <n>", "windows a step", parseNumber),
    option("--patch <shape>", "training window, as in 32x48x32"),
    option(
      "--augment <level>",
      "none, light (intensities, mirroring), full (nnU-Net's), or its spatial or intensity part (strong: full from 3000 steps on, else light)",
    ),
    option(
      "--shift <share>",
      "least share of the window by which augmented windows move about the middle, over the edge where they are as large as the scan; 0 is none",
      parseNumber,
    ),
    option("--foreground <share>", "share of the windows that are centred on a label (default: 1/3)", parseNumber),
    option("--loss <terms>", "dice, ce, focal, tversky joined by +, with weights, as in dice+ce:0.5"),
    option(
      "--class-weights <how>",
      "auto, or a number for each class (background first) or region: weights in ce and focal (default: all 1)",
    ),
    option(
      "--label-smoothing <s>",
      "share of each voxel's truth that cross-entropy spreads over all classes, as in 0.1; 0 is none",
      parseNumber,
    ),
    option("--optimiser <name>", "adamw, adam or sgd"),
    option("--weight-decay <n>", "weight decay of the optimiser", parseNumber),
    option("--clip <n>", "limit of the gradient norm; 0 is none", parseNumber),
    option("--ema <decay>", "moving average of the weights; 0 is none", parseNumber),
    option("--dropout <p>", "probability that a channel is dropped", parseNumber),
  ];
}

/** What only plain training has, not pruning: more than the labels to learn from. */
export function supervisionOptions(): Option[] {
  return [
    option("--deep-supervision", "while training, give coarser decoder levels a head and a loss of their own"),
    option(
      "--distil <models>",
      "model files or run folders, joined by commas: learn from the mean of their probabilities beside the labels; with --fold all also a cross-validation of the same folds",
      (text) => text.split(",").map((path) => path.trim()),
    ),
    option("--distil-weight <n>", "weight of that term of the loss (default: 0.5)", parseNumber),
    option("--distil-temperature <n>", "temperature that softens both sides of it (default: 2)", parseNumber),
  ];
}

/** The same as the functions that train take it; words are checked here or there. */
export function trainingOptionsOf(data: string | undefined, options: TrainingOptions) {
  return {
    data,
    images: options.images,
    labels: options.labels,
    out: options.out,
    resume: options.resume,
    force: options.force,
    net: options.net,
    levels: options.levels,
    convs: options.convs,
    order: options.order,
    norm: options.norm,
    slope: options.slope,
    plan: options.plan,
    mirrorAxes: options.mirror,
    fold: options.fold === undefined ? undefined : parseFold(options.fold),
    folds: options.folds,
    groups: options.groups,
    skipBad: options.skipBad,
    preset: options.preset === undefined ? undefined : parsePreset(options.preset),
    epochSteps: options.epochSteps,
    engine: options.engine,
    threads: options.threads,
    settings: {
      learningRate: options.lr,
      schedule: options.schedule === undefined ? undefined : parseSchedule(options.schedule),
      warmup: options.warmup,
      batch: options.batch,
      window: options.patch,
      augment: options.augment === undefined ? undefined : parseAugment(options.augment),
      shift: options.shift,
      foreground: options.foreground,
      loss: options.loss,
      classWeights: options.classWeights,
      labelSmoothing: options.labelSmoothing,
      deepSupervision: options.deepSupervision,
      distil: options.distil,
      distilWeight: options.distilWeight,
      distilTemperature: options.distilTemperature,
      optimiser: options.optimiser,
      weightDecay: options.weightDecay,
      clip: options.clip,
      ema: options.ema,
      dropout: options.dropout,
      seed: options.seed,
    },
  };
}

/** Whether the number is a fold of the set is checked when the set is read. */
function parseFold(text: string): number | null {
  return text === "none" ? null : text.trim() === "" ? Number.NaN : Number(text);
}
