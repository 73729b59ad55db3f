import { existsSync } from "node:fs";
import { readdir, rm } from "node:fs/promises";
import { join } from "node:path";
import type { PredictInput } from "../predict/files.ts";
import { waitForLock } from "../study/lock.ts";
import type { Progress } from "../train/progress.ts";
import { fail } from "../util/errors.ts";
import { readJson, writeFileAtomic } from "../util/files.ts";
import { readLines } from "../util/json-lines.ts";
import type { BatchOrder } from "./order.ts";
import { type PoolResult, runPool } from "./pool.ts";
import { type CaseRecord, openRecord, readRecords, recordName } from "./record.ts";
import { standingOf } from "./standing.ts";

/** slurm/batch.json: what a batch's tasks do, each a share of it. */
export interface SharedBatch {
  version: 1;
  order: BatchOrder;
  /** All cases that were asked for. */
  inputs: readonly PredictInput[];
  /** Those to predict; share k of n takes every n-th, from the k-th on. */
  open: readonly PredictInput[];
  shares: number;
}

const slurmFolder = (out: string): string => join(out, "slurm");
const shareName = (share: number): string => `share-${share}.jsonl`;

export async function writeShared(out: string, batch: SharedBatch): Promise<void> {
  await writeFileAtomic(join(slurmFolder(out), "batch.json"), JSON.stringify(batch));
}

/** UserError where there is none. */
export async function readShared(out: string): Promise<SharedBatch> {
  const path = join(slurmFolder(out), "batch.json");
  const value = (await readJson(path)) as Partial<SharedBatch> | null;
  if (value?.version !== 1 || !Array.isArray(value.open)) {
    fail(`Expected ${path} to describe a batch, version 1, but it does not; start the prediction again.`);
  }
  return value as SharedBatch;
}

/**
 * Predicts the cases of one share (from 1) that its own record does not say are done: so a task that is begun again goes on. Its record
 * is its own, since many machines cannot add to one file. Waits where an earlier process still has the share.
 */
export async function runShare(
  out: string,
  share: number,
  { progress, signal }: { progress: Progress; signal?: AbortSignal },
): Promise<PoolResult> {
  const { order, open, shares } = await readShared(out);
  const path = join(slurmFolder(out), `share-${share}.lock`);
  const lock = await waitForLock(path, { signal });
  if (!lock) return { ended: [], faults: [], stopped: true };
  try {
    const record = join(slurmFolder(out), shareName(share));
    const inputs = open.filter((_, index) => index % shares === share - 1);
    const standing = await standingOf(inputs, await readRecords(record), order);
    if (standing.done.length > 0) progress.say(`going on: ${standing.done.length} of ${inputs.length} are done`);
    const writer = await openRecord(record);
    try {
      const [total, before] = [inputs.length, standing.done.length];
      return await runPool({ order, cases: standing.open, total, before, jobs: 1, record: writer, progress, signal });
    } finally {
      await writer.close();
    }
  } finally {
    lock.release();
  }
}

/** Moves the records of shares to that of the folder. Nothing is lost where this is cut off: it then holds some lines twice. */
export async function collectShares(out: string): Promise<void> {
  const folder = slurmFolder(out);
  if (!existsSync(folder)) return;
  for (const name of await readdir(folder)) {
    if (!/^share-\d+\.jsonl$/.test(name)) continue;
    const path = join(folder, name);
    const record = await openRecord(join(out, recordName));
    try {
      for (const line of await readLines<CaseRecord>(path)) await record.add(line);
    } finally {
      await record.close();
    }
    // The report and a call after it may both be at it.
    await rm(path, { force: true });
  }
}
