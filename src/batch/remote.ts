import { type ChildProcess, fork } from "node:child_process";
import { UserError } from "../util/errors.ts";
import type { Worker } from "./case.ts";
import type { BatchOrder } from "./order.ts";
import type { FromProcess, ToProcess } from "./process.ts";

/** The process of a worker ended without having been asked to. */
export class WorkerLost extends Error {
  /** "SIGKILL", or "exit code 134". */
  readonly how: string;
  constructor(how: string) {
    super(`The process of a worker ended (${how}).`);
    this.how = how;
  }
}

/**
 * Starts a worker in a process of its own. UserError for what startWorker refuses; WorkerLost, then or later, where the process
 * ends by itself. When the signal comes the case at work ends as stopped, unless it is being written.
 */
export async function startRemoteWorker(order: BatchOrder, signal?: AbortSignal): Promise<Worker> {
  // No options of the running Node are for the child: a test runner's, say, would not be understood.
  const child = fork(processPath(), [], { execArgv: [], serialization: "advanced", stdio: "inherit" });
  const send = (message: ToProcess): void => {
    // Where it has ended, that is told by its end.
    if (child.connected) child.send(message, () => {});
  };
  const stop = (): void => send({ kind: "stop" });
  signal?.addEventListener("abort", stop);
  const ended = endOf(child);
  const answer = (live?: (text: string) => void): Promise<FromProcess> => {
    let listen: (message: FromProcess) => void = () => {};
    const said = new Promise<FromProcess>((resolve) => {
      listen = (message) => {
        if (message.kind === "live") live?.(message.text);
        else resolve(message);
      };
      child.on("message", listen);
    });
    const lost = ended.then((how): never => {
      throw new WorkerLost(how);
    });
    return Promise.race([said, lost]).finally(() => child.off("message", listen));
  };
  const close = async (): Promise<void> => {
    signal?.removeEventListener("abort", stop);
    if (child.connected) child.disconnect();
    await ended;
  };
  send({ kind: "order", order });
  try {
    const first = await answer();
    if (first.kind === "refused") throw new UserError(first.message);
  } catch (error) {
    await close();
    throw error;
  }
  return {
    async predict(input, live) {
      send({ kind: "case", input });
      const message = await answer(live);
      if (message.kind !== "outcome") throw new Error(`Expected the outcome of a case, but got ${message.kind}.`);
      return message.outcome;
    },
    close,
  };
}

function endOf(child: ChildProcess): Promise<string> {
  return new Promise((resolve) => {
    child.once("error", (error) => resolve(error.message));
    child.once("exit", (code, killed) => resolve(killed ?? `exit code ${code}`));
  });
}

function processPath(): URL {
  const extension = import.meta.url.endsWith(".ts") ? "ts" : "js"; // the checkout runs as it is, the package is compiled
  return new URL(`./process.${extension}`, import.meta.url);
}
