import { spawnSync } from "node:child_process";
import { existsSync } from "node:fs";
import { mkdir } from "node:fs/promises";
import { join, resolve } from "node:path";
import { fail } from "../util/errors.ts";
import { readJson, writeFileAtomic } from "../util/files.ts";

/** What was submitted; kept in slurm/jobs.json of a folder. */
export interface SlurmJobs {
  version: 1;
  /** Number of the array job, and of the job that reports when it has ended. */
  array: string;
  report: string;
}

/** A job array. Its tasks keep what is done when they get SIGTERM, end with {@link stoppedCode} then, and go on when begun again. */
export interface ArrayJob {
  /** Of the job. */
  name: string;
  /** Numbers of the tasks. */
  tasks: readonly number[];
  /** Tasks at once. */
  atOnce: number;
  /** Compute threads of each. */
  threads: number;
  /** Memory that each is thought to need. */
  bytes: number;
  /** Where its output goes; %a is the task's number. */
  output: string;
  /** Shell command of a task, whose number is in SLURM_ARRAY_TASK_ID. */
  command: string;
}

/** Seconds before the time limit at which a task is told to keep what is done and queue again. */
const warning = 60;
/** Exit code of what was stopped and can go on. */
export const stoppedCode = 130;
/** Memory asked for, over the estimate. */
const memoryRoom = 1.25;

/** Quoted for a shell. */
export const quote = (text: string): string => `'${text.replaceAll("'", "'\\''")}'`;

/** Folder of scripts, logs and jobs.json. */
const slurmFolder = (folder: string): string => join(folder, "slurm");

/** The script of an array: a task that comes near its time limit or is preempted queues again and goes on. */
export function arrayScript({ name, tasks, atOnce, threads, bytes, output, command }: ArrayJob): string {
  return `#!/bin/bash
#SBATCH --job-name=${name}
#SBATCH --array=${ranges(tasks)}%${atOnce}
#SBATCH --cpus-per-task=${threads}
#SBATCH --mem=${Math.ceil((memoryRoom * bytes) / 2 ** 20)}M
#SBATCH --requeue
#SBATCH --signal=B:USR1@${warning}
#SBATCH --open-mode=append
#SBATCH --output="${output}"

${command} &
child=$!
late=
trap 'late=yes; kill -TERM "$child"' USR1
trap 'kill -TERM "$child"' TERM
# A trap cuts wait short; the task then still has to keep what it has.
while :; do
  wait "$child"
  code=$?
  kill -0 "$child" 2>/dev/null || break
done
if [ -n "$late" ] && [ "$code" -eq ${stoppedCode} ]; then
  scontrol requeue "\${SLURM_ARRAY_JOB_ID}_$SLURM_ARRAY_TASK_ID"
fi
exit "$code"
`;
}

/** The script of a job that reports. */
export function reportScript({ name, output, command }: Pick<ArrayJob, "name" | "output" | "command">): string {
  return `#!/bin/bash
#SBATCH --job-name=${name}
#SBATCH --output="${output}"

${command}
`;
}

/**
 * Submits an array and, after it, a job that reports; both are noted in the folder. `what` is submitted, in words. UserError where Slurm
 * is missing or refuses.
 */
export async function submitJobs(
  path: string,
  scripts: { array: string; report: string },
  sbatch: readonly string[],
  what: string,
): Promise<SlurmJobs> {
  const slurm = slurmFolder(resolve(path));
  await mkdir(slurm, { recursive: true });
  const files = { array: join(slurm, "array.sh"), report: join(slurm, "report.sh") };
  await writeFileAtomic(files.array, scripts.array);
  await writeFileAtomic(files.report, scripts.report);
  const array = submit([...sbatch, files.array], what);
  let report: string;
  try {
    report = submit([`--dependency=afterany:${array}`, ...sbatch, files.report], what);
  } catch (error) {
    spawnSync("scancel", [array]);
    throw error;
  }
  const jobs: SlurmJobs = { version: 1, array, report };
  await writeFileAtomic(join(slurm, "jobs.json"), `${JSON.stringify(jobs)}\n`);
  return jobs;
}

/** The array of a folder that is in Slurm's queue; null where there is none. */
export async function queuedArray(folder: string): Promise<string | null> {
  const path = join(slurmFolder(folder), "jobs.json");
  if (!existsSync(path)) return null;
  const array = ((await readJson(path)) as Partial<SlurmJobs> | null)?.array;
  if (typeof array !== "string") return null;
  // squeue fails for a job that it has forgotten, and where there is no Slurm.
  const { stdout } = spawnSync("squeue", ["--noheader", `--jobs=${array}`, "--format=%i"], { encoding: "utf8" });
  return stdout?.trim() ? array : null;
}

/** Numbers as Slurm writes them: 1-3,7. */
function ranges(numbers: readonly number[]): string {
  const out: [number, number][] = [];
  for (const n of [...numbers].sort((a, b) => a - b)) {
    const last = out.at(-1);
    if (last && n === last[1] + 1) last[1] = n;
    else out.push([n, n]);
  }
  return out.map(([from, to]) => (from === to ? `${from}` : `${from}-${to}`)).join(",");
}

/** Number of the submitted job. */
function submit(args: readonly string[], what: string): string {
  const { error, status, stdout, stderr } = spawnSync("sbatch", ["--parsable", ...args], { encoding: "utf8" });
  if (error) {
    fail(
      `Expected Slurm's command sbatch on this machine, but it is not there; start the ${what} on a machine of the cluster, or leave ` +
        "out --executor slurm.",
    );
  }
  if (status !== 0) {
    const words =
      stderr
        .trim()
        .split("\n")
        .at(-1)
        ?.replace(/^sbatch: (error: )?/, "") ?? "";
    fail(`Slurm refused the ${what} (${words}); mend what --sbatch gives it, or ask the people who run the cluster.`);
  }
  return stdout.trim().split(";")[0];
}
