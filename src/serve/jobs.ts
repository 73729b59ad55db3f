import { type ChildProcess, fork } from "node:child_process";
import { constants, setPriority } from "node:os";
import type { JobMessage, JobOrder, JobState } from "./types.ts";

/** Work of the server beside its answers: one job at a time, in a process of its own with less of the processor than a training run. */
export interface Jobs {
  /** Of the last job; null before the first. */
  state(): JobState | null;
  /** `folder`: real path of the order's folder. False where another job is running. */
  start(order: JobOrder, folder: string): boolean;
  /** Ends the running job; what it has finished stays. */
  stop(): void;
}

export function createJobs(): Jobs {
  let child: ChildProcess | null = null;
  let state: JobState | null = null;

  const start = (order: JobOrder, folder: string): boolean => {
    if (child) return false;
    const now: JobState = { ...order, state: "running", done: 0, total: 0, message: "" };
    state = now;
    // No options of the running Node are for the child: a test runner's, say, would not be understood.
    const started = fork(jobPath(), [], { execArgv: [], stdio: ["ignore", "ignore", "inherit", "ipc"] });
    child = started;
    const end = (how: JobState["state"], message: string): void => {
      if (child === started) child = null;
      if (now.state === "running") Object.assign(now, { state: how, message });
    };
    started.on("message", (message: JobMessage) => {
      if (message.kind === "progress") Object.assign(now, { done: message.done, total: message.total });
      else Object.assign(now, { state: message.kind, message: message.message });
    });
    started.once("error", (error) => end("failed", `The work could not be started (${error.message}).`));
    started.once("close", (code, signal) => {
      const how = signal ? `was ended by ${signal}` : `ended with exit code ${code}`;
      end("failed", `The work ${how}, perhaps for want of memory; the terminal of lunet serve may say more.`);
    });
    started.send({ ...order, path: folder } satisfies JobOrder);
    try {
      if (started.pid) setPriority(started.pid, constants.priority.PRIORITY_BELOW_NORMAL);
    } catch {
      // It runs all the same.
    }
    return true;
  };

  return {
    state: () => state,
    start,
    stop: () => {
      if (!child || !state) return;
      if (state.state === "running") state.state = "stopped";
      child.kill("SIGTERM");
    },
  };
}

function jobPath(): URL {
  const extension = import.meta.url.endsWith(".ts") ? "ts" : "js"; // the checkout runs as it is, the package is compiled
  return new URL(`./job.${extension}`, import.meta.url);
}
