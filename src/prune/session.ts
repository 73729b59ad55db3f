import { join } from "node:path";
import { targetNames } from "../dataset/regions.ts";
import type { Plan, PreparedCase } from "../dataset/types.ts";
import type { Backend, TensorMap, Trainer } from "../engine/types.ts";
import { modelToBytes } from "../model/file.ts";
import { buildGraph } from "../net/build.ts";
import { countNet } from "../net/count.ts";
import { prunableLayers, removeChannels } from "../net/remove.ts";
import { type BatchSource, emptySums } from "../train/loop.ts";
import { lossOf, trainSpecOf } from "../train/presets.ts";
import { diceText, type Progress } from "../train/progress.ts";
import { modelOf } from "../train/session.ts";
import { createValidator, type Validator } from "../train/validate.ts";
import { writeFileAtomic } from "../util/files.ts";
import { appendLine, rewindLines } from "../util/json-lines.ts";
import { random } from "../util/random.ts";
import { type PruneState, writePruneCheckpoint } from "./checkpoint.ts";
import { bestMean, chooseSize, curveChart, lossByLevel, removedText, sizeOf } from "./curve.ts";
import { scoresLeft, targetedRates } from "./dropout.ts";
import { type PrunePaths, sizeName, writePruneFile } from "./folder.ts";
import { channelsOf, limitMet, nextCount } from "./limits.ts";
import { trainPhase } from "./phase.ts";
import { asRemovals, lowestChannels, randomAtLargest, randomAtLayers } from "./pick.ts";
import { type Clock, timekeeper } from "./plan-minutes.ts";
import { rankChannels } from "./rank.ts";
import { expectedNets, isRanked } from "./settings.ts";
import type { ChannelRef, CurveRecord, Ending, PruneFile, PruneOutcome } from "./types.ts";

/** Keeps this stream apart from others keyed by (seed, number). */
const streamTag = 0x9107;

/** What a prepared prune run works with. */
export interface PruneSession {
  run: PruneFile;
  paths: PrunePaths;
  plan: Plan;
  backend: Backend;
  /** Makes activations again, in training and ranking. */
  lowMemory: boolean;
  batches: BatchSource;
  /** Empty where all cases train. */
  validation: readonly PreparedCase[];
  progress: Progress;
  /** Ends the run after the step it is in, with a checkpoint; a TimeoutError as its reason says that the time was up. */
  signal?: AbortSignal;
  /** Where recoveries are to fill a time. */
  clock?: Clock;
}

/** Start of a run, before its first step. */
export function freshState(run: Pick<PruneFile, "net" | "settings">, parameters: TensorMap): PruneState {
  return {
    removals: 0,
    step: 0,
    phaseStart: 0,
    phaseOver: false,
    patience: { best: null, since: 0 },
    net: run.net,
    removed: [],
    dropout: run.settings.dropout,
    loss: null,
    sums: emptySums(),
    parameters,
    optimiser: new Map(),
  };
}

/**
 * Trains and removes in turn, from a state to a limit or the signal. Every size is checked, saved and added to the curve
 * before channels of it go. Returns the run with its state and result.
 */
export async function runPruning(
  session: PruneSession,
  start: PruneState,
): Promise<{ run: PruneFile; curve: CurveRecord[] }> {
  const { paths, progress, signal } = session;
  const { pruning } = session.run;
  let { run } = session;
  const expected = expectedNets(run.net, pruning).length - 1;
  const curve = await rewindLines<CurveRecord>(paths.curve, (record) => record.step < start.removals);
  const conclude = async (changes: Pick<PruneFile, "state" | "result">) => {
    run = { ...run, ...changes };
    await writePruneFile(paths.run, run);
    return { run, curve };
  };
  const outcome = (ended: Ending): PruneOutcome => ({
    ended,
    sizes: curve.length,
    chosen: sizeOf(chooseSize(curve, pruning.within)),
    last: sizeOf(curve[curve.length - 1]),
    removedByLevel: lossByLevel(run.net, curve),
  });
  const leave = () =>
    signal?.reason?.name === "TimeoutError"
      ? conclude({ state: "stopped at the time limit", result: curve.length > 0 ? outcome("minutes") : null })
      : conclude({ state: "interrupted", result: null });
  const watch = session.clock && timekeeper(run, session.clock);
  let state = start;
  let began = performance.now();
  for (;;) {
    const grown = await finishSize(session, state, curve, `size ${state.removals} of about ${expected}`);
    if (!grown) return leave();
    state = grown.state;
    const record = { ...grown.record, seconds: round((performance.now() - began) / 1000) };
    began = performance.now();
    await addToCurve(session, curve, record, grown.model);
    progress.say(sizeText(record, run));
    const ended = limitMet(pruning, state.net, { best: bestMean(curve), now: record.meanDice });
    if (ended) return conclude({ state: "finished", result: outcome(ended) });
    const recoverySteps = watch?.(state, record) ?? null;
    if (recoverySteps !== null) {
      state = { ...state, recoverySteps };
      run = { ...run, replans: [...(run.replans ?? []), { size: state.removals + 1, recoverySteps }] };
      await writePruneFile(paths.run, run);
    }
    const next = await removeNext(session, state);
    if (!next) return leave();
    state = next;
    await writePruneCheckpoint(paths.checkpoint, state, graphOf(session, state).params);
    if (signal?.aborted) return leave();
  }
}

function graphOf({ run }: PruneSession, { net }: PruneState) {
  return buildGraph(net, { batch: run.settings.batch, shape: run.settings.window });
}

interface GrownSize {
  state: PruneState;
  record: Omit<CurveRecord, "seconds">;
  model: Uint8Array;
}

/** Trains a size to the end of its phase and checks it; null when the signal came first. */
async function finishSize(
  session: PruneSession,
  start: PruneState,
  curve: readonly CurveRecord[],
  name: string,
): Promise<GrownSize | null> {
  const { run, plan, backend, batches, validation, progress, signal, paths } = session;
  const { settings, pruning } = run;
  const graph = graphOf(session, start);
  let trainer: Trainer | undefined;
  let validator: Validator | undefined;
  try {
    trainer = await backend.trainer(graph, trainSpecOf(settings, session.lowMemory));
    trainer.setParameters(start.parameters);
    if (start.optimiser.size > 0) trainer.setState(start.optimiser);
    validator = createValidator(backend, validation);
    const model = (weights: TensorMap, dice: number[] | null, step: number) =>
      modelOf({ ...run, net: start.net }, plan, weights, { step: (run.from?.steps ?? 0) + step, dice });
    const dice = async (step: number): Promise<number[] | null> =>
      validator!.check(model(await trainer!.getAverage(), null, step), pruning.checkCases, {
        signal,
        onCase: (done) => progress.live(`${name}  checking on validation cases ${done}/${pruning.checkCases}`),
      });
    const { state, left } = await trainPhase(
      {
        run,
        graph,
        trainer,
        batches,
        check: async () => meanOf(await dice(start.step)),
        save: (at) => writePruneCheckpoint(paths.checkpoint, at, graph.params),
        onStep: ({ step, phaseStart, sums }, end) =>
          progress.live(
            `${name}  step ${step - phaseStart}/${end - phaseStart}  loss ${(sums.loss / sums.steps).toFixed(4)}`,
          ),
        stop: () => signal?.aborted === true,
      },
      start,
    );
    if (left) return null;
    const last = limitMet(pruning, state.net, null) !== null;
    const due = validation.length > 0 && (last || curve.length === 0 || state.removals % pruning.checkEvery === 0);
    const reached = due ? await dice(state.step) : null;
    if (due && !reached) return null;
    const { parameters, parametersWithoutNorm, macs } = countNet(state.net, { batch: 1, shape: settings.window });
    return {
      state,
      record: {
        step: state.removals,
        removed: state.removed,
        widths: Object.fromEntries(prunableLayers(state.net).map(({ name: layer, width }) => [layer, width])),
        parameters,
        parametersWithoutNorm,
        macs,
        trainLoss: state.loss,
        validationDice: reached,
        meanDice: meanOf(reached),
        model: sizeName(state.removals),
      },
      model: modelToBytes(model(await trainer.getAverage(), reached, state.step)),
    };
  } finally {
    validator?.close();
    trainer?.close();
  }
}

/** Saves a size, and makes it the folder's model where it is the one to choose so far. */
async function addToCurve(
  { run, plan, paths }: PruneSession,
  curve: CurveRecord[],
  record: CurveRecord,
  model: Uint8Array,
): Promise<void> {
  await writeFileAtomic(join(paths.folder, record.model), model);
  await appendLine(paths.curve, record);
  curve.push(record);
  if (chooseSize(curve, run.pruning.within) === record) await writeFileAtomic(paths.best, model);
  await writeFileAtomic(paths.chart, curveChart(curve, targetNames(plan), `${run.netName} pruned on ${run.data.name}`));
}

/** The state after the next removal; null when the signal came first. */
async function removeNext(session: PruneSession, state: PruneState): Promise<PruneState | null> {
  const { run, backend, lowMemory, batches, progress, signal } = session;
  const { settings, pruning } = run;
  const { net, parameters, optimiser, step } = state;
  const draw = random(settings.seed, state.removals, streamTag);
  const count = nextCount(pruning.until, net, pruning.remove);
  let removed: ChannelRef[];
  let { dropout } = state;
  if (isRanked(pruning)) {
    const graph = graphOf(session, state);
    const scores = await rankChannels({
      criterion: pruning.criterion,
      net,
      graph,
      tensors: parameters,
      backend,
      lowMemory,
      loss: lossOf(settings),
      batches,
      from: step,
      count: pruning.rankBatches,
      draw,
      onBatch: (done) => progress.live(`ranking ${channelsOf(net)} channels  batch ${done}/${pruning.rankBatches}`),
      stop: () => signal?.aborted === true,
    });
    if (!scores) return null;
    if (pruning.pick === "stamp") removed = lowestChannels(scores, count);
    else if (pruning.pick === "random-at-stamp-layer") removed = randomAtLayers(scores, count, draw);
    else removed = randomAtLargest(net, count, pruning.largestBy, draw);
    if (pruning.targeted) dropout = targetedRates(graph, scoresLeft(scores, removed));
  } else {
    removed = randomAtLargest(net, count, pruning.largestBy, draw);
  }
  const less = removeChannels(net, asRemovals(removed));
  return {
    ...state,
    removals: state.removals + 1,
    phaseStart: step,
    phaseOver: false,
    patience: { best: null, since: 0 },
    net: less.net,
    removed,
    dropout,
    loss: null,
    parameters: less.apply(parameters),
    optimiser: less.apply(optimiser),
  };
}

function sizeText(record: CurveRecord, { pruning }: PruneFile): string {
  const channels = Object.values(record.widths).reduce((sum, width) => sum + width, 0);
  const parts = [
    `size ${record.step}: ${channels} channels, ${record.parameters.toLocaleString("en-US")} parameters`,
    ...(record.trainLoss === null ? [] : [`loss ${record.trainLoss.toFixed(4)}`]),
    ...(record.validationDice ? [`validation Dice ${diceText(record.validationDice)}`] : []),
    ...(record.removed.length > 0 && pruning.remove <= 8 ? [`removed ${removedText(record.removed)}`] : []),
  ];
  return parts.join("  ");
}

function meanOf(values: readonly number[] | null): number | null {
  return values && values.reduce((sum, v) => sum + v, 0) / values.length;
}

/** Times need no more than ms. */
function round(value: number): number {
  return Math.round(value * 1000) / 1000;
}
