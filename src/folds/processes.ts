import { type ChildProcess, fork } from "node:child_process";
import type { Progress } from "../train/progress.ts";
import type { RunFile } from "../train/run-folder.ts";
import { UserError } from "../util/errors.ts";
import type { FoldMessage, FoldOrder } from "./process.ts";

export interface ProcessesOptions {
  /** Most processes at once. */
  jobs: number;
  progress: Progress;
  signal?: AbortSignal;
  /** Called when the first fold takes its first step. */
  onBegin?: () => void;
  /** Called when a fold's process has ended with its run, whole or interrupted. */
  onEnd?: (fold: number, run: RunFile) => Promise<void>;
}

/** Live lines are gathered from so many characters of each process. */
const liveGap = "   |   ";

/**
 * Trains folds in processes of their own, so many at a time, in the order given. The first one that fails stops the others, with
 * their checkpoints, and its error is thrown. Ends when all are done, or when the signal came and all processes have ended.
 */
export async function runFoldProcesses(
  orders: readonly { fold: number; order: FoldOrder }[],
  options: ProcessesOptions,
): Promise<void> {
  const { jobs, progress, signal, onBegin, onEnd } = options;
  const queue = [...orders];
  const children = new Set<ChildProcess>();
  const live = new Map<number, string>();
  let failure: unknown = null;
  const stop = (): void => {
    for (const child of children) if (child.connected) child.send("stop");
  };
  const one = async (fold: number, order: FoldOrder): Promise<void> => {
    // No options of the running Node are for the child: a test runner's, say, would not be understood.
    const child = fork(processPath(), [], { execArgv: [], serialization: "advanced", stdio: "inherit" });
    children.add(child);
    try {
      const run = await outcome(fold, order, child, (message) => {
        if (message.kind === "begin") onBegin?.();
        if (message.kind === "say") progress.say(`fold ${fold}  ${message.text}`);
        if (message.kind === "live") {
          live.set(fold, `fold ${fold}  ${message.text}`);
          progress.live([...live.values()].join(liveGap));
        }
      });
      if (run) await onEnd?.(fold, run);
    } finally {
      live.delete(fold);
      children.delete(child);
    }
  };
  const worker = async (): Promise<void> => {
    for (let next = queue.shift(); next && !signal?.aborted && failure === null; next = queue.shift()) {
      try {
        await one(next.fold, next.order);
      } catch (error) {
        failure ??= error;
        stop();
      }
    }
  };
  signal?.addEventListener("abort", stop);
  try {
    await Promise.all(Array.from({ length: jobs }, worker));
  } finally {
    signal?.removeEventListener("abort", stop);
    progress.close();
  }
  if (failure !== null) throw failure;
}

/** The run that the process of a fold leaves; null where it was stopped before there was one. */
function outcome(
  fold: number,
  order: FoldOrder,
  child: ChildProcess,
  onMessage: (message: FoldMessage) => void,
): Promise<RunFile | null> {
  return new Promise((resolve, reject) => {
    let last: FoldMessage | null = null;
    child.on("message", (message: FoldMessage) => {
      if (message.kind === "done" || message.kind === "failed") last = message;
      else onMessage(message);
    });
    child.once("error", reject);
    child.once("close", (code, killed) => {
      if (last?.kind === "done") resolve(last.run);
      else if (last?.kind === "failed") reject(new UserError(`fold ${fold}: ${last.message}`));
      else if (killed) {
        const words = `The process of fold ${fold} was ended by ${killed}, perhaps for want of memory; what is done is kept`;
        reject(new UserError(`${words}: go on with --resume (fewer --jobs need less).`));
      } else if (code === 0) resolve(null);
      else reject(new Error(`The process of fold ${fold} ended with exit code ${code}; its error stands above.`));
    });
    child.send(order);
  });
}

function processPath(): URL {
  const extension = import.meta.url.endsWith(".ts") ? "ts" : "js"; // the checkout runs as it is, the package is compiled
  return new URL(`./process.${extension}`, import.meta.url);
}
