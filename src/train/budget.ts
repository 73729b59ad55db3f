import { fail } from "../util/errors.ts";

export type Budget = { minutes: number } | { epochs: number } | { steps: number };

/** The one budget of those given. */
export function parseBudget(given: { minutes?: number; epochs?: number; steps?: number }): Budget {
  const stated = (["minutes", "epochs", "steps"] as const).filter((key) => given[key] !== undefined);
  if (stated.length === 0) return { minutes: 10 };
  if (stated.length > 1) {
    fail(`Expected one of --minutes, --epochs and --steps, but got ${stated.map((key) => `--${key}`).join(" and ")}.`);
  }
  const key = stated[0];
  const value = given[key] as number;
  if (!(value > 0) || !Number.isFinite(value) || (key !== "minutes" && !Number.isInteger(value))) {
    fail(`Expected --${key} to be a ${key === "minutes" ? "number" : "whole number"} above 0, but got ${value}.`);
  }
  return { [key]: value } as Budget;
}

/** Steps of an epoch: one pass over the training cases, at least 25 and at most 250 steps. */
export function epochStepsOf(trainingCases: number, batch: number): number {
  return Math.min(250, Math.max(25, Math.ceil(trainingCases / batch)));
}

/** When and on how many cases a run is checked. */
export interface CheckPlan {
  /** Epochs between checks; the last epoch is always checked, on every case. 0: never. */
  every: number;
  /** Validation cases of a check before the last one. */
  cases: number;
}

export interface CheckPlanInput {
  steps: number;
  epochSteps: number;
  /** Voxels that a step trains on: batch times window. */
  stepVoxels: number;
  validationCases: number;
  /** Voxels of one case as it is predicted, padding included. */
  caseVoxels: number;
}

const mostChecks = 25;
const fewestChecks = 5;
/** Share of the training cost that checks may take, so that with measuring errors they stay below 10 %. */
const checkShare = 0.07;
/** A step runs forward, data gradient and weight gradient. */
const trainPerPredict = 3;

/**
 * Spreads checks over a run so that they cost at most 7 % of it by count of operations, not by the clock: the same
 * number of steps always gives the same checks, and with them the same best weights. Up to 25 checks on all validation cases;
 * where not even 5 fit, 5 checks on the first of them.
 */
export function planChecks(input: CheckPlanInput): CheckPlan {
  if (input.validationCases === 0) return { every: 0, cases: 0 };
  const epochs = Math.ceil(input.steps / input.epochSteps);
  const affordable = checkShare * trainPerPredict * input.steps * input.stepVoxels;
  const passes = affordable / (input.validationCases * input.caseVoxels);
  const checks = Math.min(mostChecks, Math.max(fewestChecks, Math.floor(passes)));
  const every = Math.max(1, Math.ceil(epochs / checks));
  const cases =
    passes >= fewestChecks ? input.validationCases : Math.floor(affordable / fewestChecks / input.caseVoxels);
  return { every, cases: Math.min(input.validationCases, Math.max(1, cases)) };
}

/** Cases predicted over a whole run: the checks, then best and last weights on every case. */
export function predictionsOf(plan: CheckPlan, input: CheckPlanInput): number {
  if (plan.every === 0) return 0;
  const epochs = Math.ceil(input.steps / input.epochSteps);
  const checks = Math.ceil(epochs / plan.every) - 1;
  const finals = plan.cases < input.validationCases && checks > 0 ? 2 : 1;
  return checks * plan.cases + finals * input.validationCases;
}

/** Part of the time that is left unplanned: checkpoints, and a machine that slows down when warm. */
const reserveShare = 0.03;

/**
 * The number of steps that fits `seconds`, given measured times of a step and of predicting a case; at least 1, so a
 * budget too small for its own checks still trains.
 */
export function stepsInTime(
  seconds: number,
  stepSeconds: number,
  caseSeconds: number,
  input: Omit<CheckPlanInput, "steps">,
): number {
  const usable = seconds * (1 - reserveShare);
  const cost = (steps: number): number => {
    const full = { ...input, steps };
    return steps * stepSeconds + predictionsOf(planChecks(full), full) * caseSeconds;
  };
  let low = 1;
  let high = Math.max(1, Math.floor(usable / stepSeconds));
  while (low < high) {
    const middle = Math.ceil((low + high) / 2);
    if (cost(middle) <= usable) low = middle;
    else high = middle - 1;
  }
  return low;
}

/** A plan is kept while it ends late by no more than this share of the steps left, or early by this share of all steps. */
const lateShare = 0.01;
const earlyShare = 0.05;

/**
 * Steps that fit the time left when the machine turned out slower than measured (warm, throttled, busy) or faster (busy while it was
 * measured): null while those planned do well enough. `pace` is seconds a step, checks included; `total` the
 * steps planned in all. Ending the schedule in
 * time beats cutting it off, since its small last rates are worth most.
 */
export function replan(left: { steps: number; seconds: number }, pace: number, total: number): number | null {
  // With no time left the run stops at its limit and can be resumed: one step more would only look like its end.
  if (!Number.isFinite(left.seconds) || left.seconds <= 0) return null;
  const fits = Math.max(1, Math.floor(left.seconds / pace));
  const more = fits - left.steps;
  return more >= -lateShare * left.steps && more <= earlyShare * total ? null : fits;
}
