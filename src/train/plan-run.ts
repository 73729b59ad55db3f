import type { PreparedCase } from "../dataset/types.ts";
import type { Graph } from "../engine/graph.ts";
import type { Trainer } from "../engine/types.ts";
import { startTime } from "../util/time.ts";
import { lunetVersion } from "../util/version.ts";
import { voxelCount } from "../volume/volume.ts";
import { type CheckPlanInput, epochStepsOf, parseBudget, planChecks, stepsInTime } from "./budget.ts";
import { measureStep } from "./calibrate.ts";
import type { Loader } from "./direct-loader.ts";
import { dropoutFactors } from "./dropout.ts";
import { augmentationFor } from "./presets.ts";
import type { Progress } from "./progress.ts";
import type { RunFile } from "./run-folder.ts";
import { modelOf } from "./session.ts";
import type { RunSetup } from "./setup.ts";
import type { TrainOptions } from "./train.ts";
import { type Validator, voxelsPerCase } from "./validate.ts";

/** Of a run's options, what its record holds beside the setup. */
export type PlanOptions = Pick<TrainOptions, "budget" | "epochSteps" | "folds" | "groups" | "settings" | "tiles">;

export interface PlanParts {
  trainer: Trainer;
  graph: Graph;
  batches: Loader;
  validator: Validator | null;
  validation: readonly PreparedCase[];
  engine: RunFile["engine"];
  progress: Progress;
  /** Where the data lie. */
  data: RunFile["data"];
  /** performance.now() at the start of the call. */
  began: number;
}

/**
 * Fixes the number of steps, by measuring where the budget is a time, and everything else that run.json holds. `deadline`
 * is the performance.now() at which a run in minutes must begin its closing check.
 */
export async function planRun(
  options: PlanOptions,
  setup: RunSetup,
  parts: PlanParts,
): Promise<{ run: RunFile; deadline: number }> {
  const { settings, net, plan, trainingCases, validationCases } = setup;
  const { trainer, graph, batches, validator, validation, began, data, progress } = parts;
  const budget = parseBudget(options.budget ?? {});
  const epochSteps = options.epochSteps ?? epochStepsOf(trainingCases.length, settings.batch);
  const shapes = validation.map(({ shape }) => shape);
  const costs: Omit<CheckPlanInput, "steps"> = {
    epochSteps,
    stepVoxels: settings.batch * voxelCount(settings.window),
    validationCases: validation.length,
    caseVoxels: voxelsPerCase(net, plan, shapes),
  };
  const base: Omit<RunFile, "steps" | "checks" | "calibration"> = {
    version: 1,
    lunet: lunetVersion(),
    started: startTime(),
    data,
    netName: setup.netName,
    net,
    parameters: setup.parameters,
    fold: setup.fold,
    ...(options.folds === undefined ? {} : { folds: options.folds }),
    ...(options.groups === undefined ? {} : { groups: options.groups }),
    mirrorAxes: plan.mirrorAxes,
    engine: parts.engine,
    ...(options.tiles === undefined ? {} : { tiles: options.tiles }),
    settings,
    budget,
    epochSteps,
    trainingCases,
    validationCases,
    ...(setup.skipped ? { skipped: setup.skipped } : {}),
    state: "running",
    result: null,
  };
  const withAugment = (steps: number): Pick<RunFile, "settings"> => ({
    settings: { ...settings, augment: augmentationFor(settings, steps, options.settings?.augment) },
  });
  if (!("minutes" in budget)) {
    const steps = "steps" in budget ? budget.steps : budget.epochs * epochSteps;
    const run = { ...base, ...withAugment(steps), steps, checks: planChecks({ ...costs, steps }), calibration: null };
    return { run, deadline: Number.POSITIVE_INFINITY };
  }
  progress.live("measuring the time of a step");
  const seconds = budget.minutes * 60;
  const dropoutAt = (step: number) => dropoutFactors(graph, settings.dropout, { seed: settings.seed, step });
  const stepSeconds = await measureStep({ trainer, batches, seconds, dropoutAt });
  let caseSeconds = 0;
  if (validator) {
    const model = modelOf(base, plan, await trainer.getParameters(), { step: 0, dice: null });
    await validator.check(model, 1); // compiles
    const start = performance.now();
    await validator.check(model, 1);
    const measured = (performance.now() - start) / 1000;
    caseSeconds = (measured * costs.caseVoxels) / voxelsPerCase(net, plan, shapes.slice(0, 1));
  }
  const left = seconds - (performance.now() - began) / 1000;
  const steps = stepsInTime(left, stepSeconds, caseSeconds, costs);
  const checks = planChecks({ ...costs, steps });
  const closing = (checks.cases < validation.length ? 2 : 1) * validation.length * caseSeconds;
  const run = { ...base, ...withAugment(steps), steps, checks, calibration: { stepSeconds, caseSeconds } };
  return { run, deadline: began + (seconds - closing) * 1000 };
}
