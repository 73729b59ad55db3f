import { createExecutor, type Executor, type ProgramImage, runStages, SYNC_SLOTS } from "./executor.ts";
import type { WorkerMessage } from "./worker.ts";

/** The calling thread and its helpers. Programs are loaded into all of them and run by all of them together. */
export interface Team {
  readonly threads: number;
  /** True when memory can be shared; else everything runs on the calling thread. */
  readonly shared: boolean;
  load(image: ProgramImage): Promise<Executor>;
  run(image: ProgramImage, executor: Executor, from: number, to: number): void;
  unload(image: ProgramImage): void;
  close(): Promise<void>;
}

/** A worker of either platform, with only what the team uses. */
interface Helper {
  post(message: WorkerMessage): void;
  /** Resolves at the next reply. */
  reply(): Promise<void>;
  end(): Promise<void>;
}

function startHelper(): Helper {
  const file = import.meta.url.endsWith(".ts") ? "./worker.ts" : "./worker.js";
  const url = new URL(file, import.meta.url);
  const node = globalThis.process?.getBuiltinModule?.("node:worker_threads");
  if (node) {
    const worker = new node.Worker(url);
    // An idle helper must not keep the program alive.
    worker.unref();
    return {
      post: (message) => worker.postMessage(message),
      reply: () =>
        new Promise((resolve, reject) => {
          worker.ref();
          worker.once("error", reject);
          worker.once("message", () => {
            worker.off("error", reject);
            worker.unref();
            resolve();
          });
        }),
      end: async () => {
        await worker.terminate();
      },
    };
  }
  const worker = new Worker(url, { type: "module" });
  return {
    post: (message) => worker.postMessage(message),
    reply: () =>
      new Promise((resolve, reject) => {
        worker.onerror = (event) => reject(new Error(event.message));
        worker.onmessage = () => resolve();
      }),
    end: async () => worker.terminate(),
  };
}

export function createTeam(threads: number): Team {
  const shared = typeof SharedArrayBuffer !== "undefined";
  const count = shared ? Math.max(1, Math.floor(threads)) : 1;
  const helpers = Array.from({ length: count - 1 }, startHelper);
  const sync = new Int32Array(shared ? new SharedArrayBuffer(SYNC_SLOTS * 4) : new ArrayBuffer(SYNC_SLOTS * 4));
  return {
    threads: count,
    shared,
    async load(image) {
      const loaded = helpers.map((helper) => {
        const reply = helper.reply();
        helper.post({ type: "load", image });
        return reply;
      });
      await Promise.all(loaded);
      return createExecutor(image);
    },
    run(image, executor, from, to) {
      for (const helper of helpers) helper.post({ type: "run", id: image.id, sync, threads: count, from, to });
      runStages(executor, sync, count, from, to);
    },
    unload(image) {
      for (const helper of helpers) helper.post({ type: "unload", id: image.id });
    },
    async close() {
      await Promise.all(helpers.map((helper) => helper.end()));
    },
  };
}
