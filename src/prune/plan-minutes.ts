import type { Plan, PreparedCase } from "../dataset/types.ts";
import type { Backend } from "../engine/types.ts";
import { buildGraph, initialise } from "../net/build.ts";
import type { NetSpec } from "../net/spec.ts";
import { measureStep } from "../train/calibrate.ts";
import { dropoutFactors } from "../train/dropout.ts";
import type { BatchSource } from "../train/loop.ts";
import { augmentationFor, trainSpecOf } from "../train/presets.ts";
import { modelOf } from "../train/session.ts";
import type { RunSetup } from "../train/setup.ts";
import { createValidator, voxelsPerCase } from "../train/validate.ts";
import type { PruneState } from "./checkpoint.ts";
import { expectedNets } from "./settings.ts";
import { type Pace, planLengths, replanRecovery, sizeSeconds } from "./time-plan.ts";
import type { CurveRecord, PruneFile, PruneOptions } from "./types.ts";
import { stepWork } from "./work.ts";

/** Work of a training step with each net, as a share of the first one's. */
function workShares(nets: readonly NetSpec[], { settings, net }: Pick<PruneFile, "settings" | "net">): number[] {
  const work = (one: NetSpec): number => stepWork(one, settings.batch, settings.window);
  return nets.map((one) => work(one) / work(net));
}

/**
 * Plans a new run by time: measures a step and a check, and fixes the lengths of training that were not stated. `seconds` are those
 * left of the minutes. Throws UserError where they are too few.
 */
export async function planMinutes(
  options: PruneOptions,
  setup: Pick<RunSetup, "settings">,
  run: PruneFile,
  parts: {
    plan: Plan;
    backend: Backend;
    lowMemory: boolean;
    batches: BatchSource;
    validation: readonly PreparedCase[];
    secondsLeft: () => number;
  },
): Promise<PruneFile> {
  const { settings, pruning, net } = run;
  const warm = options.warm && pruning.warmSteps;
  const stated = { warm: options.from && !warm ? 0 : warm, recovery: options.recovery && pruning.recoverySteps };
  if (stated.warm !== undefined && stated.recovery !== undefined) return run;
  const pace = await measure(run, parts);
  const nets = expectedNets(net, pruning);
  const lengths = planLengths(parts.secondsLeft(), { shares: workShares(nets, run), done: 0 }, pace, {
    pruning,
    stated,
  });
  const steps = lengths.warmSteps + (nets.length - 1) * lengths.recoverySteps;
  return {
    ...run,
    pruning: { ...pruning, ...lengths },
    settings: { ...settings, augment: augmentationFor(setup.settings, steps, options.settings?.augment) },
    calibration: { minutes: options.minutes!, stepSeconds: pace.step, checkSeconds: pace.check },
  };
}

async function measure(
  run: PruneFile,
  { plan, backend, lowMemory, batches, validation, secondsLeft }: Parameters<typeof planMinutes>[3],
): Promise<Pace> {
  const { settings, pruning, net } = run;
  const graph = buildGraph(net, { batch: settings.batch, shape: settings.window });
  const trainer = await backend.trainer(graph, trainSpecOf(settings, lowMemory));
  const validator = createValidator(backend, validation);
  try {
    trainer.setParameters(initialise(graph, settings.seed));
    const dropoutAt = (step: number) => dropoutFactors(graph, settings.dropout, { seed: settings.seed, step });
    const step = await measureStep({ trainer, batches, seconds: secondsLeft(), dropoutAt });
    const shapes = validation.slice(0, pruning.checkCases).map(({ shape }) => shape);
    if (shapes.length === 0) return { step, check: 0 };
    const model = modelOf(run, plan, await trainer.getParameters(), { step: 0, dice: null });
    await validator.check(model, 1); // compiles
    const began = performance.now();
    await validator.check(model, 1);
    const first = (performance.now() - began) / 1000;
    const mean = (first * voxelsPerCase(net, plan, shapes)) / voxelsPerCase(net, plan, shapes.slice(0, 1));
    return { step, check: shapes.length * mean };
  } finally {
    validator.close();
    trainer.close();
  }
}

/** Recoveries are planned anew to end at performance.now() `deadline`, where sizes take longer or shorter than `pace` says. */
export interface Clock {
  deadline: number;
  pace: Pace;
}

/** Sizes by which the pace is judged. */
const paceSizes = 8;

/** Gives after each size the steps of a recovery that end in time, or null while those planned do. */
export function timekeeper(
  run: PruneFile,
  { deadline, pace }: Clock,
): (state: PruneState, record: CurveRecord) => number | null {
  const { pruning } = run;
  const sizes: { taken: number; estimated: number }[] = [];
  return (state, { seconds, meanDice }) => {
    const [share, ...shares] = workShares(expectedNets(state.net, pruning), run);
    const recoverySteps = state.recoverySteps ?? pruning.recoverySteps;
    const steps = state.step - state.phaseStart;
    sizes.push({ taken: seconds, estimated: sizeSeconds(share, steps, meanDice !== null, pace, pruning) });
    const sum = (of: "taken" | "estimated"): number => sizes.slice(-paceSizes).reduce((all, size) => all + size[of], 0);
    const left = (deadline - performance.now()) / 1000;
    const ahead = { shares, done: state.removals + 1 };
    return replanRecovery(left, ahead, pace, { pruning, recoverySteps, slower: sum("taken") / sum("estimated") });
  };
}
