import { type FileHandle, open } from "node:fs/promises";
import * as v from "valibot";
import type { Uncertainty } from "../evaluate/uncertainty.ts";
import type { Segmentation } from "../predict/segment.ts";
import { explainFileError } from "../util/files.ts";
import { readLines } from "../util/json-lines.ts";
import type { CaseSettings } from "./order.ts";
import type { ScanState } from "./scan-state.ts";

/** The record of a folder of predictions, a line an event; the last line of a case counts. */
export const recordName = "predictions.jsonl";

interface Event {
  id: string;
  /** ISO 8601. */
  time: string;
}

/** Written before a case is read: where it is the last line, the process was killed at this case. */
export interface BegunRecord extends Event {
  state: "begun";
}

/** Written, and on the disk, after the label map is. */
export interface DoneRecord extends Event {
  state: "done";
  scans: ScanState[];
  settings: CaseSettings;
  /** Name in the folder of the record, and its bytes (of a folder of slices: 0). */
  file: string;
  bytes: number;
  /** Voxels that post-processing took away. */
  removed: number;
  milliseconds: Segmentation["milliseconds"];
  uncertainty?: Uncertainty;
}

export interface FailedRecord extends Event {
  state: "failed";
  error: string;
}

export type CaseRecord = BegunRecord | DoneRecord | FailedRecord;

const id = v.string();
const number = v.number();
const scan = v.looseObject({ path: v.string(), files: number, bytes: number, modified: number });
const recordSchema = v.variant("state", [
  v.looseObject({ id, state: v.literal("begun") }),
  v.looseObject({ id, state: v.literal("failed"), error: v.string() }),
  v.looseObject({
    ...{ id, state: v.literal("done"), file: v.string(), bytes: number, removed: number, scans: v.array(scan) },
    ...{ settings: v.looseObject({}), milliseconds: v.looseObject({ total: number }) },
  }),
]);

/**
 * The last record of each case; none where there is no file. A line that a kill cut off, or that is none of ours, does not count: its case
 * is predicted again.
 */
export async function readRecords(path: string): Promise<Map<string, CaseRecord>> {
  const records = (await readLines<CaseRecord>(path)).filter((record) => v.is(recordSchema, record));
  return new Map(records.map((record) => [record.id, record as CaseRecord]));
}

export interface RecordWriter {
  add(record: CaseRecord): Promise<void>;
  close(): Promise<void>;
}

/** Opens a record to add to it. What says that work has ended is on the disk when `add` has returned. */
export async function openRecord(path: string): Promise<RecordWriter> {
  const explained = (error: unknown): never => {
    throw explainFileError(error, path) ?? error;
  };
  const file = await open(path, "a+").catch(explained);
  // Lines go one after the other, though many cases may be at work.
  let last: Promise<unknown> = endLine(file);
  return {
    add(record) {
      const written = last.then(async () => {
        await file.appendFile(`${JSON.stringify(record)}\n`);
        if (record.state !== "begun") await file.datasync();
      });
      last = written.catch(() => {});
      return written.catch(explained);
    },
    async close() {
      await last;
      await file.close();
    },
  };
}

/** A line that a kill cut off is ended, or the next one would be lost with it. */
async function endLine(file: FileHandle): Promise<void> {
  const { size } = await file.stat();
  if (size === 0) return;
  const { buffer } = await file.read(new Uint8Array(1), 0, 1, size - 1);
  if (buffer[0] !== 10) await file.appendFile("\n");
}
