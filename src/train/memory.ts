import { freemem } from "node:os";
import { fail } from "../util/errors.ts";
import type { Vec3 } from "../volume/volume.ts";

/** What a training step's memory depends on. */
export interface StepSize {
  batch: number;
  window: Vec3;
  /** As TrainSpec.recompute. */
  lowMemory: boolean;
}

export interface MemoryNeed {
  /** Prepared cases kept in memory. */
  casesBytes: number;
  /** The process itself, and the program that predicts the validation cases. */
  fixedBytes: number;
  step: StepSize;
  /** Whether the caller knows --low-memory. */
  canSave: boolean;
  /** Bytes of the program that makes such steps. */
  programBytes(step: StepSize): number;
  /** Bytes of the batches that wait for their step. */
  waitingBytes(step: StepSize): number;
  /** Windows are multiples of it. */
  divisor: Vec3;
}

/** Bytes that there are for a process, and those that one program of the engine can address. */
export interface MemoryRoom {
  available: number;
  engine: number;
}

/** Bytes that this process can still take: what the machine has left, or its container allows. */
export function availableBytes(): number {
  const limit = process.constrainedMemory();
  const left = limit > 0 ? limit - process.memoryUsage().rss : Number.POSITIVE_INFINITY;
  // On macOS freemem leaves out the pages that hold files, which are most; elsewhere availableMemory takes those of a container
  // for used.
  const free = process.platform === "darwin" ? process.availableMemory() : freemem();
  return Math.max(0, Math.min(free, left));
}

export function sizeText(bytes: number): string {
  return bytes >= 2 ** 30 ? `${(bytes / 2 ** 30).toFixed(1)} GiB` : `${Math.ceil(bytes / 2 ** 20)} MiB`;
}

/** Bytes that a run takes with steps of this size, or of the one it asks for. */
export function totalBytes(need: MemoryNeed, step = need.step): number {
  return need.casesBytes + need.fixedBytes + need.programBytes(step) + need.waitingBytes(step);
}

/** Throws UserError when a run does not fit, with what would. */
export function checkMemory(need: MemoryNeed, room: MemoryRoom): void {
  const { casesBytes, fixedBytes, step } = need;
  const fits = (size: StepSize): boolean =>
    need.programBytes(size) <= room.engine && totalBytes(need, size) <= room.available;
  if (fits(step)) return;
  const words = `${step.batch} ${step.batch === 1 ? "window" : "windows"} of ${step.window.join("x")}`;
  const advice = (): string => {
    if (casesBytes + fixedBytes > room.available) {
      return "the cases alone do not fit: train on fewer cases, or on a machine with more memory";
    }
    const found = alternatives(need, fits);
    return found.length > 0 ? `${either(found)} would fit` : "no window is small enough: take a smaller net (--net)";
  };
  const program = need.programBytes(step);
  if (program > room.engine) {
    fail(
      `A training step on ${words} needs ${sizeText(program)} in the engine, which can address ` +
        `${sizeText(room.engine)}; ${advice()}.`,
    );
  }
  fail(
    `The run needs about ${sizeText(totalBytes(need))} of memory (${sizeText(casesBytes)} for the cases, ` +
      `${sizeText(program + need.waitingBytes(step))} for steps on ${words}), but only ${sizeText(room.available)} are free; ${advice()}.`,
  );
}

/** Options that make a run fit, each by itself. */
function alternatives({ step, canSave, divisor }: MemoryNeed, fits: (size: StepSize) => boolean): string[] {
  const saving = { ...step, lowMemory: step.lowMemory || canSave };
  const found: string[] = [];
  if (!step.lowMemory && fits(saving)) found.push("--low-memory");
  const largestBatch = (size: StepSize): number => lastThat(step.batch - 1, (i) => fits({ ...size, batch: i + 1 })) + 1;
  const [batch, savingBatch] = [largestBatch(step), largestBatch(saving)];
  if (batch > 0) found.push(`--batch ${batch}`);
  if (savingBatch > batch && savingBatch < step.batch - 1) found.push(`--batch ${savingBatch} --low-memory`);
  const windows = smallerWindows(step.window, divisor);
  // From the smallest on.
  const window = windows[lastThat(windows.length, (i) => fits({ ...step, window: windows[i] }))];
  if (window) found.push(`--patch ${window.join("x")}`);
  return found;
}

/** The largest i below `count` that passes, where all below it do too; -1 when none does. */
function lastThat(count: number, passes: (i: number) => boolean): number {
  let [low, high] = [-1, count];
  while (high - low > 1) {
    const middle = (low + high) >> 1;
    if (passes(middle)) low = middle;
    else high = middle;
  }
  return low;
}

/** Windows below this one, smallest first. Each side loses one divisor after the other, so that the shape is about kept. */
function smallerWindows(window: Vec3, divisor: Vec3): Vec3[] {
  const windows: Vec3[] = [];
  for (let at = window; ; ) {
    const shares = at.map((n, axis) => (n > divisor[axis] ? n / window[axis] : 0));
    const largest = shares.indexOf(Math.max(...shares));
    if (shares[largest] === 0) return windows.reverse();
    at = at.map((n, axis) => (axis === largest ? n - divisor[axis] : n)) as Vec3;
    windows.push(at);
  }
}

const either = (words: string[]): string =>
  words.length === 1 ? words[0] : `${words.slice(0, -1).join(", ")} or ${words[words.length - 1]}`;
