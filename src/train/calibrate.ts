import type { TensorMap, Trainer } from "../engine/types.ts";
import type { BatchSource } from "./loop.ts";

export interface CalibrateOptions {
  trainer: Pick<Trainer, "step" | "getParameters" | "getState" | "setParameters" | "setState">;
  batches: BatchSource;
  /** Seconds of the whole budget; measuring takes a few percent of it. */
  seconds: number;
  dropoutAt: (step: number) => TensorMap | undefined;
  /** Seconds since some start. */
  now?: () => number;
}

/** Shares of the budget for warming up and for measuring, and the most seconds of each. */
const warmShare = 0.01;
const measureShare = 0.02;
const mostWarm = 4;
const mostMeasure = 8;

/**
 * Seconds of a training step, measured on the run's own trainer and data after a warm-up (the engine's code gets faster in
 * its first calls). The trainer's weights and state are put back afterwards, so that the run does not notice.
 */
export async function measureStep(options: CalibrateOptions): Promise<number> {
  const { trainer, batches, dropoutAt, now = () => performance.now() / 1000 } = options;
  const parameters = await trainer.getParameters();
  const state = await trainer.getState();
  const run = async (seconds: number, from: number): Promise<{ steps: number; seconds: number }> => {
    const start = now();
    let steps = 0;
    do {
      const batch = await batches.next(from + steps);
      await trainer.step(batch, { learningRate: 0, dropout: dropoutAt(from + steps) });
      steps++;
    } while (now() - start < seconds);
    return { steps, seconds: now() - start };
  };
  const warm = await run(Math.min(mostWarm, options.seconds * warmShare), 0);
  const measured = await run(Math.min(mostMeasure, options.seconds * measureShare), warm.steps);
  trainer.setParameters(parameters);
  trainer.setState(state);
  return measured.seconds / measured.steps;
}
