import type { PredictInput } from "../predict/files.ts";
import type { Progress } from "../train/progress.ts";
import { fail } from "../util/errors.ts";
import { type Outcome, startWorker, type Worker } from "./case.ts";
import { type BatchOrder, settingsOf } from "./order.ts";
import { createPace, type Pace } from "./pace.ts";
import type { DoneRecord, FailedRecord, RecordWriter } from "./record.ts";
import { startRemoteWorker, WorkerLost } from "./remote.ts";

export interface PoolOptions {
  order: BatchOrder;
  /** Cases to predict, in this order. */
  cases: readonly PredictInput[];
  /** Cases of the whole batch, and how many of them were done before. */
  total: number;
  before: number;
  /** Processes at once; 1: this one. */
  jobs: number;
  record: RecordWriter;
  progress: Progress;
  /** Leaves out the lines of cases that went well. */
  quiet?: boolean;
  signal?: AbortSignal;
  /** Called before the first case is begun. */
  onBegin?: () => void;
}

export interface PoolResult {
  ended: (DoneRecord | FailedRecord)[];
  /** Errors that are not the user's. */
  faults: Error[];
  stopped: boolean;
}

/** How often a case is begun whose process is killed. */
const mostStarts = 2;

/**
 * Predicts cases, each by whichever worker is free. A case that fails is noted in the record and the others go on; a process that is
 * killed is replaced, and its case tried once more. Ends when all cases have ended, or when the signal came and none is at work.
 */
export async function runPool(options: PoolOptions): Promise<PoolResult> {
  const { order, cases, total, before, jobs, record, progress, quiet, signal, onBegin } = options;
  const queue = cases.map((input, index) => ({ input, place: before + index + 1, starts: 0 }));
  const live = new Map<string, string>();
  const pace: Pace = createPace(queue.length);
  const ended: (DoneRecord | FailedRecord)[] = [];
  const faults: Error[] = [];
  let broken: unknown;

  const show = (head: string, text: string): void => {
    live.set(head, text);
    const each = [...live].map(([name, words]) => `${name}  ${words}`);
    progress.live([...(total > 1 ? pace.words() : []), ...each].join("  |  "));
  };
  const add = async (event: DoneRecord | FailedRecord): Promise<void> => {
    await record.add(event);
    ended.push(event);
  };
  const end = async (
    input: PredictInput,
    head: string,
    outcome: Exclude<Outcome, { state: "stopped" }>,
  ): Promise<void> => {
    const { id, models } = input;
    const time = new Date().toISOString();
    pace.end(outcome.state === "done");
    if (outcome.state === "done") {
      await add({ id, time, ...outcome, settings: settingsOf(order, models) });
      const left = total > 1 ? pace.left() : "";
      if (!quiet) progress.say(`${head}  ${outcome.milliseconds.total.toFixed(0)} ms${left}`);
      return;
    }
    const { stack, ...failed } = outcome;
    if (stack) faults.push(Object.assign(new Error(failed.error), { stack }));
    await add({ id, time, ...failed });
    progress.say(`${head}  failed: ${failed.error}`);
  };
  const loop = async (): Promise<void> => {
    let worker: Worker | undefined;
    try {
      for (let next = queue.shift(); next && !signal?.aborted && broken === undefined; next = queue.shift()) {
        const { input, place } = next;
        const head = `${place}/${total} ${input.id}`;
        next.starts++;
        try {
          worker ??= await (jobs > 1 ? startRemoteWorker(order, signal) : startWorker(order, signal));
          if (signal?.aborted) break;
          onBegin?.();
          await record.add({ id: input.id, time: new Date().toISOString(), state: "begun" });
          const outcome = await worker.predict(input, (text) => show(head, text));
          live.delete(head);
          if (outcome.state !== "stopped") await end(input, head, outcome);
        } catch (error) {
          live.delete(head);
          if (!(error instanceof WorkerLost)) throw error;
          if (signal?.aborted) break;
          if (!worker)
            fail(`A process for prediction ended before its first case (${error.how}); try with fewer --jobs.`);
          worker = undefined;
          const words = `its process was ended by ${error.how}, perhaps for want of memory`;
          if (next.starts < mostStarts) {
            progress.say(`${head}  ${words}; trying once more in a new one`);
            queue.push(next);
          } else await end(input, head, { state: "failed", error: `${input.id}: ${words}, ${next.starts} times.` });
        }
      }
    } catch (error) {
      broken ??= error;
    } finally {
      await worker?.close();
    }
  };
  try {
    await Promise.all(Array.from({ length: Math.min(jobs, queue.length) }, loop));
  } finally {
    progress.close();
  }
  if (broken !== undefined) throw broken;
  return { ended, faults, stopped: signal?.aborted === true };
}
