import { mkdir } from "node:fs/promises";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { arrayScript, quote, reportScript, type SlurmJobs, submitJobs } from "../study/sbatch.ts";
import { jobBytes } from "./memory.ts";
import { type BatchOptions, inFolder } from "./run.ts";
import { writeShared } from "./shares.ts";

export interface SubmitOptions extends BatchOptions {
  /** Tasks at once. Default 8. */
  jobs?: number;
  /** More options for sbatch, such as "--partition=long --time=4:00:00". */
  sbatch: readonly string[];
}

export interface Submitted {
  /** Null where nothing was left to do. */
  jobs: SlurmJobs | null;
  open: number;
  shares: number;
}

/**
 * Hands a batch to Slurm: an array of tasks, each of which predicts a share of the cases and goes on where it was when it is begun again,
 * and a job after it that collects what came of them. UserError as runBatch, and where Slurm is missing or refuses.
 */
export async function submitBatch(options: SubmitOptions): Promise<Submitted> {
  const { inputs, models, sbatch, jobs: atOnce = 8 } = options;
  // A task has the cores that it asks for and no others.
  const order = { ...options.order, threads: options.order.threads ?? 1 };
  const { out, threads } = order;
  return inFolder({ ...options, order }, async ({ open }) => {
    const shares = Math.min(atOnce, open.length);
    if (shares === 0) return { jobs: null, open: 0, shares };
    await mkdir(join(out, "slurm"), { recursive: true });
    await writeShared(out, { version: 1, order, inputs, open, shares });
    const array = arrayScript({
      name: "lunet-predict",
      tasks: Array.from({ length: shares }, (_, index) => index + 1),
      atOnce: shares,
      threads,
      bytes: await jobBytes(models, open, order),
      output: join(out, "slurm", "share-%a.txt"),
      command: `${program()} ${quote(out)} "$SLURM_ARRAY_TASK_ID"`,
    });
    const report = reportScript({
      name: "lunet-predict-report",
      output: join(out, "slurm", "report.txt"),
      command: `${program()} ${quote(out)} report`,
    });
    return { jobs: await submitJobs(out, { array, report }, sbatch, "prediction"), open: open.length, shares };
  });
}

/** The command of a task, quoted for a shell. */
function program(): string {
  const extension = import.meta.url.endsWith(".ts") ? "ts" : "js"; // the checkout runs as it is, the package is compiled
  return `${quote(process.execPath)} ${quote(fileURLToPath(new URL(`./task.${extension}`, import.meta.url)))}`;
}
