import { spawnSync } from "node:child_process";
import { existsSync } from "node:fs";
import { mkdir } from "node:fs/promises";
import { join, resolve } from "node:path";
import { fileURLToPath } from "node:url";
import { fail } from "../util/errors.ts";
import { readJson, writeFileAtomic } from "../util/files.ts";
import { studyPaths } from "./folder.ts";
import type { RunConfigFile } from "./resolve.ts";

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

/** What was submitted; kept in slurm/jobs.json. */
export interface SlurmJobs {
  version: 1;
  /** Number of the array job, and of the job that writes the report when it has ended. */
  array: string;
  report: string;
}

/** Seconds before the time limit at which a task is told to keep a checkpoint and queue again. */
const warning = 60;
/** Exit code of a run that was stopped and can go on. */
export const stoppedCode = 130;
/** Memory asked for, over the estimate. */
const memoryRoom = 1.25;

const quote = (text: string): string => `'${text.replaceAll("'", "'\\''")}'`;

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
  const folder = resolve(options.folder);
  const { slurm } = studyPaths(folder);
  await refuseQueued(folder);
  await mkdir(slurm, { recursive: true });
  const script = { array: join(slurm, "array.sh"), report: join(slurm, "report.sh") };
  await writeFileAtomic(script.array, arrayScript({ ...options, folder }));
  await writeFileAtomic(script.report, reportScript({ ...options, folder }));
  const array = submit([...options.sbatch, script.array]);
  let report: string;
  try {
    report = submit([`--dependency=afterany:${array}`, ...options.sbatch, script.report]);
  } catch (error) {
    spawnSync("scancel", [array]);
    throw error;
  }
  const jobs: SlurmJobs = { version: 1, array, report };
  await writeFileAtomic(join(slurm, "jobs.json"), `${JSON.stringify(jobs)}\n`);
  return jobs;
}

/** Refuses a study that is in Slurm's queue already. */
export async function refuseQueued(folder: string): Promise<void> {
  const path = join(studyPaths(folder).slurm, "jobs.json");
  if (!existsSync(path)) return;
  const { array } = (await readJson(path)) as SlurmJobs;
  // squeue fails for a job that it has forgotten, and where there is no Slurm.
  const { stdout } = spawnSync("squeue", ["--noheader", `--jobs=${array}`, "--format=%i"], { encoding: "utf8" });
  if (stdout?.trim()) {
    fail(
      `The study in ${folder} is in Slurm's queue as job ${array}; wait for it (lunet study status ${folder} tells), or take it out ` +
        `with scancel ${array}.`,
    );
  }
}

/** The script of the array: one task a run. Exported for tests. */
export function arrayScript({ folder, name, configs, processes, threads }: Omit<SlurmOptions, "sbatch">): string {
  const mebibytes = Math.ceil((memoryRoom * Math.max(...configs.map(({ need }) => need.bytes))) / 2 ** 20);
  return `#!/bin/bash
#SBATCH --job-name=lunet-${name}
#SBATCH --array=${ranges(configs.map(({ run }) => Number(run)))}%${processes}
#SBATCH --cpus-per-task=${threads}
#SBATCH --mem=${mebibytes}M
#SBATCH --requeue
#SBATCH --signal=B:USR1@${warning}
#SBATCH --open-mode=append
#SBATCH --output="${join(folder, "runs", "%4a", "log.txt")}"

${lunet()} study run ${quote(folder)} "$SLURM_ARRAY_TASK_ID" --threads ${threads} --wait &
child=$!
late=
trap 'late=yes; kill -TERM "$child"' USR1
trap 'kill -TERM "$child"' TERM
# A trap cuts wait short; the run then still has its checkpoint to write.
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

function reportScript({ folder, name }: SlurmOptions): string {
  return `#!/bin/bash
#SBATCH --job-name=lunet-${name}-report
#SBATCH --output="${join(folder, "slurm", "report.txt")}"

${lunet()} study report ${quote(folder)}
`;
}

/** Numbers as Slurm writes them: 1-3,7. */
export function ranges(numbers: readonly number[]): string {
  const out: [number, number][] = [];
  for (const n of [...numbers].sort((a, b) => a - b)) {
    const last = out.at(-1);
    if (last && n === last[1] + 1) last[1] = n;
    else out.push([n, n]);
  }
  return out.map(([from, to]) => (from === to ? `${from}` : `${from}-${to}`)).join(",");
}

/** Number of the submitted job. */
function submit(args: readonly string[]): string {
  const { error, status, stdout, stderr } = spawnSync("sbatch", ["--parsable", ...args], { encoding: "utf8" });
  if (error) {
    fail(
      "Expected Slurm's command sbatch on this machine, but it is not there; start the study on a machine of the cluster, or leave " +
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
    fail(`Slurm refused the study (${words}); mend what --sbatch gives it, or ask the people who run the cluster.`);
  }
  return stdout.trim().split(";")[0];
}
