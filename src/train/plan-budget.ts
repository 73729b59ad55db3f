import type { Fingerprint } from "../dataset/measure.ts";
import { type PlanOverrides, planDataset } from "../dataset/plan.ts";
import { patchLadder } from "../dataset/plan-patch.ts";
import { medianSizeAt } from "../dataset/plan-spacing.ts";
import { planTopology, type Topology } from "../dataset/topology.ts";
import type { Dataset, Plan } from "../dataset/types.ts";
import { MEMORY_LIMIT } from "../engine/wasm/arena.ts";
import { fail } from "../util/errors.ts";
import { type Vec3, voxelCount } from "../volume/volume.ts";
import { checkMemory, sizeText, totalBytes } from "./memory.ts";
import { plannedNet, preparedVoxels } from "./plan-nets.ts";
import { presetSettings } from "./presets.ts";
import { memoryNeed } from "./run-memory.ts";
import type { StepRate } from "./step-rate.ts";

/** What training may take. */
export interface PlanBudget {
  /** Of a run as train counts it: cases, process and steps. */
  bytes?: number;
  secondsPerStep?: number;
}

/** What a training run would take with a plan. */
export interface PlanUse {
  bytes: number;
  /** Of the engine's program alone. */
  programBytes: number;
  /** Estimated; NaN without a rate. */
  stepSeconds: number;
}

/** What training a named net as planned, with the recipe `strong`, takes; `voxels` of all cases at the plan's spacing. */
export function planUse(netName: string, plan: Plan, voxels: number, rate?: StepRate): PlanUse {
  const net = plannedNet(netName, plan);
  const settings = presetSettings("strong", plan);
  const need = memoryNeed({ plan, net, settings }, voxels);
  return {
    bytes: totalBytes(need),
    programBytes: need.programBytes(need.step),
    stepSeconds: rate ? rate.estimate(net, settings) : Number.NaN,
  };
}

/** UserError, with what would fit, for a plan whose training steps of this net are more than the engine can address on any machine. */
export function checkStep(netName: string, plan: Plan): void {
  const need = memoryNeed({ plan, net: plannedNet(netName, plan), settings: presetSettings("strong", plan) }, 0);
  checkMemory(need, { available: Number.POSITIVE_INFINITY, engine: MEMORY_LIMIT });
}

export interface PlanWithinOptions {
  net: string;
  budget: PlanBudget;
  /** Needed where the budget states a time. */
  rate?: StepRate;
}

/**
 * {@link planDataset} with the largest patch whose training steps keep to a budget. Without a time it is no larger than it would be
 * without a budget. The batch gives way first in 2D, where it is large, and in 3D only when no patch fits with 2, as in
 * nnU-Net. What was stated in `overrides` stays. UserError where nothing fits.
 */
export function planWithin(
  fingerprint: Fingerprint,
  dataset: Dataset,
  overrides: PlanOverrides,
  { net, budget, rate }: PlanWithinOptions,
): Plan {
  const usual = planDataset(fingerprint, dataset, overrides);
  const voxels = preparedVoxels(fingerprint, usual);
  const useOf = ({ patch, topology }: { patch: Vec3; topology: Topology }, batch: number): PlanUse =>
    planUse(net, { ...usual, ...topology, patch, batch }, voxels, rate);
  const fits = ({ bytes, programBytes, stepSeconds }: PlanUse): boolean =>
    programBytes <= MEMORY_LIMIT &&
    bytes <= (budget.bytes ?? Number.POSITIVE_INFINITY) &&
    !(stepSeconds > (budget.secondsPerStep ?? Number.POSITIVE_INFINITY));
  const largest = budget.secondsPerStep === undefined ? voxelCount(usual.patch) : Number.POSITIVE_INFINITY;
  const rungs = overrides.patch
    ? [{ patch: overrides.patch, topology: planTopology(overrides.patch, usual.spacing, overrides.pools) }]
    : patchLadder(medianSizeAt(fingerprint, usual.spacing), usual.spacing, overrides.pools).filter(
        ({ patch }) => voxelCount(patch) <= largest,
      );
  const found = firstThatFits(batchesFrom(overrides.batch, usual.batch), (batch) => {
    // While the batch is large (2D) it gives way, not the patch; with the smallest ones any patch will do.
    const ladder = batch > 2 && overrides.batch === undefined ? rungs.slice(0, 1) : rungs;
    return ladder.find((rung) => fits(useOf(rung, batch)));
  });
  if (!found) {
    const batch = overrides.batch ?? 1;
    const rung = rungs[rungs.length - 1];
    fail(
      `Expected steps of ${net} within ${budgetText(budget)}, but even a patch of ${rung.patch.join("x")} with batch ${batch} ` +
        `takes ${useText(useOf(rung, batch), budget)}; allow more, or take a smaller --net.`,
    );
  }
  const { batch, rung } = found;
  const why = `so that training ${net} keeps to ${budgetText(budget)}`;
  const same = batch === usual.batch && voxelCount(rung.patch) === voxelCount(usual.patch);
  const limit = { voxels: voxelCount(rung.patch), batch, why };
  const plan = same ? usual : planDataset(fingerprint, dataset, { ...overrides, limit });
  const basis = rate && budget.secondsPerStep !== undefined ? ` (estimated from ${rateText(rate)})` : "";
  return {
    ...plan,
    reasons: [
      ...plan.reasons,
      `Training ${net} with this plan takes about ${useText(useOf(rung, batch), budget)}${basis}; allowed are ${budgetText(budget)}.`,
    ],
  };
}

/** "lean:8, measured here: 61 ms a step on 2 windows of 32x48x32". */
export function rateText({ net, stepSeconds, batch, window }: StepRate): string {
  return `${net}, measured here: ${millis(stepSeconds)} a step on ${batch} ${batch === 1 ? "window" : "windows"} of ${window.join("x")}`;
}

function firstThatFits<T>(batches: readonly number[], find: (batch: number) => T | undefined) {
  for (const batch of batches) {
    const rung = find(batch);
    if (rung) return { batch, rung };
  }
  return undefined;
}

/** Batches to try, largest first. */
function batchesFrom(stated: number | undefined, usual: number): number[] {
  if (stated !== undefined) return [stated];
  const batches: number[] = [];
  for (let batch = usual; batch >= 1; batch = Math.floor(batch / 2)) batches.push(batch);
  return batches;
}

const millis = (seconds: number): string => `${Number((1000 * seconds).toPrecision(2))} ms`;

function budgetText({ bytes, secondsPerStep }: PlanBudget): string {
  return [
    ...(bytes === undefined ? [] : [`${sizeText(bytes)} of memory`]),
    ...(secondsPerStep === undefined ? [] : [`${millis(secondsPerStep)} a step`]),
  ].join(" and ");
}

function useText(use: PlanUse, { secondsPerStep }: PlanBudget): string {
  return `${sizeText(use.bytes)} of memory${secondsPerStep === undefined ? "" : ` and ${millis(use.stepSeconds)} a step`}`;
}
