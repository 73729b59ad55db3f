import type { Batch, StepOptions, TensorMap, Trainer } from "../engine/types.ts";
import { UserError } from "../util/errors.ts";
import { pause } from "../util/pause.ts";

/** What an epoch has added up so far; plain numbers, so that a checkpoint in mid-epoch can hold it. */
export interface EpochSums {
  steps: number;
  loss: number;
  /** Soft Dice per class, summed over steps. */
  dice: number[];
  gradientNorm: number;
}

export function emptySums(): EpochSums {
  return { steps: 0, loss: 0, dice: [], gradientNorm: 0 };
}

/** Wall time, kept apart from the sums because it differs from run to run. */
export interface StepTimes {
  /** Seconds in steps, waiting included. */
  seconds: number;
  /** Seconds that steps waited for their batch. */
  waited: number;
}

/** Gives the batch of a step; asked for steps in rising order. */
export interface BatchSource {
  next(step: number): Promise<Batch>;
}

export interface RunStepsOptions {
  trainer: Pick<Trainer, "step">;
  batches: BatchSource;
  /** First step, and the one after the last. */
  from: number;
  to: number;
  rateAt: (step: number) => number;
  dropoutAt?: (step: number) => TensorMap | undefined;
  /** Added to in place. */
  sums: EpochSums;
  times: StepTimes;
  /** Called after each step with the number of steps done. */
  onStep?: (done: number) => void;
  /** Asked after each step; true ends the loop early. */
  stop?: () => boolean;
}

/** Trains steps `from` to `to`; returns the number of steps done since step 0. Throws UserError when the loss is not finite. */
export async function runSteps(options: RunStepsOptions): Promise<number> {
  const { trainer, batches, to, sums, times } = options;
  let step = options.from;
  while (step < to) {
    const start = performance.now();
    const batch = await batches.next(step);
    const ready = performance.now();
    const how: StepOptions = { learningRate: options.rateAt(step), dropout: options.dropoutAt?.(step) };
    const result = await trainer.step(batch, how);
    if (!Number.isFinite(result.loss)) {
      throw new UserError(
        `The loss became ${result.loss} at step ${step + 1} (learning rate ${how.learningRate.toPrecision(3)}); ` +
          `train again with a smaller --lr or a --clip, and check the images for values that are not numbers.`,
      );
    }
    sums.steps += 1;
    sums.loss += result.loss;
    sums.gradientNorm += result.gradientNorm;
    sums.dice = result.dice.map((d, i) => d + (sums.dice[i] ?? 0));
    step += 1;
    times.waited += (ready - start) / 1000;
    times.seconds += (performance.now() - start) / 1000;
    options.onStep?.(step);
    await pause(); // lets signals and messages in between two steps
    if (options.stop?.()) break;
  }
  return step;
}
