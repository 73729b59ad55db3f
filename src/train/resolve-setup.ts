import type { Groups } from "../dataset/groups.ts";
import type { Fingerprint, SkippedCase } from "../dataset/measure.ts";
import { planDataset } from "../dataset/plan.ts";
import { netOutput } from "../dataset/regions.ts";
import { foldsOf, type SplitOptions } from "../dataset/splits.ts";
import { roundUpPatch } from "../dataset/topology.ts";
import type { Dataset, Plan, Region } from "../dataset/types.ts";
import { countParameters } from "../net/count.ts";
import { type MakeOptions, optionsOfPlan } from "../net/make.ts";
import type { NetSpec, UnitSpec } from "../net/spec.ts";
import { counted } from "../util/counted.ts";
import { fail } from "../util/errors.ts";
import { autoWeights, checkWeightCount } from "./class-weights.ts";
import { resolveSettings } from "./presets.ts";
import type { RunSetup, SetupOptions } from "./setup.ts";

export const defaultNet = "lean:8";

/** What the options of a run are resolved with; whoever has the data says how to read them. */
export interface SetupSources {
  dataset: Dataset;
  skipped?: SkippedCase[];
  groups?: Groups;
  /** Instead of planning. */
  plan?: Plan;
  fingerprint(): Promise<Fingerprint>;
  /** The net of a name such as "lean:8". */
  readNet(name: string, options: MakeOptions): Promise<NetSpec>;
  /** Voxels of each label in these cases. */
  countLabels(ids: readonly string[]): Promise<number[]>;
}

/** Chooses the cases, plans, and makes the net and the settings of a new run. Throws UserError for what does not fit together. */
export async function resolveSetup(options: SetupOptions, sources: SetupSources): Promise<RunSetup> {
  const { dataset, skipped = [], groups } = sources;
  const isSkipped = new Set(skipped.map((bad) => bad.case));
  const keep = (ids: string[]): string[] => ids.filter((id) => !isSkipped.has(id));
  const asked = options.fold === undefined ? 0 : options.fold;
  const { fold, trainingCases, validationCases } = options.cases
    ? { fold: asked, trainingCases: keep(options.cases.training), validationCases: keep(options.cases.validation) }
    : casesOf(dataset, asked, { folds: options.folds, groups });
  let plan: Plan;
  if (sources.plan) {
    plan = fitting(sources.plan, dataset, typeof options.plan === "string" ? options.plan : "the plan");
  } else {
    const pools = options.levels === undefined ? undefined : options.levels - 1;
    plan = planDataset(await sources.fingerprint(), dataset, { pools });
  }
  if (options.mirrorAxes) plan = { ...plan, mirrorAxes: options.mirrorAxes };
  const { netName, net } = await netOf(options, plan, sources);
  // A net given as widths brings its own pools; the plan follows it.
  plan = { ...plan, pools: net.pools, kernels: net.kernels, patch: roundUpPatch(plan.patch, net.pools) };
  const settings = resolveSettings(options.preset ?? "strong", options.settings ?? {}, plan);
  if (settings.classWeights?.auto && settings.classWeights.values.length === 0) {
    settings.classWeights = autoWeights(await sources.countLabels(trainingCases), plan);
  }
  if (settings.classWeights) checkWeightCount(settings.classWeights, plan);
  if (!settings.distil && (settings.distilWeight ?? settings.distilTemperature) !== undefined) {
    fail(
      "Expected models to learn from with --distil-weight and --distil-temperature; add --distil MODEL, or leave them out.",
    );
  }
  const { parameters } = countParameters(net);
  return {
    ...{ dataset, plan, netName, net, parameters, settings, fold, trainingCases, validationCases },
    ...(skipped.length > 0 ? { skipped } : {}),
  };
}

function casesOf(dataset: Dataset, fold: number | null, split: SplitOptions) {
  if (fold === null) {
    return { fold, trainingCases: dataset.training.map((entry) => entry.id), validationCases: [] as string[] };
  }
  const folds = foldsOf(dataset, split);
  if (!Number.isInteger(fold) || fold < 0 || fold >= folds.length) {
    fail(`Expected --fold to be 0 to ${folds.length - 1}, or none to train on all cases, but got ${fold}.`);
  }
  if (folds[fold].train.length === 0) {
    fail(
      `Expected training cases in fold ${fold}, but splits.json lists none; mend the file or choose another --fold.`,
    );
  }
  return { fold, trainingCases: folds[fold].train, validationCases: folds[fold].val };
}

/** The plan of a file, if it is one for this data set. */
function fitting(plan: Plan, dataset: Dataset, where: string): Plan {
  const values = (labels: { value: number }[]): string => labels.map(({ value }) => value).join(", ");
  const words = (regions: Region[] = []): string => regions.map((r) => `[${r.values}] painted ${r.paint}`).join(", ");
  if (words(plan.regions) !== words(dataset.regions)) {
    fail(
      `Expected ${where} to fit the data set, whose regions are ${words(dataset.regions) || "none"}, but it has ` +
        `${words(plan.regions) || "none"}; make a plan from this data set.`,
    );
  }
  if (plan.channels.length !== dataset.channels.length || values(plan.labels) !== values(dataset.labels)) {
    fail(
      `Expected ${where} to fit the data set (${counted(dataset.channels.length, "channel")}, labels ${values(dataset.labels)}), but it ` +
        `has ${counted(plan.channels.length, "channel")} and labels ${values(plan.labels)}; make a plan from this data set.`,
    );
  }
  return plan;
}

async function netOf(
  options: SetupOptions,
  plan: Plan,
  { readNet }: SetupSources,
): Promise<{ netName: string; net: NetSpec }> {
  const netName = options.net ?? defaultNet;
  const levels = plan.pools.length + 1;
  if (options.levels !== undefined && options.levels !== levels) {
    fail(`Expected --levels to be ${levels} as in the plan, but got ${options.levels}; leave out --levels or --plan.`);
  }
  const net =
    options.spec ??
    (await readNet(netName, {
      ...optionsOfPlan(plan),
      convs: options.convs ?? 2,
      unit: statedUnit(options),
    }));
  for (const [key, value] of Object.entries(statedUnit(options))) {
    const own = net.unit[key as keyof UnitSpec];
    if (own !== value) {
      fail(
        `Expected --${key} to be ${own} as in the net of --net, but got ${value}; leave out --${key}, or change the net.`,
      );
    }
  }
  const { output, outputChannels } = netOutput(plan);
  if (
    net.inputChannels !== plan.channels.length ||
    net.outputChannels !== outputChannels ||
    (plan.regions && net.output !== output)
  ) {
    fail(
      `Expected a net with ${plan.channels.length} input and ${outputChannels} output channels (${output}) for this data set, ` +
        `but --net has ${net.inputChannels} and ${net.outputChannels} (${net.output}).`,
    );
  }
  return { netName, net };
}

/** The fields of a net's unit that were stated, checked. */
function statedUnit({ order, norm, slope }: SetupOptions): Partial<UnitSpec> {
  if (slope !== undefined && !(slope >= 0 && slope <= 1)) {
    fail(`Expected --slope to be a number from 0 (ReLU) to 1, but got ${slope}.`);
  }
  return { ...(order && { order }), ...(norm && { norm }), ...(slope !== undefined && { slope }) };
}
