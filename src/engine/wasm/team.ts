import { fail } from "../../util/errors.ts";
import { createExecutor, type Executor, FAILED, type ProgramImage, runStages, SYNC_SLOTS } from "./executor.ts";
import type { WorkerMessage, WorkerReply } from "./worker.ts";

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
  /** Resolves when the program is ready; rejects where it cannot be, or where the worker has ended. */
  load(image: ProgramImage, thread: number): Promise<void>;
  /** Why the worker has ended, if it has. */
  lost(): Error | undefined;
  end(): Promise<void>;
}

/** Both platforms' workers post alike and differ in how one listens to them. */
interface Channel {
  post(message: WorkerMessage): void;
  listen(onReply: (reply: WorkerReply) => void, onError: (error: Error) => void): void;
  /** Whether the worker keeps the process alive. */
  hold(on: boolean): void;
  end(): Promise<unknown>;
}

const nodeThreads = () => globalThis.process?.getBuiltinModule?.("node:worker_threads");

function openChannel(): Channel {
  const node = nodeThreads();
  if (node) {
    const file = import.meta.url.endsWith(".ts") ? "./worker.ts" : "./worker.js";
    const worker = new node.Worker(new URL(file, import.meta.url));
    return {
      post: (message) => worker.postMessage(message),
      listen: (onReply, onError) => worker.on("message", onReply).on("error", onError),
      hold: (on) => (on ? worker.ref() : worker.unref()),
      end: () => worker.terminate(),
    };
  }
  // Written out, for only so do bundlers see the file. The name is that of the published one; from the sources they take worker.ts for it.
  const worker = new Worker(new URL("./worker.js", import.meta.url), { type: "module" });
  return {
    post: (message) => worker.postMessage(message),
    listen(onReply, onError) {
      worker.onmessage = (event: MessageEvent<WorkerReply>) => onReply(event.data);
      worker.onerror = (event) => onError(new Error(event.message));
    },
    hold: () => {},
    end: async () => worker.terminate(),
  };
}

function startHelper(): Helper {
  const channel = openChannel();
  const waiting = new Map<number, { resolve(): void; reject(error: Error): void }>();
  let lost: Error | undefined;
  const settle = (id: number, error?: Error): void => {
    const load = waiting.get(id);
    waiting.delete(id);
    // An idle helper must not keep the program alive.
    if (waiting.size === 0) channel.hold(false);
    if (error) load?.reject(error);
    else load?.resolve();
  };
  const lose = (error: Error): void => {
    lost = error;
    for (const id of [...waiting.keys()]) settle(id, error);
  };
  channel.listen(({ id, error }) => settle(id, error === undefined ? undefined : new Error(error)), lose);
  channel.hold(false);
  return {
    post: channel.post,
    load: (image, thread) =>
      new Promise((resolve, reject) => {
        if (lost) return reject(lost);
        waiting.set(image.id, { resolve, reject });
        channel.hold(true);
        channel.post({ type: "load", image, thread });
      }),
    lost: () => lost,
    async end() {
      lose(new Error("The backend was closed."));
      await channel.end();
    },
  };
}

export function createTeam(threads: number): Team {
  const shared = typeof SharedArrayBuffer !== "undefined";
  const several = shared && (nodeThreads() !== undefined || typeof Worker !== "undefined");
  const count = several ? threads : 1;
  const helpers = Array.from({ length: count - 1 }, startHelper);
  const sync = new Int32Array(shared ? new SharedArrayBuffer(SYNC_SLOTS * 4) : new ArrayBuffer(SYNC_SLOTS * 4));
  let open = true;
  const mustBeOpen = (): void => {
    if (!open) fail("Expected an open backend, but this one was closed: create another.");
  };
  return {
    threads: count,
    shared,
    async load(image) {
      mustBeOpen();
      try {
        await Promise.all(helpers.map((helper, i) => helper.load(image, i + 1)));
        return createExecutor(image, 0);
      } catch (error) {
        for (const helper of helpers) helper.post({ type: "unload", id: image.id });
        throw error;
      }
    },
    run(image, executor, from, to) {
      mustBeOpen();
      // Without this the others would wait for it for ever.
      const lost = helpers.find((helper) => helper.lost())?.lost();
      if (lost) throw new Error("A compute thread has ended; the backend cannot go on.", { cause: lost });
      Atomics.store(sync, FAILED, 0);
      for (const helper of helpers) helper.post({ type: "run", id: image.id, sync, threads: count, from, to });
      runStages(executor, sync, count, from, to);
    },
    unload(image) {
      for (const helper of helpers) helper.post({ type: "unload", id: image.id });
    },
    async close() {
      open = false;
      await Promise.all(helpers.map((helper) => helper.end()));
    },
  };
}
