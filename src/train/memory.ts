import { freemem } from "node:os";
import { fail } from "../util/errors.ts";

export interface MemoryNeed {
  /** Prepared cases kept in memory. */
  casesBytes: number;
  /** Trainer and waiting batches for one window. */
  windowBytes: number;
  batch: number;
  /** The program itself, weights and prediction. */
  fixedBytes: number;
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

/** Throws UserError when a run does not fit `available` bytes, with the batch that would. */
export function checkMemory(need: MemoryNeed, available: number): void {
  const { casesBytes, windowBytes, batch, fixedBytes } = need;
  const total = casesBytes + fixedBytes + batch * windowBytes;
  if (total <= available) return;
  const fits = Math.floor((available - casesBytes - fixedBytes) / windowBytes);
  const advice =
    fits >= 1
      ? `--batch ${fits} would fit, or make the windows smaller with --patch`
      : casesBytes + fixedBytes > available
        ? "the cases alone do not fit: train on fewer cases, or on a machine with more memory"
        : `make the windows smaller with --patch; one window takes ${sizeText(windowBytes)}`;
  fail(
    `The run needs about ${sizeText(total)} of memory (${sizeText(casesBytes)} for the cases, ` +
      `${sizeText(batch * windowBytes)} for a batch of ${batch}), but only ${sizeText(available)} are free; ${advice}.`,
  );
}
