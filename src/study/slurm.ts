import { join, resolve } from "node:path";
import { fileURLToPath } from "node:url";
import { fail } from "../util/errors.ts";
import type { RunConfigFile } from "./resolve.ts";
import { arrayScript, queuedArray, quote, reportScript, type SlurmJobs, submitJobs } from "./sbatch.ts";

export interface SlurmOptions {
  folder: string;
  name: string;
  /** Runs to do; the array's task numbers are theirs. */
  configs: readonly RunConfigFile[];
  /** Tasks at once. */
  processes: number;
  /** Compute threads of each task. */
  threads: number;
  /** More options for sbatch, such as "--partition=long --time=4:00:00". */
  sbatch: readonly string[];
}

/** The command that runs lunet, quoted for a shell. */
function lunet(): string {
  const program = fileURLToPath(new URL("../../bin/lunet.mjs", import.meta.url));
  return `${quote(process.execPath)} ${quote(program)}`;
}

/**
 * Submits the runs as one job array and, after it, a job that writes the report. A task that comes near its time limit or is
 * preempted keeps a checkpoint, queues again and goes on. UserError where Slurm is missing or refuses.
 */
export async function submitToSlurm(options: SlurmOptions): Promise<SlurmJobs> {
  const { name, configs, processes, threads, sbatch } = options;
  const folder = resolve(options.folder);
  await refuseQueued(folder);
  const array = arrayScript({
    name: `lunet-${name}`,
    tasks: configs.map(({ run }) => Number(run)),
    atOnce: processes,
    threads,
    bytes: Math.max(...configs.map(({ need }) => need.bytes)),
    output: join(folder, "runs", "%4a", "log.txt"),
    command: `${lunet()} study run ${quote(folder)} "$SLURM_ARRAY_TASK_ID" --threads ${threads} --wait`,
  });
  const report = reportScript({
    name: `lunet-${name}-report`,
    output: join(folder, "slurm", "report.txt"),
    command: `${lunet()} study report ${quote(folder)}`,
  });
  return submitJobs(folder, { array, report }, sbatch, "study");
}

/** Refuses a study that is in Slurm's queue already. */
export async function refuseQueued(folder: string): Promise<void> {
  const array = await queuedArray(folder);
  if (array !== null) {
    fail(
      `The study in ${folder} is in Slurm's queue as job ${array}; wait for it (lunet study status ${folder} tells), or take it out ` +
        `with scancel ${array}.`,
    );
  }
}
