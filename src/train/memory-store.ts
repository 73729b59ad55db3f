import type { Model } from "../model/types.ts";
import type { Checkpoint } from "./checkpoint.ts";
import type { EpochRecord } from "./log.ts";
import type { RunFile } from "./run-folder.ts";
import type { RunStore } from "./store.ts";

/** What a run in memory has made so far. */
export interface MemoryStore extends RunStore {
  readonly run: RunFile | null;
  readonly log: readonly EpochRecord[];
  readonly best: Model | null;
  readonly last: Model | null;
  /** The weights at the end of an epoch, and where the run was stopped; their moving average where the run keeps one, as in its models. */
  readonly weights: Pick<Checkpoint, "step" | "parameters"> | null;
}

/** Called as things are made; what is left out is only kept. */
export interface StoreWatch {
  onRun?: (run: RunFile) => void;
  onRecord?: (record: EpochRecord) => void;
  /** Waited for, so that a page can show what the weights find before the next step. */
  onModel?: (which: "best" | "last", model: Model) => void | Promise<void>;
}

/** Keeps a run in memory, to be shown and saved; it cannot be resumed. */
export function createMemoryStore(watch: StoreWatch = {}): MemoryStore {
  const kept = {
    run: null as RunFile | null,
    log: [] as EpochRecord[],
    best: null as Model | null,
    last: null as Model | null,
    weights: null as MemoryStore["weights"],
  };
  return {
    get run() {
      return kept.run;
    },
    get log() {
      return kept.log;
    },
    get best() {
      return kept.best;
    },
    get last() {
      return kept.last;
    },
    get weights() {
      return kept.weights;
    },
    async records(epoch) {
      kept.log = kept.log.filter((record) => record.epoch < epoch);
      return [...kept.log];
    },
    async addRecord(record) {
      kept.log.push(record);
      watch.onRecord?.(record);
    },
    async writeRun(run) {
      kept.run = run;
      watch.onRun?.(run);
    },
    async writeCheckpoint({ step, parameters, state }) {
      const averages = [...parameters].map(([name, data]) => [name, state.get(`ema.${name}`) ?? data] as const);
      kept.weights = { step, parameters: new Map(averages) };
    },
    async writeModel(which, model) {
      kept[which] = model;
      await watch.onModel?.(which, model);
    },
    async writeChart() {},
  };
}
