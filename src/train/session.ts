import { targetNames } from "../dataset/regions.ts";
import type { Plan } from "../dataset/types.ts";
import type { Graph } from "../engine/graph.ts";
import type { TensorMap, Trainer } from "../engine/types.ts";
import { quantile } from "../evaluate/bootstrap.ts";
import type { Model } from "../model/types.ts";
import { withoutHeads } from "../net/build.ts";
import { counted } from "../util/counted.ts";
import { replan } from "./budget.ts";
import type { Best, Checkpoint } from "./checkpoint.ts";
import { dropoutFactors } from "./dropout.ts";
import { type EpochRecord, progressChart, waitingShare } from "./log.ts";
import { type BatchSource, type EpochSums, emptySums, runSteps, type StepTimes } from "./loop.ts";
import { type Progress, progressText } from "./progress.ts";
import type { RunFile, RunScore } from "./run-folder.ts";
import { learningRateAt } from "./schedule.ts";
import type { RunStore } from "./store.ts";
import type { Validator } from "./validate.ts";

/** Epochs over whose paces the median is taken. */
const paceEpochs = 20;
/** Changes of the plan smaller than this are not worth a line. */
const tellShare = 0.05;

/** What a prepared run works with. */
export interface Session {
  run: RunFile;
  store: RunStore;
  plan: Plan;
  graph: Graph;
  trainer: Trainer;
  batches: BatchSource;
  /** null where all cases train. */
  validator: Validator | null;
  progress: Progress;
  /** Ends the run after the step it is in, with a checkpoint. */
  signal?: AbortSignal;
  /** performance.now() at which the last check must begin; Infinity: no limit. */
  deadline: number;
}

/** Start of a run, before its first step. */
export async function freshCheckpoint(trainer: Pick<Trainer, "getParameters" | "getState">): Promise<Checkpoint> {
  return {
    step: 0,
    parameters: await trainer.getParameters(),
    state: await trainer.getState(),
    best: null,
    lastDice: null,
    sums: emptySums(),
  };
}

/** The number, from 1, of the epoch that a checkpoint stands in: one that was left before its end is not over, a short last one is. */
export function epochOf(step: number, sums: Pick<EpochSums, "steps">, epochSteps: number): number {
  return sums.steps > 0 ? Math.ceil(step / epochSteps) : Math.ceil(step / epochSteps) + 1;
}

/**
 * Trains from a checkpoint to the end of the run (or to the signal, or the deadline), with checks, log, checkpoints and models
 * written on the way. The trainer must hold the checkpoint's weights and state. Returns the run with its state and result.
 */
export async function runSession(session: Session, start: Checkpoint): Promise<RunFile> {
  const { store, graph, trainer, batches, validator, progress, signal, deadline } = session;
  let { run } = session;
  const { epochSteps, settings } = run;
  let { steps } = run;
  let { step, best, lastDice, sums } = start;
  const records = await store.records(epochOf(step, sums, epochSteps));
  const began = performance.now();
  const secondsLeft = (): number =>
    ((performance.now() - began) / 1000 / Math.max(1, step - start.step)) * (steps - step);
  const save = async (): Promise<void> =>
    store.writeCheckpoint(
      { step, parameters: await trainer.getParameters(), state: await trainer.getState(), best, lastDice, sums },
      graph.params,
    );
  const conclude = async (state: RunFile["state"], result: RunFile["result"]): Promise<RunFile> => {
    const concluded: RunFile = { ...run, state, result };
    await store.writeRun(concluded);
    return concluded;
  };

  /** Seconds a step of each epoch of this call, and of all its checks. */
  const paces: number[] = [];
  let told = steps;
  let checkSeconds = 0;
  /** Plans other steps when those planned would not end in time. */
  const keepTime = async (epochs: number, record: EpochRecord): Promise<void> => {
    const now = performance.now();
    const done = step - start.step;
    paces.push(record.seconds / Math.min(done, epochSteps));
    checkSeconds += record.validationSeconds;
    // Not by the first epochs, which compile; by the median, so that one that stalled does not count.
    const span = Math.min(paceEpochs, Math.ceil(epochs / 4));
    if (paces.length <= span) return;
    const pace =
      quantile(
        paces.slice(-span).sort((a, b) => a - b),
        0.5,
      ) +
      checkSeconds / done;
    const fits = replan({ steps: steps - step, seconds: (deadline - now) / 1000 }, pace, steps);
    if (fits === null) return;
    steps = step + fits;
    run = { ...run, steps, replans: [...(run.replans ?? []), { step, steps }] };
    await store.writeRun(run);
    if (Math.abs(steps / told - 1) < tellShare) return;
    told = steps;
    progress.say(`${(1000 * pace).toFixed(0)} ms a step: now ${counted(steps, "step")}, to end in time`);
  };

  let outOfTime = false;
  while (!outOfTime && (step < steps || sums.steps > 0)) {
    const epoch = epochOf(step, sums, epochSteps);
    const epochs = Math.ceil(steps / epochSteps);
    const times: StepTimes = { seconds: 0, waited: 0 };
    const end = Math.min(epoch * epochSteps, steps);
    step = await runSteps({
      trainer,
      batches,
      from: step,
      to: end,
      rateAt: (s) => learningRateAt({ ...settings, kind: settings.schedule }, s, steps),
      dropoutAt: (s) => dropoutFactors(graph, settings.dropout, { seed: settings.seed, step: s }),
      sums,
      times,
      onStep: (done) => {
        step = done;
        const loss = sums.loss / sums.steps;
        const state = { epoch, epochs, step, steps, loss, validationDice: lastDice, secondsLeft: secondsLeft() };
        progress.live(progressText(state));
        progress.step?.(state);
      },
      stop: () => signal?.aborted === true || performance.now() > deadline,
    });
    if (signal?.aborted) {
      await save();
      return conclude("interrupted", null);
    }
    outOfTime = step < steps && performance.now() > deadline;
    // Kept before the closing check, so that the run can be resumed as if its time had not been up.
    if (outOfTime) await save();

    const closing = outOfTime || step === steps;
    const checked = await check(session, { epoch, step, closing, best });
    if (checked === "aborted") {
      await save();
      return conclude("interrupted", null);
    }
    if (checked) {
      best = checked.best;
      lastDice = checked.dice;
    }
    const record: EpochRecord = {
      epoch,
      step,
      loss: sums.loss / sums.steps,
      gradientNorm: sums.gradientNorm / sums.steps,
      trainDice: sums.dice.map((d) => d / sums.steps),
      lr: learningRateAt({ ...settings, kind: settings.schedule }, step - 1, steps),
      validationDice: checked ? checked.dice : null,
      validationCases: checked ? checked.cases : 0,
      seconds: round(times.seconds),
      validationSeconds: round(checked ? checked.seconds : 0),
      waitingShare: round(times.waited / Math.max(1e-9, times.seconds)),
    };
    await store.addRecord(record);
    records.push(record);
    progress.say(
      progressText({
        epoch,
        epochs,
        step,
        steps,
        loss: record.loss,
        validationDice: lastDice,
        secondsLeft: secondsLeft(),
      }),
    );
    if (!outOfTime) {
      sums = emptySums();
      await save();
    }
    if (best && checked) await store.writeModel("best", modelOf(run, session.plan, best.weights, best));
    await store.writeChart(progressChart(records, targetNames(session.plan), `${run.netName} on ${run.data.name}`));
    if (!outOfTime && step < steps) await keepTime(epochs, record);
  }

  if (records.length > 0) {
    progress.say(`steps waited for data ${(100 * waitingShare(records)).toFixed(1)} % of their time`);
  }
  const weights = await trainer.getAverage();
  const last: RunScore = { step, meanDice: lastDice && mean(lastDice), dice: lastDice };
  await store.writeModel("last", modelOf(run, session.plan, weights, last));
  if (!validator || !best) {
    await store.writeModel("best", modelOf(run, session.plan, weights, last));
    return conclude(outOfTime ? "stopped at the time limit" : "finished", { best: last, last });
  }
  await store.writeModel("best", modelOf(run, session.plan, best.weights, best));
  const result = { best: { step: best.step, meanDice: best.score, dice: best.dice }, last };
  return conclude(outOfTime ? "stopped at the time limit" : "finished", result);
}

interface CheckOutcome {
  best: Best;
  /** Of the weights of this epoch. */
  dice: number[];
  cases: number;
  seconds: number;
}

/**
 * Checks the weights where a check is due: null where not. The closing check sees every case; where the ones before saw only
 * some, the best weights of those are checked again on every case, so that like is compared with like.
 */
async function check(
  session: Session,
  at: { epoch: number; step: number; closing: boolean; best: Best | null },
): Promise<CheckOutcome | null | "aborted"> {
  const { run, trainer, validator, progress, signal } = session;
  const { every, cases } = run.checks;
  if (!validator || (!at.closing && at.epoch % every !== 0)) return null;
  const start = performance.now();
  const all = run.validationCases.length;
  const weights = await trainer.getAverage();
  const count = at.closing ? all : cases;
  const watch = { signal, onCase: (done: number) => progress.live(`checking on validation cases ${done}/${count}`) };
  let previous = at.best;
  const taken = { step: at.step, dice: null };
  const dice = await validator.check(modelOf(run, session.plan, weights, taken), count, watch);
  if (!dice) return "aborted";
  if (at.closing && previous && cases < all) {
    const again = await validator.check(modelOf(run, session.plan, previous.weights, previous), all, watch);
    if (!again) return "aborted";
    previous = { ...previous, dice: again, score: mean(again) };
  }
  const score = mean(dice);
  const better = !previous || score > previous.score || (at.closing && score === previous.score);
  const best = better || !previous ? { score, dice, step: at.step, weights } : previous;
  return { best, dice, cases: count, seconds: (performance.now() - start) / 1000 };
}

type RunStart = Pick<
  RunFile,
  "net" | "lunet" | "started" | "settings" | "fold" | "trainingCases" | "validationCases" | "teacherCases"
>;

/** A model with its record: the weights `tensors`, without heads that only training has, as they were after `taken.step` steps. */
export function modelOf(
  run: RunStart,
  plan: Plan,
  tensors: TensorMap,
  taken: { step: number; dice: number[] | null },
): Model {
  const { lunet, started, settings, fold, trainingCases, validationCases, teacherCases } = run;
  return {
    net: run.net,
    plan,
    provenance: {
      lunet,
      created: started,
      seed: settings.seed,
      preset: settings.preset,
      fold,
      steps: taken.step,
      trainingCases,
      validationCases,
      ...(teacherCases ? { teacherCases } : {}),
      validationDice: taken.dice,
    },
    tensors: withoutHeads(tensors),
  };
}

function mean(values: readonly number[]): number {
  return values.reduce((sum, v) => sum + v, 0) / values.length;
}

/** Times need no more than ms. */
function round(value: number): number {
  return Math.round(value * 1000) / 1000;
}
