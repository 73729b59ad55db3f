import type { OpContext } from "./control.ts";
import { type Op, runOp } from "./ops.ts";
import { type EncodedStages, type ScratchArea, THREAD_SCRATCH } from "./program.ts";

/** A compiled program as every thread receives it. */
export interface ProgramImage {
  id: number;
  module: WebAssembly.Module;
  memory: WebAssembly.Memory;
  encoded: EncodedStages;
  ops: Op[];
  control: number;
  scratch: ScratchArea;
}

/** Runs single tasks of one program on this thread. */
export interface Executor {
  encoded: EncodedStages;
  context: OpContext;
  /** ms of each stage, added up over all runs, where somebody wants to know. */
  times?: Float64Array;
  task(index: number): void;
}

type Kernel = (...args: number[]) => void;

/** `thread` counts from 0: which scratch memory is this thread's. */
export function createExecutor(image: ProgramImage, thread: number): Executor {
  const { memory, encoded, ops } = image;
  const instance = new WebAssembly.Instance(image.module, { env: { memory } });
  const kernels: Kernel[] = [];
  for (let i = 0; ; i++) {
    const kernel = instance.exports[`k${i}`];
    if (!kernel) break;
    kernels.push(kernel as Kernel);
  }
  const context: OpContext = {
    f32: new Float32Array(memory.buffer),
    f64: new Float64Array(memory.buffer),
    u8: new Uint8Array(memory.buffer),
    control: image.control,
  };
  const { tasks } = encoded;
  const calls = ownCalls(encoded.calls, image.scratch.address + thread * image.scratch.stride);
  return {
    encoded,
    context,
    task(index) {
      const end = tasks[index + 1];
      for (let at = tasks[index]; at < end; ) {
        const head = calls[at];
        if (head < 0) {
          runOp(context, ops[-1 - head]);
          at++;
        } else {
          const count = calls[at + 1];
          invoke(kernels[head], calls, at + 2, count);
          at += 2 + count;
        }
      }
    },
  };
}

/** The calls with {@link THREAD_SCRATCH} replaced. */
function ownCalls(calls: Int32Array, scratch: number): Int32Array {
  const own = calls.slice();
  for (let at = 0; at < own.length; ) {
    const end = own[at] < 0 ? at + 1 : at + 2 + own[at + 1];
    for (let i = at + 2; i < end; i++) if (own[i] === THREAD_SCRATCH) own[i] = scratch;
    at = end;
  }
  return own;
}

/** A call with its arguments from `c`, without building an array for the usual counts. */
function invoke(kernel: Kernel, c: Int32Array, i: number, count: number): void {
  if (count === 3) kernel(c[i], c[i + 1], c[i + 2]);
  else if (count === 4) kernel(c[i], c[i + 1], c[i + 2], c[i + 3]);
  else if (count === 5) kernel(c[i], c[i + 1], c[i + 2], c[i + 3], c[i + 4]);
  else if (count === 7) kernel(c[i], c[i + 1], c[i + 2], c[i + 3], c[i + 4], c[i + 5], c[i + 6]);
  else if (count === 6) kernel(c[i], c[i + 1], c[i + 2], c[i + 3], c[i + 4], c[i + 5]);
  else if (count === 8) kernel(c[i], c[i + 1], c[i + 2], c[i + 3], c[i + 4], c[i + 5], c[i + 6], c[i + 7]);
  else kernel(...c.subarray(i, i + count));
}

/** Slots of the synchronisation array. */
const NEXT = 0;
const ARRIVED = 1;
const PHASE = 2;
export const FAILED = 3;
/** Then the first failure's text: its length, and its characters' codes. */
const TEXT = 4;
const TEXT_LENGTH = 250;
export const SYNC_SLOTS = TEXT + 1 + TEXT_LENGTH;

function writeFailure(sync: Int32Array, error: unknown): void {
  if (Atomics.compareExchange(sync, FAILED, 0, 1) !== 0) return;
  const text = String(error).slice(0, TEXT_LENGTH);
  sync[TEXT] = text.length;
  for (let i = 0; i < text.length; i++) sync[TEXT + 1 + i] = text.charCodeAt(i);
}

function readFailure(sync: Int32Array): string {
  return String.fromCharCode(...sync.subarray(TEXT + 1, TEXT + 1 + sync[TEXT]));
}

/** Looks at the phase this often before sleeping: a few microseconds, so that a waiting thread does not starve the data loader. */
const SPINS = 2000;

/** False on a browser's main thread, where waiting threads spin. */
const maySleep = canSleep();

function canSleep(): boolean {
  if (typeof SharedArrayBuffer === "undefined") return false;
  try {
    // Another value than the awaited one: returns at once.
    Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 1);
    return true;
  } catch {
    return false;
  }
}

/**
 * Runs stages [from, to) together with the other `threads - 1` threads that call this at the same time. Threads take tasks in
 * turn; results cannot depend on who takes which, since tasks of a stage write to different places. Throws what a task threw on this
 * thread, or an Error where one threw on another, but never before all threads are done.
 */
export function runStages(executor: Executor, sync: Int32Array, threads: number, from: number, to: number): void {
  const { encoded, times } = executor;
  let failure: { error: unknown } | null = null;
  for (let stage = from; stage < to; stage++) {
    const start = times ? performance.now() : 0;
    const [first, end] = [encoded.stages[stage], encoded.stages[stage + 1]];
    if (threads === 1) for (let t = first; t < end; t++) executor.task(t);
    else {
      const failed = shareStage(executor, sync, threads, first, end);
      failure ??= failed;
    }
    if (times) times[stage] += performance.now() - start;
  }
  if (failure) throw failure.error;
  if (threads > 1 && Atomics.load(sync, FAILED) === 1) {
    throw new Error(`A compute thread failed: ${readFailure(sync)}`);
  }
}

/** Takes tasks from [first, end) until there are none, then waits for the other threads. Gives what a task threw here. */
function shareStage(
  executor: Executor,
  sync: Int32Array,
  threads: number,
  first: number,
  end: number,
): { error: unknown } | null {
  let failure: { error: unknown } | null = null;
  const phase = Atomics.load(sync, PHASE);
  try {
    // After a failure the rest is only walked through, as every thread must meet the others at each stage's end.
    while (Atomics.load(sync, FAILED) === 0) {
      const t = first + Atomics.add(sync, NEXT, 1);
      if (t >= end) break;
      executor.task(t);
    }
  } catch (error) {
    writeFailure(sync, error);
    failure = { error };
  }
  if (Atomics.add(sync, ARRIVED, 1) === threads - 1) {
    Atomics.store(sync, ARRIVED, 0);
    Atomics.store(sync, NEXT, 0);
    Atomics.add(sync, PHASE, 1);
    Atomics.notify(sync, PHASE);
  } else {
    let spins = SPINS;
    // A thread that takes the times stays awake: while it woke up, the next stage's time would count for this one.
    const sleeps = maySleep && !executor.times;
    while (Atomics.load(sync, PHASE) === phase) if (--spins <= 0 && sleeps) Atomics.wait(sync, PHASE, phase);
  }
  return failure;
}
