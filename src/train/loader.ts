import { Worker } from "node:worker_threads";
import type { PreparedCase } from "../dataset/types.ts";
import type { Batch } from "../engine/types.ts";
import type { Loader, LoaderData } from "./direct-loader.ts";

/** Batches that are made ahead of the step that is running. */
const ahead = 2;

/** The same case over shared memory, so that a worker reads the voxels without a copy of its own. */
export function shareCase(prepared: PreparedCase): PreparedCase {
  const image = new Float32Array(new SharedArrayBuffer(prepared.image.byteLength));
  image.set(prepared.image);
  if (!prepared.label) return { ...prepared, image };
  const label = new Uint8Array(new SharedArrayBuffer(prepared.label.byteLength));
  label.set(prepared.label);
  return { ...prepared, image, label };
}

/**
 * Batches made ahead in a worker thread. A batch depends on its step alone, so they are those of {@link createDirectLoader}.
 * Cases should come from {@link shareCase}. Ask for steps in rising order by one; a jump throws the ones made ahead away.
 */
export function createWorkerLoader(data: LoaderData): Loader {
  const extension = import.meta.url.endsWith(".ts") ? "ts" : "js"; // the checkout runs as it is, the package is compiled
  const worker = new Worker(new URL(`./loader-worker.${extension}`, import.meta.url), { workerData: data });
  const made = new Map<number, Batch>();
  const asked = new Set<number>();
  let waiting: { step: number; resolve: (batch: Batch) => void; reject: (error: Error) => void } | null = null;
  let broken: Error | null = null;
  const take = (step: number): Batch | undefined => {
    const batch = made.get(step);
    made.delete(step);
    return batch;
  };
  worker.on("message", ({ step, batch }: { step: number; batch: Batch }) => {
    if (!asked.delete(step)) return;
    made.set(step, batch);
    if (waiting?.step === step) {
      waiting.resolve(take(step) as Batch);
      waiting = null;
    }
  });
  worker.on("error", (error) => {
    broken = error as Error;
    waiting?.reject(broken);
  });
  return {
    next: (step) => {
      for (const old of made.keys()) if (old < step || old > step + ahead) made.delete(old);
      for (const old of asked) if (old < step || old > step + ahead) asked.delete(old);
      for (let s = step; s <= step + ahead; s++) {
        if (made.has(s) || asked.has(s)) continue;
        asked.add(s);
        worker.postMessage(s);
      }
      if (broken) return Promise.reject(broken);
      const batch = take(step);
      if (batch) return Promise.resolve(batch);
      return new Promise((resolve, reject) => {
        waiting = { step, resolve, reject };
      });
    },
    close: async () => {
      await worker.terminate();
    },
  };
}
