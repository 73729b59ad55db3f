import { reorient } from "../../src/volume/orientation.ts";
import { spacingOf } from "../../src/volume/volume.ts";
import { askSure } from "../shared/ask.ts";
import { showError } from "../shared/messages.ts";
import { isPicture } from "../shared/scan.ts";
import { upright } from "../shared/upright.ts";
import type { FromSegmenter, SegmentJob } from "../worker/segment-worker.ts";
import { createMask } from "./mask.ts";
import { hasUnsaved, type Store } from "./state.ts";

/** Runs segmentations, one at a time, each in a worker of its own: ending it frees all its memory. */
export interface Runner {
  /** Segments what is open; a run that is under way ends. */
  segment(): void;
  /** Ends the run at once, and says so. */
  cancel(): void;
  /** Ends the run, if there is one. */
  stop(): void;
}

export function createRunner(store: Store): Runner {
  let worker: Worker | null = null;
  const stop = (): void => {
    worker?.terminate();
    worker = null;
  };
  const fault = (error: Error): void => {
    stop();
    store.set({ run: { status: "idle" } });
    showError(error);
  };
  const cancel = (): void => {
    stop();
    store.set({ run: { status: "cancelled" } });
  };
  return {
    stop,
    cancel,
    segment() {
      const { scan, models, engine } = store.get();
      if (!scan || models.length === 0) return;
      stop();
      const own = new Worker(new URL("../worker/segment-worker.ts", import.meta.url), { type: "module" });
      worker = own;
      const { labels: names, dataset: source } = models[0].model.plan;
      const { version: begun } = store.get();
      store.set({ run: { status: "running", done: 0, total: 0, start: performance.now() }, words: [] });
      own.onmessage = async ({ data }: MessageEvent<FromSegmenter>) => {
        if (worker !== own) return;
        const { run, words } = store.get();
        if (data.type === "word") store.set({ words: [...words, data.sentence] });
        else if (data.type === "progress" && run.status === "running") {
          store.set({ run: { ...run, done: data.done, total: data.total } });
        } else if (data.type === "failed") fault(Object.assign(new Error(data.message), { name: data.name }));
        else if (data.type === "done") {
          own.terminate();
          const drawn = hasUnsaved(store.get()) && store.get().version !== begun;
          if (drawn && !(await askSure("Corrections were drawn while this ran.", "Replace them by the new mask"))) {
            if (worker === own) cancel();
            return;
          }
          // Another scan may have come meanwhile.
          if (worker !== own) return;
          worker = null;
          const { labels, ...result } = data.result;
          const canonical = reorient(upright(labels, isPicture(scan.scan)));
          store.set({
            run: { status: "done", result },
            mask: createMask(canonical, spacingOf(canonical)),
            labels: names,
            source,
            version: store.get().version + 1,
            surfaces: new Map(),
            shown: "mask",
            maskOn: true,
          });
        }
      };
      own.onerror = (event) => {
        if (worker === own) fault(new Error(event.message || "the computing thread ended, perhaps for want of memory"));
      };
      const files = models.map(({ name, bytes }) => ({ name, bytes }));
      const { name, volumes: found } = scan.scan;
      // A picture in grey among colour ones has three equal channels.
      const isGrey = isPicture(scan.scan) && found.length === 1 && models[0].model.plan.channels.length === 3;
      const volumes = isGrey ? [found[0], found[0], found[0]] : found;
      own.postMessage({ volumes, name, models: files, engine } satisfies SegmentJob);
    },
  };
}
