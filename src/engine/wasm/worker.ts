import { createExecutor, type Executor, type ProgramImage, runStages } from "./executor.ts";

/** What the team sends to a compute thread. */
export type WorkerMessage =
  | { type: "load"; image: ProgramImage }
  | { type: "unload"; id: number }
  | { type: "run"; id: number; sync: Int32Array; threads: number; from: number; to: number };

const executors = new Map<number, Executor>();

function handle(message: WorkerMessage, reply: (value: unknown) => void): void {
  if (message.type === "load") {
    executors.set(message.image.id, createExecutor(message.image));
    reply({ type: "loaded", id: message.image.id });
  } else if (message.type === "unload") executors.delete(message.id);
  else {
    const executor = executors.get(message.id);
    if (executor) runStages(executor, message.sync, message.threads, message.from, message.to);
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
