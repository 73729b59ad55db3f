import { freeClosed, noteClosed } from "./collect.ts";
import { createExecutor, type Executor, type ProgramImage, runStages } from "./executor.ts";

/** What the team sends to a compute thread. */
export type WorkerMessage =
  | { type: "load"; image: ProgramImage; thread: number }
  | { type: "unload"; id: number }
  | { type: "run"; id: number; sync: Int32Array; threads: number; from: number; to: number };

const executors = new Map<number, Executor>();

/** The answer to a load: the program's number, with what went wrong if something did. */
export interface WorkerReply {
  id: number;
  error?: string;
}

function handle(message: WorkerMessage, reply: (value: WorkerReply) => void): void {
  if (message.type === "unload") {
    noteClosed(executors.get(message.id)?.context.f32.byteLength ?? 0);
    executors.delete(message.id);
    return;
  }
  if (message.type === "load") {
    const { id } = message.image;
    freeClosed();
    try {
      executors.set(id, createExecutor(message.image, message.thread));
      reply({ id });
    } catch (error) {
      reply({ id, error: String(error) });
    }
    return;
  }
  try {
    runStages(executors.get(message.id)!, message.sync, message.threads, message.from, message.to);
  } catch {
    // The calling thread throws it too, and there it can be caught.
  }
}

// Node's worker_threads and the browser's Worker differ only in how messages arrive.
const node = globalThis.process?.getBuiltinModule?.("node:worker_threads");
if (node?.parentPort) {
  const port = node.parentPort;
  port.on("message", (message: WorkerMessage) => handle(message, (value) => port.postMessage(value)));
} else {
  globalThis.onmessage = (event: MessageEvent<WorkerMessage>) => handle(event.data, (value) => postMessage(value));
}
