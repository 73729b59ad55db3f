// `npm run bench`: our engine against onnxruntime and, with --torch PYTHON, PyTorch, on the same nets and threads.
import { availableParallelism, cpus } from "node:os";
import { join } from "node:path";
import { Command, InvalidArgumentError, Option } from "commander";
import { UserError } from "../src/util/errors.ts";
import { writeFileAtomic } from "../src/util/files.ts";
import { batchOf, defaultNets, type Job, type Mode, netOf, type Runner } from "./cases.ts";
import { runChild } from "./child.ts";
import { type CaseResult, disagreement, summarise, table } from "./summary.ts";

interface BenchOptions {
  nets: string[];
  modes: Mode[];
  threads: number;
  size: number;
  reps: number;
  rounds: number;
  engine: Job["engine"];
  torch?: string;
  quick?: boolean;
  out: string;
}

const count = (text: string): number => {
  if (!/^[1-9]\d*$/.test(text)) throw new InvalidArgumentError("Expected a whole number of 1 or more.");
  return Number(text);
};
const list = (text: string): string[] => text.split(",").map((part) => part.trim());
const modes = (text: string): Mode[] => {
  const given = list(text);
  if (given.every((mode): mode is Mode => mode === "infer" || mode === "train")) return given;
  throw new InvalidArgumentError("Expected infer, train or both, separated by a comma.");
};

const command = new Command("bench")
  .description("Time lunet, onnxruntime and PyTorch on U-Nets of 5 levels, 2 convolutions a block and 2 classes.")
  .addOption(new Option("--nets <list>", "nets by name").default(defaultNets).argParser(list))
  .addOption(new Option("--modes <list>", "infer, train or both").default(["infer", "train"]).argParser(modes))
  .addOption(new Option("--threads <n>", "compute threads of each").default(availableParallelism()).argParser(count))
  .addOption(new Option("--size <n>", "voxels along each axis").default(64).argParser(count))
  .addOption(new Option("--reps <n>", "timed repetitions of a process").default(7).argParser(count))
  .addOption(new Option("--rounds <n>", "processes per runner, in turn with the others").default(2).argParser(count))
  .addOption(new Option("--engine <name>", "lunet's backend").choices(["wasm", "reference"]).default("wasm"))
  .option("--torch <python>", "a Python with PyTorch; its times are left out without it")
  .option("--quick", "one round of 3 repetitions: a first look, not for reports")
  .option("--out <folder>", "where bench.json goes", "bench-out")
  .action(bench);

async function bench(options: BenchOptions): Promise<void> {
  const rounds = options.quick ? 1 : options.rounds;
  const reps = options.quick ? 3 : options.reps;
  const jobs = options.nets.flatMap((net) =>
    options.modes.map((mode): Job => {
      const { size, threads, engine } = options;
      return { net, mode, batch: batchOf(mode), size, threads, warmup: 3, reps, engine };
    }),
  );
  for (const job of jobs) netOf(job); // a wrong name should not cost the minutes before it
  const results: CaseResult[] = [];
  for (const job of jobs) results.push(await measureCase(job, rounds, options.torch));
  const summaries = results.map(summarise);
  process.stdout.write(`${table(summaries)}\n`);
  const others = Math.max(0, ...summaries.map((summary) => summary.otherCores ?? 0));
  if (others > 0.2) {
    process.stdout.write(`Other processes kept up to ${others.toFixed(1)} cores busy: run again on a quiet machine.\n`);
  }
  for (const result of results) {
    for (const [runner, reason] of Object.entries(result.failures)) {
      process.stdout.write(`${result.job.net} ${result.job.mode}: ${runner} failed: ${reason}\n`);
    }
    const odd = disagreement(result);
    if (odd) process.stdout.write(`${odd}\n`);
  }
  const machine = { processor: cpus()[0]?.model ?? "unknown", threads: options.threads, platform: process.platform };
  const path = join(options.out, "bench.json");
  await writeFileAtomic(
    path,
    `${JSON.stringify({ date: new Date().toISOString(), machine, summaries, results }, null, 2)}\n`,
  );
  process.stdout.write(`All times are in ${path}.\n`);
  if (results.some((result) => "lunet" in result.failures || disagreement(result))) process.exitCode = 1;
}

/** The runners take turns, so that a change of the machine's speed meets all of them. */
async function measureCase(job: Job, rounds: number, python?: string): Promise<CaseResult> {
  const runners: Runner[] = ["lunet"];
  // onnxruntime has no training operators.
  if (job.mode === "infer") runners.push("onnxruntime");
  if (python) runners.push("torch");
  const result: CaseResult = { job, runs: {}, failures: {} };
  for (let round = 0; round < rounds; round++) {
    for (const runner of runners.filter((r) => !(r in result.failures))) {
      process.stderr.write(`${job.net} ${job.mode}: ${runner}, round ${round + 1} of ${rounds}\n`);
      try {
        const run = await runChild(runner, job, python ?? "");
        result.runs[runner] = [...(result.runs[runner] ?? []), run];
      } catch (error) {
        result.failures[runner] = (error as Error).message;
      }
    }
  }
  return result;
}

try {
  await command.parseAsync();
} catch (error) {
  if (!(error instanceof UserError)) throw error;
  process.stderr.write(`bench: ${error.message}\n`);
  process.exitCode = 1;
}
