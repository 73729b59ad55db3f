import { type AugmentLevel, augmentLevels } from "../dataset/augment-chain.ts";
import { poolFactors } from "../dataset/topology.ts";
import type { Plan } from "../dataset/types.ts";
import type { LossSpec, OptimiserSpec, TrainSpec } from "../engine/types.ts";
import { fail } from "../util/errors.ts";
import { type Vec3, voxelCount } from "../volume/volume.ts";
import { type ClassWeights, checkClassWeights, parseClassWeights } from "./class-weights.ts";
import type { ScheduleKind } from "./schedule.ts";

export type PresetName = "strong" | "paper";

export function parsePreset(text: string): PresetName {
  if (text === "strong" || text === "paper") return text;
  return fail(`Unknown --preset "${text}": expected strong or paper.`);
}

export function parseAugment(text: string): AugmentLevel {
  if (Object.hasOwn(augmentLevels, text)) return text as AugmentLevel;
  return fail(
    `Unknown --augment "${text}": expected ${Object.keys(augmentLevels)
      .join(", ")
      .replace(/, (?=\w+$)/, " or ")}.`,
  );
}

/** Everything that decides the numbers of a run, besides the net, the plan and the cases. Stored in run.json. */
export interface TrainSettings {
  preset: PresetName;
  learningRate: number;
  schedule: ScheduleKind;
  /** Share of all steps. */
  warmup: number;
  /** Windows a step. */
  batch: number;
  /** Voxels of a training window along D, H, W. */
  window: Vec3;
  augment: AugmentLevel;
  /** Least share of the window by which augmented windows move about the middle; absent in runs of earlier versions: 0. */
  shift?: number;
  loss: LossSpec;
  /** Share of the windows that are centred on a voxel of a label; absent in runs of earlier versions: 1/3. */
  foreground?: number;
  /** Of the loss's cross-entropy and focal terms; absent: all 1. */
  classWeights?: ClassWeights;
  /** Of the loss's cross-entropy; absent where a run of an earlier version had none. */
  labelSmoothing?: number;
  /** Whether coarser decoder levels have a head and a loss of their own while training; absent: not. */
  deepSupervision?: boolean;
  /** Models to learn from beside the labels, absolute paths; absent: none, and then the next two are absent too. */
  distil?: string[];
  /** Of the loss's term. */
  distilWeight?: number;
  distilTemperature?: number;
  optimiser: OptimiserSpec;
  /** Limit of the global gradient norm; 0 is none. */
  clip: number;
  /** Decay of the moving average of the weights; 0 is none. */
  ema: number;
  /** Probability that a channel is dropped. */
  dropout: number;
  seed: number;
}

/** What the engine needs to know of a run's settings. */
export function trainSpecOf(settings: TrainSettings, recompute = false): TrainSpec {
  const { optimiser, clip, ema } = settings;
  return { loss: lossOf(settings), optimiser, clip, ema, recompute };
}

/** The loss with what is set beside its terms. */
export function lossOf(settings: TrainSettings): LossSpec {
  const { loss, classWeights, labelSmoothing, distil, distilWeight, distilTemperature } = settings;
  return {
    ...loss,
    ...(classWeights ? { classWeights: classWeights.values } : {}),
    ...(labelSmoothing ? { labelSmoothing } : {}),
    ...(distil ? { distil: { weight: distilWeight!, temperature: distilTemperature! } } : {}),
  };
}

/** The windows of `strong` hold half of the plan's patch, but at least this many voxels (32 x 48 x 32). */
const leastWindowVoxels = 49152;

/** Share of each side of a picture that its window keeps, rounded up to what the pools divide. */
const pictureShare = 3 / 4;

/**
 * The training window of `strong`: random windows smaller than the patch are cheaper steps and shift the anatomy about. The
 * axis that has kept the largest share of the patch loses one divisor at a time, so the window keeps the patch's shape. In 2D each
 * side keeps three quarters: measured on pictures of 128x128; pictures of 48x48 lose nothing, as smaller windows did not pay there.
 */
export function windowOf(plan: Pick<Plan, "patch" | "pools">): Vec3 {
  const divisor = poolFactors(plan.pools);
  if (plan.patch[0] === 1) {
    return plan.patch.map((n, axis) => Math.ceil((n * pictureShare) / divisor[axis]) * divisor[axis]) as Vec3;
  }
  const goal = Math.max(leastWindowVoxels, voxelCount(plan.patch) / 2);
  const window: Vec3 = [...plan.patch];
  while (voxelCount(window) > goal) {
    const share = window.map((n, axis) => (n > divisor[axis] ? n / plan.patch[axis] : 0));
    const axis = share.indexOf(Math.max(...share));
    if (share[axis] === 0) break;
    window[axis] -= divisor[axis];
  }
  return window;
}

/** What of a plan decides the values. */
type PlanPart = Pick<Plan, "patch" | "pools" | "dimensions" | "batch">;

const adam = { beta1: 0.9, beta2: 0.999, eps: 1e-8 };

/** The values of a preset for a plan: `paper` after arXiv 2512.03834, `strong` as docs/explanation.md tells. */
export function presetSettings(name: PresetName, plan: PlanPart): TrainSettings {
  if (name === "paper") {
    return {
      preset: "paper",
      learningRate: 1e-2,
      schedule: "constant",
      warmup: 0,
      batch: 16,
      window: [plan.dimensions === 2 ? 1 : 64, 64, 64],
      augment: "none",
      shift: 0,
      loss: { dice: 1, eps: 1e-7, includeBackground: true },
      labelSmoothing: 0,
      optimiser: { kind: "adam", ...adam, weightDecay: 0 },
      clip: 0,
      ema: 0,
      dropout: 0.005,
      seed: 0,
    };
  }
  return {
    preset: "strong",
    learningRate: 1e-2,
    schedule: "cosine",
    warmup: 0.05,
    batch: plan.batch,
    window: windowOf(plan),
    augment: "full",
    // Pictures are often cut around what is sought; in a scan, windows are smaller than it is and move anyway.
    shift: plan.dimensions === 2 ? 0.25 : 0,
    loss: { dice: 1, crossEntropy: 1, eps: 1e-5, includeBackground: false },
    labelSmoothing: 0,
    optimiser: { kind: "adamw", ...adam, weightDecay: 1e-4 },
    clip: 12,
    ema: 0,
    dropout: 0,
    seed: 0,
  };
}

/** Below this many steps moving and bending the scans costs more than it gives; far above it a net learns its cases by heart. */
const fullAugmentationSteps = 3000;

/** The augmentation of a run of `steps`: what was stated, else the preset's, with short `strong` runs on "light". */
export function augmentationFor(
  settings: TrainSettings,
  steps: number,
  stated: AugmentLevel | undefined,
): AugmentLevel {
  if (stated !== undefined) return stated;
  return settings.preset === "strong" && steps < fullAugmentationSteps ? "light" : settings.augment;
}

/** Values put over a preset; text is read as on the command line. Undefined is not stated. */
export interface GivenSettings
  extends Partial<Omit<TrainSettings, "preset" | "window" | "loss" | "classWeights" | "optimiser">> {
  window?: Vec3 | string;
  loss?: LossSpec | string;
  /** "auto", or a number for each class or region with commas between. */
  classWeights?: ClassWeights | string;
  optimiser?: OptimiserSpec | string;
  /** Of an optimiser named as text, or of the preset's. */
  weightDecay?: number;
}

/** A preset with the values that were given put over it, checked. */
export function resolveSettings(name: PresetName, given: GivenSettings, plan: PlanPart): TrainSettings {
  const base = presetSettings(name, plan);
  const { window, loss, classWeights, optimiser = base.optimiser.kind, weightDecay, ...plain } = given;
  const stated = Object.fromEntries(Object.entries(plain).filter(([, value]) => value !== undefined));
  const settings: TrainSettings = { ...base, ...stated };
  if (settings.distil) {
    settings.distilWeight ??= 0.5;
    settings.distilTemperature ??= 2;
  }
  if (window !== undefined)
    settings.window = typeof window === "string" ? parseWindow(window, plan.dimensions) : window;
  if (loss !== undefined) settings.loss = typeof loss === "string" ? parseLoss(loss, base.loss) : loss;
  if (classWeights !== undefined) {
    settings.classWeights = typeof classWeights === "string" ? parseClassWeights(classWeights) : classWeights;
    checkClassWeights(settings.loss);
  }
  if (typeof optimiser !== "string") settings.optimiser = optimiser;
  else if (given.optimiser !== undefined || weightDecay !== undefined) {
    settings.optimiser = parseOptimiser(optimiser, weightDecay);
  }
  const range = (option: string, value: number, low: number, high: number): void => {
    if (!(value >= low && value <= high)) {
      fail(`Expected --${option} to be a number from ${low} to ${high}, but got ${value}.`);
    }
  };
  if (!(settings.learningRate > 0 && settings.learningRate <= 100)) {
    fail(`Expected --lr to be a number above 0 and up to 100, but got ${settings.learningRate}.`);
  }
  range("warmup", settings.warmup, 0, 0.9);
  range("batch", settings.batch, 1, 1024);
  if (!(settings.clip >= 0)) fail(`Expected --clip to be 0 (no limit) or more, but got ${settings.clip}.`);
  range("ema", settings.ema, 0, 0.999999);
  range("dropout", settings.dropout, 0, 0.9);
  range("shift", settings.shift ?? 0, 0, 0.5);
  range("foreground", settings.foreground ?? 0, 0, 1);
  range("distil-weight", settings.distilWeight ?? 1, 1e-6, 1000);
  range("distil-temperature", settings.distilTemperature ?? 1, 0.1, 100);
  range("label-smoothing", settings.labelSmoothing ?? 0, 0, 0.9);
  if (settings.labelSmoothing && !settings.loss.crossEntropy) {
    fail("Expected a loss with cross-entropy for --label-smoothing; add ce to --loss, as in dice+ce, or leave it out.");
  }
  range("seed", settings.seed, 0, 2 ** 31 - 1);
  if (!Number.isInteger(settings.batch)) fail(`Expected --batch to be a whole number, but got ${settings.batch}.`);
  if (!Number.isInteger(settings.seed)) fail(`Expected --seed to be a whole number, but got ${settings.seed}.`);
  const divisor = poolFactors(plan.pools);
  settings.window.forEach((n, axis) => {
    if (Number.isInteger(n) && n > 0 && n % divisor[axis] === 0) return;
    const near = Math.max(1, Math.round(n / divisor[axis])) * divisor[axis];
    fail(
      `Expected --patch to be a multiple of ${divisor[axis]} along ${"DHW"[axis]} (the product of the net's pools), ` +
        `but got ${n}; use ${near}.`,
    );
  });
  return settings;
}

const lossTerms = ["dice", "ce", "focal", "tversky"] as const;

/**
 * A loss from words: terms joined by "+", each with an optional weight, as in "dice+ce" or "dice+ce:0.5". Focal has gamma 2
 * (Lin et al. 2017), Tversky alpha 0.3 and beta 0.7 (Salehi et al. 2017). `eps` and `includeBackground` come from `base`.
 */
export function parseLoss(text: string, base: Pick<LossSpec, "eps" | "includeBackground">): LossSpec {
  const loss: LossSpec = { eps: base.eps, includeBackground: base.includeBackground };
  for (const part of text.split("+")) {
    const [term, number = "1"] = part.trim().split(":");
    const weight = Number(number);
    if (!(lossTerms as readonly string[]).includes(term) || !(weight > 0)) {
      fail(
        `Cannot read "${part}" in --loss "${text}": expected ${lossTerms.join(", ")} joined by "+", each with an ` +
          `optional weight, as in dice+ce:0.5.`,
      );
    }
    if (term === "dice") loss.dice = weight;
    else if (term === "ce") loss.crossEntropy = weight;
    else if (term === "focal") loss.focal = { weight, gamma: 2 };
    else loss.tversky = { weight, alpha: 0.3, beta: 0.7 };
  }
  return loss;
}

/** An optimiser by name, with its usual constants; `weightDecay` as given, else the optimiser's default. */
export function parseOptimiser(name: string, weightDecay?: number): OptimiserSpec {
  if (weightDecay !== undefined && !(weightDecay >= 0)) {
    fail(`Expected --weight-decay to be 0 or more, but got ${weightDecay}.`);
  }
  if (name === "adamw") return { kind: "adamw", ...adam, weightDecay: weightDecay ?? 1e-4 };
  if (name === "adam") return { kind: "adam", ...adam, weightDecay: weightDecay ?? 0 };
  if (name === "sgd") return { kind: "sgd", momentum: 0.99, nesterov: true, weightDecay: weightDecay ?? 3e-5 };
  return fail(`Unknown --optimiser "${name}": expected adamw, adam or sgd.`);
}

/** "32x48x32", "48x48" (2D) or "64" (the same along every axis) as D, H, W. */
export function parseWindow(text: string, dimensions: 2 | 3): Vec3 {
  const numbers = text.split(/[x,]/).map(Number);
  const all = numbers.length === 1 ? Array.from({ length: dimensions }, () => numbers[0]) : numbers;
  if (all.length !== dimensions || all.some((n) => !Number.isInteger(n) || n < 1)) {
    fail(
      `Cannot read --patch "${text}": expected ${dimensions === 2 ? "HxW, as in 48x48," : "DxHxW, as in 32x48x32,"} ` +
        `or one number for every axis.`,
    );
  }
  return dimensions === 2 ? [1, all[0], all[1]] : [all[0], all[1], all[2]];
}
