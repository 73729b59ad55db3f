import { fingerprintDataset } from "../dataset/fingerprint.ts";
import { type Groups, parseGroups } from "../dataset/groups.ts";
import type { Fingerprint } from "../dataset/measure.ts";
import { planDataset } from "../dataset/plan.ts";
import { readDataset } from "../dataset/read.ts";
import { targetNames } from "../dataset/regions.ts";
import { roundUpPatch } from "../dataset/topology.ts";
import type { Dataset, Plan } from "../dataset/types.ts";
import type { NetSpec } from "../net/spec.ts";
import { isMeasured } from "../prune/importance.ts";
import { checkPruned } from "../prune/settings.ts";
import type { PruneOptions } from "../prune/types.ts";
import { totalBytes } from "../train/memory.ts";
import { type GivenSettings, resolveSettings } from "../train/presets.ts";
import type { Progress } from "../train/progress.ts";
import { memoryNeed } from "../train/run-memory.ts";
import { counted } from "../util/counted.ts";
import { fail, UserError } from "../util/errors.ts";
import { lunetVersion } from "../util/version.ts";
import { type Vec3, voxelCount } from "../volume/volume.ts";
import { type ResolvedArm, resolveArms } from "./arms.ts";
import { removalsOf, runWork } from "./cost.ts";
import { runName } from "./folder.ts";
import { type Parts, partsOf, someCases, subjectOf } from "./folds.ts";
import type { PruningSpec, SettingsSpec, StudySpec } from "./spec.ts";
import type { RunConfig, StudyArm, StudyFile } from "./types.ts";

/** study.json: what the report reads, and what the study was asked for. */
export interface StudyOnDisk extends StudyFile {
  /** As it was stated, the data's place included; a study goes on only where it is asked for with the same. */
  spec: StudySpec;
  /** Number of runs. */
  runs: number;
  patch: Vec3;
  tolerance: number;
}

/** config.json: all that a run needs. Paths of data are absolute, the others lie in the study folder. */
export interface RunConfigFile extends RunConfig {
  /** lunet's version. */
  lunet: string;
  data: { path?: string; images?: string; labels?: string };
  /** As the arm states it. */
  netName: string;
  net: NetSpec;
  parameters: number;
  preset: "strong" | "paper";
  settings: GivenSettings;
  cases: Parts;
  steps: number;
  epochSteps?: number;
  pruning?: Required<Pick<PruneOptions, "pick" | "criterion" | "until">> &
    Pick<PruneOptions, "patience" | "rankBatches" | "checkEvery" | "checkCases" | "recoveryRate"> & {
      remove: number;
      warm: { steps: number };
      recovery: { steps: number };
    };
  /** Of a pruning curve each so many-th size is evaluated on the test cases, besides the best and the last. */
  sizeEvery: number;
  /** What is needed to plan ahead: bytes of memory, and ms on one thread of the machine that the numbers come from. */
  need: { bytes: number; milliseconds: number };
}

export type PruningOptions = NonNullable<RunConfigFile["pruning"]>;

export interface ResolvedStudy {
  study: StudyOnDisk;
  plan: Plan;
  configs: RunConfigFile[];
}

/** About how many sizes of a pruning curve are evaluated on the test cases, where nothing else is stated. */
const defaultSizes = 10;

/** Scoring comes on top of training: a process gives little of its memory back (measured: 30 to 210 MiB, pruning most). */
const scoringBytes = 200 * 2 ** 20;

/** What pruning does where the study does not say. */
const defaultPruning = { criterion: "l2", remove: 4, warm: 1000, recovery: 50, until: { parameters: "10%" } } as const;

/**
 * Works out every run of a study: reads its data once, plans, splits, makes the nets. `threads` of each process decide its memory.
 * Writes nothing.
 */
export async function resolveStudy(
  spec: StudySpec,
  scale: string,
  { threads, progress }: { threads: number; progress: Progress },
): Promise<ResolvedStudy> {
  const dataset = await readDataset(spec.data, { images: spec.images, labels: spec.labels });
  const groups = spec.groups === undefined ? undefined : await parseGroups(spec.groups);
  const parts = partsOf(dataset, { split: spec.split, groups, cases: spec.cases });
  const folds = spec.folds ?? parts.map((_, fold) => fold);
  const wrong = folds.find((fold) => fold >= parts.length);
  if (wrong !== undefined) {
    fail(`Expected folds from 0 to ${parts.length - 1} in the study, but got ${wrong}.`);
  }
  const seeds = spec.seeds ?? [0];
  const fingerprint = await fingerprintDataset(withCases(dataset, parts), {
    onProgress: (done, total) => progress.live(`reading scans ${done}/${total}`),
  });
  progress.close();
  const plans = new Map<number | undefined, Plan>();
  const planOf = (levels = spec.levels): Plan => {
    const made = plans.get(levels) ?? planDataset(fingerprint, dataset, planOverrides(spec, levels));
    plans.set(levels, made);
    return made;
  };
  const plan = planOf();
  const fewest = Math.min(...folds.map((fold) => parts[fold].training.length));
  const arms = resolveArms(spec, planOf).filter(({ arm }) => {
    // A ready study is not made for one data set; a study file is, and there this is a mistake.
    const fits = scale === "own" || (arm.trainingCases ?? 0) <= fewest;
    if (!fits) progress.say(`leaving out ${arm.label}: a fold has ${fewest} training cases`);
    return fits;
  });
  const { window } = resolveSettings(spec.preset ?? "strong", givenSettings(spec.settings ?? {}), plan);
  const voxels = voxelsByCase(fingerprint, plan);
  const configs: RunConfigFile[] = [];
  for (const fold of folds) {
    for (const seed of seeds) {
      for (const arm of arms) configs.push(configOf(arm, fold, seed, configs.length + 1));
    }
  }
  const study: StudyOnDisk = {
    version: 1,
    name: spec.name,
    data: dataset.name,
    scale,
    arms: arms.map(({ arm }) => arm),
    folds,
    seeds,
    budgets: budgetsOf(arms, configs),
    lunet: lunetVersion(),
    classes: targetNames(plan),
    tolerance: spec.tolerance ?? 1,
    patch: window,
    ...(groups ? { groups: subjectsOf(parts, groups) } : {}),
    ...(spec.margin === undefined ? {} : { margin: spec.margin }),
    spec,
    runs: configs.length,
  };
  return { study, plan, configs };

  function configOf(resolved: ResolvedArm, fold: number, seed: number, number: number): RunConfigFile {
    const { arm, spec: net, pruning } = resolved;
    const { training, validation, test } = parts[fold];
    const used = arm.trainingCases === undefined ? training : someCases(training, arm.trainingCases, fold, seed);
    const given: GivenSettings = { ...givenSettings(resolved.settings), seed };
    const own: Plan = { ...plan, pools: net.pools, kernels: net.kernels, patch: roundUpPatch(plan.patch, net.pools) };
    const settings = within(arm.label, () => resolveSettings(resolved.preset, given, own));
    if (arm.kind === "prune") within(arm.label, () => checkPruned(settings));
    const count = (ids: readonly string[]): number => ids.reduce((sum, id) => sum + (voxels.get(id) ?? 0), 0);
    const cases: Parts = { training: used, validation, test };
    const steps = arm.kind === "prune" ? pruningOptions(pruning, arm.pick ?? "stamp") : undefined;
    const ranks = steps !== undefined && steps.pick !== "random-at-largest" && isMeasured(steps.criterion);
    const place = { threads, ranks };
    const caseVoxels = count(used) + count(validation);
    const trainingBytes = within(arm.label, () =>
      totalBytes(memoryNeed({ plan: own, net, settings }, caseVoxels, place)),
    );
    const base: Omit<RunConfigFile, "need"> = {
      version: 1,
      run: runName(number),
      arm: arm.id,
      label: arm.label,
      kind: arm.kind,
      fold,
      seed,
      lunet: lunetVersion(),
      data: dataPlace(spec),
      netName: arm.net,
      net,
      parameters: resolved.parameters,
      preset: resolved.preset,
      settings: given,
      cases,
      steps: resolved.steps,
      ...(spec["epoch-steps"] === undefined ? {} : { epochSteps: spec["epoch-steps"] }),
      ...(steps ? { pruning: steps } : {}),
      sizeEvery: steps ? Math.max(1, Math.round(removalsOf(net, steps) / (pruning.sizes ?? defaultSizes))) : 1,
    };
    const evaluated = voxelCount(plan.patch) * (validation.length + test.length);
    return { ...base, need: { bytes: trainingBytes + scoringBytes, milliseconds: runWork(base, settings, evaluated) } };
  }
}

/** Where the data lie. */
function dataPlace({ data: path, images, labels }: StudySpec): RunConfigFile["data"] {
  return path === undefined ? { images, labels } : { path };
}

function planOverrides({ mirror, settings }: StudySpec, levels: number | undefined) {
  return {
    ...(levels === undefined ? {} : { pools: levels - 1 }),
    ...(mirror === undefined ? {} : { mirrorAxes: parseAxes(mirror) }),
    ...(settings?.batch === undefined ? {} : { batch: settings.batch }),
  };
}

function parseAxes(text: string): number[] {
  if (text === "none") return [];
  if (!/^[DHW](,?[DHW])*$/.test(text)) {
    fail(`Expected the study's mirror to be none or axes among D, H, W, such as D,H,W, but got "${text}".`);
  }
  return [0, 1, 2].filter((axis) => text.includes("DHW"[axis]));
}

/** The data set with the cases alone that some part uses. */
function withCases(dataset: Dataset, parts: readonly Parts[]): Dataset {
  const used = new Set(parts.flatMap(({ test }) => test));
  return { ...dataset, training: dataset.training.filter(({ id }) => used.has(id)) };
}

/** Voxels of each case once it is at the plan's spacing. */
function voxelsByCase({ cases }: Fingerprint, { spacing: target }: Plan): Map<string, number> {
  return new Map(
    cases.map(({ id, shape, spacing }) => {
      const factor = shape.includes(1) ? 1 : spacing.reduce((product, mm, axis) => (product * mm) / target[axis], 1);
      return [id, voxelCount(shape) * factor];
    }),
  );
}

function subjectsOf(parts: readonly Parts[], groups: Groups): Record<string, string> {
  return Object.fromEntries(parts.flatMap(({ test }) => test.map((id) => [id, subjectOf(id, groups)])));
}

function givenSettings(spec: SettingsSpec): GivenSettings {
  const {
    lr,
    patch,
    "weight-decay": weightDecay,
    "label-smoothing": labelSmoothing,
    "class-weights": classWeights,
    "deep-supervision": deepSupervision,
    ...rest
  } = spec;
  return { ...rest, learningRate: lr, window: patch, weightDecay, labelSmoothing, classWeights, deepSupervision };
}

function pruningOptions(spec: PruningSpec, pick: NonNullable<StudyArm["pick"]>): PruningOptions {
  const { criterion, remove, warm, recovery, until } = { ...defaultPruning, ...spec };
  return {
    pick,
    criterion,
    remove,
    warm: { steps: warm },
    recovery: { steps: recovery },
    until,
    recoveryRate: spec["recovery-lr"],
    patience: spec.patience,
    rankBatches: spec["rank-batches"],
    checkEvery: spec["check-every"],
    checkCases: spec["check-cases"],
  };
}

/** The budgets in words, for the report. */
function budgetsOf(arms: readonly ResolvedArm[], configs: readonly RunConfigFile[]): Record<string, string> {
  const steps = (list: number[]): string => {
    const distinct = [...new Set(list)].sort((a, b) => a - b);
    return distinct.length === 1 ? counted(distinct[0], "step") : `${distinct[0]} to ${distinct.at(-1)} steps`;
  };
  const trained = arms.filter(({ arm }) => arm.kind === "train");
  const pruned = configs.flatMap(({ pruning }) => (pruning ? [pruning] : []));
  const budgets: Record<string, string> = {};
  if (trained.length > 0) budgets.training = steps(trained.map((arm) => arm.steps));
  if (pruned.length > 0) {
    budgets["before pruning"] = steps(pruned.map(({ warm }) => warm.steps));
    budgets["recovery after each removal"] = steps(pruned.map(({ recovery }) => recovery.steps));
    budgets["channels a removal"] = [...new Set(pruned.map(({ remove }) => remove))].join(", ");
  }
  return budgets;
}

/** Puts the arm's label before what is wrong with it. */
function within<T>(label: string, read: () => T): T {
  try {
    return read();
  } catch (error) {
    throw error instanceof UserError ? new UserError(`${label}: ${error.message}`) : error;
  }
}
