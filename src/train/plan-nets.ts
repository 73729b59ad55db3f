import type { Fingerprint } from "../dataset/measure.ts";
import { sizeAt } from "../dataset/plan-spacing.ts";
import type { Plan } from "../dataset/types.ts";
import { countParameters } from "../net/count.ts";
import { optionsOfPlan, parseNet } from "../net/make.ts";
import type { NetSpec } from "../net/spec.ts";
import { counted } from "../util/counted.ts";
import { voxelCount } from "../volume/volume.ts";
import { epochStepsOf, stepsInTime } from "./budget.ts";
import { totalBytes } from "./memory.ts";
import { presetSettings } from "./presets.ts";
import { memoryNeed } from "./run-memory.ts";
import type { StepRate } from "./step-rate.ts";
import { voxelsPerCase } from "./validate.ts";

/** What a net would take to train as planned. */
export interface NetProposal {
  net: string;
  parameters: number;
  /** Bytes of a run: cases, process and steps, as train checks them. */
  bytes: number;
  stepSeconds: number;
  /** Steps of a run that validates on a fifth of the cases. */
  steps: Record<ProposedMinutes, number>;
}

export type ProposedMinutes = 10 | 30;

/** The nets of the proposal, and which of them to take for a run of so many minutes. */
export interface NetProposals {
  /** Patches a step as the recipe `strong` cuts them. */
  step: { batch: number; window: readonly number[] };
  nets: NetProposal[];
  recommended: { minutes: ProposedMinutes; net: string; why: string }[];
}

const names = ["lean:4", "lean:8", "lean:12", "lean:16", "lean:24", "unet:4", "unet:16"];
const budgets: ProposedMinutes[] = [10, 30];

/**
 * Fewest steps of a recommended net, and its most channels. On hippocampus scans lean:16 passed lean:8 from about 1300 steps on
 * (89.3 against 88.7 to 89.0); wider lean nets were not measured to give more.
 */
const fewestSteps = 1300;
const mostWidth = 16;
/** Of the cases a fold of five holds this share back. */
const foldShare = 0.2;
/** A step runs forward, data gradient and weight gradient. */
const trainPerPredict = 3;
/** Cases that stand for all in the time that checks take. */
const sampledCases = 10;

/** A net by its name, as a plan wants it. */
export function plannedNet(name: string, plan: Plan, convs = 2): NetSpec {
  return parseNet(name, {
    ...optionsOfPlan(plan),
    convs,
  });
}

/** Voxels of all cases at the plan's spacing. */
export function preparedVoxels({ cases }: Pick<Fingerprint, "cases">, { spacing }: Pick<Plan, "spacing">): number {
  return cases.reduce((sum, entry) => sum + voxelCount(sizeAt(entry, spacing)), 0);
}

/** Tables nets with what they would take on this machine, and recommends one by its steps and the memory there is. */
export function proposeNets(
  plan: Plan,
  fingerprint: Fingerprint,
  rate: StepRate,
  availableBytes: number,
): NetProposals {
  const settings = presetSettings("strong", plan);
  const { batch, window } = settings;
  const voxels = preparedVoxels(fingerprint, plan);
  const count = fingerprint.cases.length;
  const validationCases = Math.floor(count * foldShare);
  const every = Math.ceil(count / sampledCases);
  const shapes = fingerprint.cases.filter((_, i) => i % every === 0).map((entry) => sizeAt(entry, plan.spacing));
  const stepVoxels = batch * voxelCount(window);
  const nets = names.map((name): NetProposal => {
    const net = plannedNet(name, plan);
    const stepSeconds = rate.estimate(net, { batch, window });
    const caseVoxels = voxelsPerCase(net, plan, shapes);
    const caseSeconds = ((stepSeconds / trainPerPredict) * caseVoxels) / stepVoxels;
    const costs = { epochSteps: epochStepsOf(count - validationCases, batch), stepVoxels, validationCases, caseVoxels };
    const steps = (minutes: number): number => stepsInTime(60 * minutes, stepSeconds, caseSeconds, costs);
    return {
      net: name,
      parameters: countParameters(net).parameters,
      bytes: totalBytes(memoryNeed({ plan, net, settings }, voxels)),
      stepSeconds,
      steps: { 10: steps(10), 30: steps(30) },
    };
  });
  return {
    step: { batch, window },
    nets,
    recommended: budgets.map((minutes) => ({ minutes, ...recommend(nets, minutes, availableBytes) })),
  };
}

/** The widest lean net that is worth its time. */
function recommend(
  nets: readonly NetProposal[],
  minutes: ProposedMinutes,
  availableBytes: number,
): { net: string; why: string } {
  const widthOf = ({ net }: NetProposal): number => Number(net.split(":")[1]);
  const lean = nets.filter((entry) => entry.net.startsWith("lean:") && widthOf(entry) <= mostWidth);
  const fitting = lean.filter(({ bytes }) => bytes <= availableBytes);
  const [narrowest] = lean;
  if (fitting.length === 0) {
    return { net: narrowest.net, why: "no net fits the free memory; plan with --memory, which cuts the patch" };
  }
  const fast = fitting.filter(({ steps }) => steps[minutes] >= fewestSteps);
  if (fast.length === 0) {
    const [least] = fitting;
    const needed = Math.ceil((fewestSteps * least.stepSeconds) / 60);
    return {
      net: least.net,
      why: `the fastest; ${counted(least.steps[minutes], "step is", "steps are")} few, so give it about ${counted(needed, "minute")}, or plan smaller steps with --seconds-per-step`,
    };
  }
  const best = fast[fast.length - 1];
  const wider = lean[lean.indexOf(best) + 1];
  const limit = !wider
    ? `wider than lean:${mostWidth} was not measured to give more`
    : fitting.includes(wider)
      ? `${wider.net} would make only ${wider.steps[minutes]}`
      : `${wider.net} does not fit the free memory`;
  return {
    net: best.net,
    why: `the widest lean net that makes at least ${fewestSteps} steps, below which width did not pay (measured on hippocampus scans); ${limit}`,
  };
}
