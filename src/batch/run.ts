import { mkdir } from "node:fs/promises";
import { availableParallelism } from "node:os";
import { join } from "node:path";
import type { Model } from "../model/types.ts";
import { outputFormats, type PredictInput } from "../predict/files.ts";
import { checkModels } from "../predict/segment.ts";
import { takeLock } from "../study/lock.ts";
import { queuedArray } from "../study/sbatch.ts";
import type { Progress } from "../train/progress.ts";
import { fail } from "../util/errors.ts";
import { explainFileError, removeLeftovers } from "../util/files.ts";
import { listSome } from "../util/list-some.ts";
import { checkJobs } from "./memory.ts";
import type { BatchOrder } from "./order.ts";
import { runPool } from "./pool.ts";
import { type DoneRecord, type FailedRecord, openRecord, readRecords, recordName } from "./record.ts";
import { collectShares } from "./shares.ts";
import { type Standing, standingOf } from "./standing.ts";
import { updateUncertainty } from "./uncertainty-file.ts";

export interface BatchOptions {
  /** The models of the order, loaded. */
  models: readonly Model[];
  inputs: readonly PredictInput[];
  order: BatchOrder;
  /** Predict also what is done already. */
  force?: boolean;
  progress: Progress;
}

export interface RunBatchOptions extends BatchOptions {
  /** Processes that share the work; 1, the default, is this one. */
  jobs?: number;
  /** Leaves out the lines of cases that went well. */
  quiet?: boolean;
  /** Asks to stop: what is at work is given up, what is done stays. */
  signal?: AbortSignal;
  /** Called before the first case is begun: from here on the signal is heeded. */
  onBegin?: () => void;
}

export interface BatchResult {
  /** Cases with a label map, in the order of the inputs. */
  done: DoneRecord[];
  failed: FailedRecord[];
  /** How many of `done` were so before. */
  before: number;
  /** Errors that are not the user's. */
  faults: Error[];
  stopped: boolean;
}

/**
 * Predicts cases into a folder and goes on there where an earlier call ended: see {@link standingOf} for what counts as done. What
 * has ended stands in the folder's record, each case as soon as it has. UserError for models that do not go together, a folder in
 * use, and more jobs than fit the memory; what is wrong with a case is in the result.
 */
export async function runBatch(options: RunBatchOptions): Promise<BatchResult> {
  const { inputs, progress, quiet, signal, onBegin } = options;
  return inFolder(options, async (standing) => {
    const { open } = standing;
    const jobs = Math.max(1, Math.min(options.jobs ?? 1, open.length));
    const { threads = jobs > 1 ? Math.max(1, Math.floor(availableParallelism() / jobs)) : undefined } = options.order;
    const order = { ...options.order, threads };
    if (jobs > 1) await checkJobs(jobs, options.models, open, order);
    const record = await openRecord(join(order.out, recordName));
    try {
      const [total, before] = [inputs.length, inputs.length - open.length];
      const pool = await runPool({
        ...{ order, cases: open, total, before, jobs, record, progress, quiet, signal, onBegin },
      });
      const ended = new Map([...standing.done, ...pool.ended].map((one) => [one.id, one]));
      const all = inputs.flatMap(({ id }) => ended.get(id) ?? []);
      const done = all.filter((one) => one.state === "done");
      await keepMeasures(order.out, done);
      const failed = all.filter((one) => one.state === "failed");
      return { done, failed, before: standing.done.length, faults: pool.faults, stopped: pool.stopped };
    } finally {
      await record.close();
    }
  });
}

/** Makes the folder ready, looks at what it holds, and does the work while nobody else may. */
export async function inFolder<T>(options: BatchOptions, work: (standing: Standing) => Promise<T>): Promise<T> {
  const { inputs, order, models, force, progress } = options;
  const { out } = order;
  checkModels(models);
  await mkdir(out, { recursive: true }).catch((error) => {
    throw explainFileError(error, out) ?? error;
  });
  // Calls on single scans may go side by side, as a shell's loop starts them.
  const lock = inputs.length > 1 ? await takeLock(join(out, "predictions.lock")) : null;
  if (lock && "heldBy" in lock) {
    const { pid, host } = lock.heldBy;
    fail(`Process ${pid} on ${host} is predicting into ${out}; wait for it to end, or choose another --out.`);
  }
  try {
    const queued = await queuedArray(out);
    if (queued !== null) {
      fail(
        `The prediction into ${out} is in Slurm's queue as job ${queued}; wait for it to end (slurm/share-*.txt in that folder tell how it ` +
          `goes), or take it out with scancel ${queued}.`,
      );
    }
    await collectShares(out);
    const standing = await standingOf(inputs, await readRecords(join(out, recordName)), order, force);
    tell(standing, inputs.length, progress);
    const ids = standing.open.map(({ id }) => id);
    // Before the first label map changes: a call that is killed must not leave old measures beside new maps.
    await updateUncertainty(out, ids, []);
    await removeLeftovers(ids.flatMap((id) => [...outputFormats, "dcm"].map((ending) => join(out, `${id}.${ending}`))));
    return await work(standing);
  } finally {
    lock?.release();
  }
}

/** Puts the measures of uncertainty of all these cases, also those done before, into the folder's file. */
export async function keepMeasures(out: string, done: readonly DoneRecord[]): Promise<void> {
  await updateUncertainty(
    out,
    [],
    done.flatMap(({ id, uncertainty }) => (uncertainty ? [{ id, ...uncertainty }] : [])),
  );
}

function tell({ done, open, reasons, changed }: Standing, total: number, progress: Progress): void {
  if (done.length > 0)
    progress.say(
      total === 1
        ? "done already; --force predicts it again"
        : `${done.length} of ${total} ${done.length > 1 ? "were" : "was"} done already; --force predicts them again`,
    );
  if (reasons.length > 0) progress.say(`${open.length} to predict: ${reasons.join("; ")}`);
  if (changed.length > 0) {
    progress.say(
      `changed since they were written, and kept: ${listSome(changed)}; --force predicts ${changed.length > 1 ? "them" : "it"} again`,
    );
  }
}
