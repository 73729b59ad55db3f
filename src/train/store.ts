import type { ParamInfo } from "../engine/graph.ts";
import type { Model } from "../model/types.ts";
import type { Checkpoint } from "./checkpoint.ts";
import type { EpochRecord } from "./log.ts";
import type { RunFile } from "./run-folder.ts";

/** Where a run keeps what it makes: a folder, or the memory of a page. */
export interface RunStore {
  /** The records of the epochs before this one, with which the log goes on; later ones are dropped. */
  records(epoch: number): Promise<EpochRecord[]>;
  addRecord(record: EpochRecord): Promise<void>;
  writeRun(run: RunFile): Promise<void>;
  writeCheckpoint(checkpoint: Checkpoint, params: readonly ParamInfo[]): Promise<void>;
  /** The model that is best on validation, and that of the last step. */
  writeModel(which: "best" | "last", model: Model): Promise<void>;
  /** The learning curves as SVG. */
  writeChart(svg: string): Promise<void>;
}
