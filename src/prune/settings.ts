import { removeChannels } from "../net/remove.ts";
import type { NetSpec } from "../net/spec.ts";
import { epochStepsOf } from "../train/budget.ts";
import { augmentationFor, type TrainSettings } from "../train/presets.ts";
import type { RunSetup } from "../train/setup.ts";
import { fail } from "../util/errors.ts";
import { random } from "../util/random.ts";
import { startRate } from "./dropout.ts";
import { isMeasured, parseCriterion } from "./importance.ts";
import { defaultLimits, limitMet, nextCount, resolveLimits } from "./limits.ts";
import { asRemovals, parsePick, randomAtLargest } from "./pick.ts";
import type { Criterion, Length, PruneOptions, PruneSettings } from "./types.ts";

export const defaults = {
  criterion: "l2",
  pick: "stamp",
  largestBy: "width",
  remove: 4,
  warmEpochs: 10,
  recoveryEpochs: 1,
} as const;
/** Of batches to rank on, where the training cases make more. */
const mostRankBatches = 32;

/** Throws UserError for settings that only plain training has. */
export function checkPruned({ deepSupervision, distil }: Pick<TrainSettings, "deepSupervision" | "distil">): void {
  const word = deepSupervision ? "deep supervision" : distil ? "a model to learn from" : null;
  if (word)
    fail(`Expected pruning to train on the labels alone, but got ${word}; leave it out, or train without pruning.`);
}

/** The settings of pruning and of its training, with what was left out filled in. Throws UserError for what cannot be. */
export function resolvePruning(
  options: PruneOptions,
  setup: Pick<RunSetup, "net" | "settings" | "trainingCases" | "validationCases">,
): { pruning: PruneSettings; settings: TrainSettings } {
  const { net, settings, trainingCases, validationCases } = setup;
  checkPruned(settings);
  const criterion = parseCriterion(options.criterion ?? defaults.criterion);
  const pick = parsePick(options.pick ?? defaults.pick);
  const targeted = options.targeted ?? pick !== "random-at-largest";
  const pass = Math.ceil(trainingCases.length / settings.batch);
  const epochSteps = options.epochSteps ?? epochStepsOf(trainingCases.length, settings.batch);
  const choice = { criterion, pick };
  const ranked = isRanked({ pick, targeted });
  if (ranked) checkCriterion(criterion, net, settings);
  const pruning: PruneSettings = {
    criterion,
    pick,
    largestBy: options.largestBy ?? defaults.largestBy,
    remove: options.remove ?? defaults.remove,
    warmSteps: stepsOf(options.warm ?? { epochs: options.from ? 0 : defaults.warmEpochs }, epochSteps),
    recoverySteps: stepsOf(options.recovery ?? { epochs: defaults.recoveryEpochs }, epochSteps),
    epochSteps,
    until: options.until ? resolveLimits(options.until, net, choice) : defaultLimits(net, choice),
    patience: options.patience ?? 0,
    rankBatches: ranked && isMeasured(criterion) ? (options.rankBatches ?? Math.min(pass, mostRankBatches)) : 0,
    targeted,
    recoveryRate: options.recoveryRate ?? settings.learningRate,
    checkEvery: options.checkEvery ?? 1,
    checkCases: Math.min(options.checkCases ?? validationCases.length, validationCases.length),
    within: options.within ?? 0,
  };
  checkCounts(pruning);
  if (validationCases.length === 0 && (pruning.patience > 0 || pruning.until.diceDrop !== null)) {
    const option = pruning.patience > 0 ? "--patience" : "--until dice-drop";
    fail(`Expected validation cases for ${option}, but all cases train; choose a --fold, or leave the option out.`);
  }
  const dropout = targeted && options.settings?.dropout === undefined ? startRate : settings.dropout;
  const steps = pruning.warmSteps + (expectedNets(net, pruning).length - 1) * pruning.recoverySteps;
  const augment = augmentationFor(settings, steps, options.settings?.augment);
  return { pruning, settings: { ...settings, dropout, augment } };
}

/** Whether channels are ranked before a removal: to pick them, or to aim the dropout. */
export function isRanked({ pick, targeted }: Pick<PruneSettings, "pick" | "targeted">): boolean {
  return pick !== "random-at-largest" || targeted;
}

export function stepsOf(length: Length, epochSteps: number): number {
  return "steps" in length ? length.steps : length.epochs * epochSteps;
}

function checkCounts(pruning: PruneSettings): void {
  const whole = (option: string, value: number, low: number): void => {
    if (!Number.isInteger(value) || value < low) {
      fail(`Expected --${option} to be a whole number of ${low} or more, but got ${value}.`);
    }
  };
  whole("remove", pruning.remove, 1);
  whole("warm-steps", pruning.warmSteps, 0);
  whole("recovery-steps", pruning.recoverySteps, 0);
  whole("epoch-steps", pruning.epochSteps, 1);
  whole("patience", pruning.patience, 0);
  whole("rank-batches", pruning.rankBatches, 0);
  whole("check-every", pruning.checkEvery, 1);
  whole("check-cases", pruning.checkCases, 0);
  if (!(pruning.within >= 0 && pruning.within < 1)) {
    fail(`Expected --within to be a Dice difference from 0 to 1, such as 0.005, but got ${pruning.within}.`);
  }
  if (!(pruning.recoveryRate > 0 && pruning.recoveryRate <= 100)) {
    fail(`Expected --recovery-lr to be a number above 0 and up to 100, but got ${pruning.recoveryRate}.`);
  }
}

/** What would otherwise fail only after the warm-up. */
function checkCriterion(criterion: Criterion, net: NetSpec, settings: TrainSettings): void {
  if (criterion === "bn-scale" && net.unit.norm === "none") {
    fail("Expected a net with norms for --criterion bn-scale, but this one has none; choose another criterion.");
  }
  if (criterion === "l1-sd" && settings.batch < 2) {
    fail("Expected a --batch of 2 or more for --criterion l1-sd, which compares the items of a batch, but it is 1.");
  }
}

/** The net and its sizes until the limit on size, channels taken from the largest layers: what other rules come close to. */
export function expectedNets(
  start: NetSpec,
  pruning: Pick<PruneSettings, "remove" | "until" | "criterion" | "pick">,
): NetSpec[] {
  const nets = [start];
  for (let net = start; !limitMet(pruning, net, null); nets.push(net)) {
    const count = nextCount(pruning.until, net, pruning.remove);
    net = removeChannels(net, asRemovals(randomAtLargest(net, count, "width", random(nets.length - 1)))).net;
  }
  return nets;
}
