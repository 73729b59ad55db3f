import { modelToBytes } from "../model/file.ts";
import { writeFileAtomic } from "../util/files.ts";
import { appendLine, readLines, rewindLines } from "../util/json-lines.ts";
import { writeCheckpoint } from "./checkpoint.ts";
import type { EpochRecord } from "./log.ts";
import { type RunPaths, writeRunFile } from "./run-folder.ts";
import type { RunStore } from "./store.ts";

/** A run folder; each file is whole or not there. */
export function createFileStore(paths: RunPaths): RunStore {
  return {
    records: (epoch) => rewindLog(paths.log, epoch),
    addRecord: (record) => appendLine(paths.log, record),
    writeRun: (run) => writeRunFile(paths.run, run),
    writeCheckpoint: (checkpoint, params) => writeCheckpoint(paths.checkpoint, checkpoint, params),
    writeModel: (which, model) => writeFileAtomic(paths[which], modelToBytes(model)),
    writeChart: (svg) => writeFileAtomic(paths.chart, svg),
  };
}

export const readLog = (path: string): Promise<EpochRecord[]> => readLines(path);

/** Drops the records from an epoch on, so that a run resumed in it goes on as if it had never stopped. */
export const rewindLog = (path: string, epoch: number): Promise<EpochRecord[]> =>
  rewindLines(path, (record: EpochRecord) => record.epoch < epoch);
