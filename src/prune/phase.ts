import type { Graph } from "../engine/graph.ts";
import type { Trainer } from "../engine/types.ts";
import { dropoutFactors } from "../train/dropout.ts";
import { type BatchSource, emptySums, runSteps } from "../train/loop.ts";
import { learningRateAt } from "../train/schedule.ts";
import type { PruneState } from "./checkpoint.ts";
import type { PruneFile } from "./types.ts";

export interface Phase {
  run: Pick<PruneFile, "settings" | "pruning">;
  graph: Graph;
  trainer: Trainer;
  batches: BatchSource;
  /** Mean validation Dice of the weights as they are; null when it was stopped. */
  check: () => Promise<number | null>;
  /** Called at the end of every epoch, and when the phase is left. */
  save: (state: PruneState) => Promise<void>;
  /** Called after each step. */
  onStep?: (state: PruneState, end: number) => void;
  stop: () => boolean;
}

/**
 * Trains one phase from its state to its end: its steps are all done, or validation Dice has not improved for `patience`
 * epochs of it. The trainer must hold the state's weights. Returns the state, and whether the phase was left before its end.
 */
export async function trainPhase(phase: Phase, start: PruneState): Promise<{ state: PruneState; left: boolean }> {
  const { trainer, graph } = phase;
  const { settings, pruning } = phase.run;
  const first = start.removals === 0;
  const length = first ? pruning.warmSteps : (start.recoverySteps ?? pruning.recoverySteps);
  const end = start.phaseStart + length;
  const schedule = {
    kind: settings.schedule,
    warmup: settings.warmup,
    learningRate: first ? settings.learningRate : pruning.recoveryRate,
  };
  let state = start;
  const held = async (): Promise<Pick<PruneState, "parameters" | "optimiser">> => ({
    parameters: await trainer.getParameters(),
    optimiser: await trainer.getState(),
  });
  const leave = async (): Promise<{ state: PruneState; left: boolean }> => {
    state = { ...state, ...(await held()) };
    await phase.save(state);
    return { state, left: true };
  };
  while ((!state.phaseOver && state.step < end) || state.sums.steps > 0) {
    const sums = { ...state.sums };
    const step = await runSteps({
      trainer,
      batches: phase.batches,
      from: state.step,
      to: Math.min(state.step - sums.steps + pruning.epochSteps, end),
      rateAt: (s) => learningRateAt(schedule, s - start.phaseStart, length),
      dropoutAt: (s) => dropoutFactors(graph, state.dropout, { seed: settings.seed, step: s }),
      sums,
      times: { seconds: 0, waited: 0 },
      onStep: (done) => phase.onStep?.({ ...state, step: done, sums }, end),
      stop: phase.stop,
    });
    state = { ...state, step, sums };
    if (phase.stop()) return leave();
    let { patience, phaseOver } = state;
    // The size is checked at the phase's end anyway.
    if (pruning.patience > 0 && step < end) {
      const dice = await phase.check();
      if (dice === null) return leave();
      const better = patience.best === null || dice > patience.best;
      patience = better ? { best: dice, since: 0 } : { ...patience, since: patience.since + 1 };
      phaseOver = patience.since >= pruning.patience;
    }
    state = { ...state, ...(await held()), loss: sums.loss / sums.steps, sums: emptySums(), patience, phaseOver };
    await phase.save(state);
  }
  return { state: { ...state, ...(await held()) }, left: false };
}
