import { type ChildProcess, spawn } from "node:child_process";
import { existsSync } from "node:fs";
import { type FileHandle, open } from "node:fs/promises";
import { setTimeout as sleep } from "node:timers/promises";
import { fileURLToPath } from "node:url";
import { availableBytes } from "../train/memory.ts";
import { readConfig, runFiles, writeFailure } from "./folder.ts";
import { lockHolder } from "./lock.ts";
import type { RunConfigFile } from "./resolve.ts";

export interface LocalOptions {
  folder: string;
  /** Runs to do, in this order. */
  runs: readonly string[];
  /** Most processes at once. */
  processes: number;
  /** Compute threads of each. */
  threads: number;
  /** Called when a run begins, ends (done or failed), and when something is worth a line. */
  onBegin?: (config: RunConfigFile) => void;
  onEnd?: (config: RunConfigFile) => Promise<void>;
  say?: (text: string) => void;
  /** Asks the runs to keep a checkpoint and end. */
  signal?: AbortSignal;
  /** Bytes that are free; tests put their own here. */
  freeBytes?: () => number;
  /** Program and arguments that do a run; tests put their own here. */
  command?: (folder: string, run: string, threads: number) => [string, ...string[]];
}

/** How often a run whose process was killed is started in all. */
const mostStarts = 2;
/** How long to wait before looking again for a run that another process has, in ms. */
const lookAgain = 500;

/** The program that a run's process runs: this one. */
function runCommand(folder: string, run: string, threads: number): [string, ...string[]] {
  const program = fileURLToPath(new URL("../../bin/lunet.mjs", import.meta.url));
  return [process.execPath, program, "study", "run", folder, run, "--threads", String(threads)];
}

interface Running {
  config: RunConfigFile;
  child: ChildProcess;
  ended: Promise<string>;
}

/**
 * Does runs in processes of their own, as many at once as asked for and as fit the memory. A process that is killed is started
 * once more and goes on from its checkpoint; a run that fails is noted in its folder, and the others go on. Ends when all are done
 * or failed, or when the signal came and all processes have ended.
 */
export async function runLocally(options: LocalOptions): Promise<void> {
  const {
    folder,
    processes,
    threads,
    onBegin,
    onEnd,
    say,
    signal,
    freeBytes = availableBytes,
    command = runCommand,
  } = options;
  const queue = await Promise.all(options.runs.map((run) => readConfig(folder, run)));
  const running = new Map<string, Running>();
  const starts = new Map<string, number>();
  const waitedFor = new Set<string>();
  let freeAtStart = freeBytes();

  const fits = ({ need }: RunConfigFile): boolean => {
    if (running.size === 0) {
      freeAtStart = freeBytes();
      return true; // a run that does not fit an idle machine says so itself
    }
    const promised = [...running.values()].reduce((sum, { config }) => sum + config.need.bytes, 0);
    return need.bytes <= Math.min(freeAtStart - promised, freeBytes());
  };
  const begin = async (config: RunConfigFile): Promise<void> => {
    const { run } = config;
    starts.set(run, (starts.get(run) ?? 0) + 1);
    const log = await open(runFiles(folder, run).log, "a");
    const [program, ...args] = command(folder, run, threads);
    // The channel tells the child when this process is gone, however it ended.
    const child = spawn(program, args, { stdio: ["ignore", log.fd, log.fd, "ipc"] });
    running.set(run, { config, child, ended: ended(child, log).then(() => run) });
    onBegin?.(config);
  };
  const stop = (): void => {
    for (const { child } of running.values()) child.kill("SIGTERM");
  };
  signal?.addEventListener("abort", stop);
  try {
    while (running.size > 0 || (queue.length > 0 && !signal?.aborted)) {
      let busy = 0;
      for (const config of signal?.aborted ? [] : [...queue]) {
        if (running.size >= processes) break;
        const holder = lockHolder(runFiles(folder, config.run).lock);
        if (holder) {
          busy++;
          if (!waitedFor.has(config.run)) {
            waitedFor.add(config.run);
            say?.(`run ${config.run} is still being done by process ${holder.pid} on ${holder.host}; waiting for it`);
          }
          continue;
        }
        if (!fits(config)) break;
        queue.splice(queue.indexOf(config), 1);
        if (existsSync(runFiles(folder, config.run).result)) await onEnd?.(config);
        else await begin(config);
      }
      const next = [...running.values()].map((one) => one.ended);
      const run = await Promise.race(busy > 0 || next.length === 0 ? [...next, sleep(lookAgain)] : next);
      if (!run) continue;
      const { config, child } = running.get(run)!;
      running.delete(run);
      const files = runFiles(folder, run);
      if (existsSync(files.result) || existsSync(files.failure)) await onEnd?.(config);
      else if (signal?.aborted) continue;
      else if (lockHolder(files.lock)) queue.push(config);
      else if (starts.get(run)! < mostStarts) {
        say?.(`the process of run ${run} ended (${exitWords(child)}); starting it once more`);
        queue.unshift(config);
      } else {
        await writeFailure(
          folder,
          run,
          `The process of run ${run} ended ${mostStarts} times without a result (${exitWords(child)}); see ${files.log}, make sure of ` +
            `free memory (fewer --processes need less), and start the study again with --retry.`,
        );
        await onEnd?.(config);
      }
    }
  } finally {
    signal?.removeEventListener("abort", stop);
    for (const { child } of running.values()) child.kill("SIGKILL");
  }
}

async function ended(child: ChildProcess, log: FileHandle): Promise<void> {
  await new Promise<void>((resolve) => {
    child.once("exit", () => resolve());
    child.once("error", () => resolve());
  });
  await log.close();
}

function exitWords({ signalCode, exitCode }: ChildProcess): string {
  return signalCode ?? `exit code ${exitCode}`;
}
