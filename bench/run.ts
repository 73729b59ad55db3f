// `npm run bench`: our engine against onnxruntime and, with --torch PYTHON, PyTorch, on the same nets and threads.
import { availableParallelism } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { Command, Option } from "commander";
import { parseCount } from "../src/cli/options.ts";
import { fail, UserError } from "../src/util/errors.ts";
import { readBytes, readJson, writeFileAtomic } from "../src/util/files.ts";
import { type BenchCase, batchOf, caseName, type Job, pickCases, suite } from "./cases.ts";
import { appendHistory, type BenchRun, historyTable, readHistory } from "./history.ts";
import { thisCommit, thisMachine } from "./machine.ts";
import { pruningTable } from "./pruning.ts";
import { insertBlock, readmeBlock } from "./readme.ts";
import { drawRoofline } from "./roofline.ts";
import { type CaseResult, measureCase, type Peers } from "./rounds.ts";
import { scalingCases, scalingTable, threadTable } from "./scaling.ts";
import { disagreement, memoryTable, summarise, timeTable } from "./summary.ts";

interface BenchOptions {
  cases?: string[];
  threads: number[];
  reps: number;
  rounds: number;
  engine: Job["engine"];
  torch?: string;
  alone?: boolean;
  quick?: boolean;
  out: string;
  list?: boolean;
  scaling?: boolean;
  roofline?: boolean;
  pruning?: boolean;
  history?: boolean;
  readme?: boolean;
}

const list = (text: string): string[] => text.split(",").map((part) => part.trim());

const command = new Command("bench")
  .description("Time lunet, onnxruntime and PyTorch on U-Nets of 5 levels, 2 convolutions a block and 2 classes.")
  .addOption(new Option("--cases <patterns>", "parts of names, names with *, or whole names").argParser(list))
  .addOption(
    new Option("--threads <list>", "compute threads of each; several, as in 1,2, are compared")
      .default([availableParallelism()])
      .argParser((text: string) => list(text).map(parseCount)),
  )
  .addOption(new Option("--reps <n>", "timed repetitions of a process").default(7).argParser(parseCount))
  .addOption(
    new Option("--rounds <n>", "processes per runner, in turn with the others").default(2).argParser(parseCount),
  )
  .addOption(new Option("--engine <name>", "lunet's backend").choices(["wasm", "reference"]).default("wasm"))
  .option("--torch <python>", "a Python with PyTorch; its times are left out without it")
  .option("--alone", "lunet only")
  .option("--quick", "one round of 3 repetitions, PyTorch's settings not tried: a first look, not for reports")
  .option("--out <folder>", "where bench.json, history.jsonl and the other results go", "bench-out")
  .option("--list", "show the names of the cases")
  .option("--scaling", "time the 3D cases' nets at 32^3, 48^3, 64^3, 96^3 and 128^3, one volume at a time")
  .option("--roofline", "draw where each layer stands between memory and arithmetic (default: lean:8 and lean:16)")
  .option("--pruning", "time the cutting of channels out of a net and its optimiser")
  .option("--history", "show how each case moved against the runs before")
  .option("--readme", "write the table of the last run into README.md")
  .action(bench);

const paths = (out: string) => ({
  ...{ run: join(out, "bench.json"), scaling: join(out, "scaling.json"), history: join(out, "history.jsonl") },
  roofline: join(out, "roofline"),
});

async function bench(options: BenchOptions): Promise<void> {
  const { history, run } = paths(options.out);
  if (options.list) return print(suite.join("\n"));
  if (options.history) {
    return print(historyTable(await readHistory(history), options.cases && pickCases(options.cases).map(caseName)));
  }
  if (options.readme) return writeReadme(run);
  if (options.pruning) return print(pruningTable(options.reps));
  if (options.roofline) {
    const cases = pickCases(options.cases ?? ["lean:8/train/64", "lean:16/train/64"]);
    const threads = Math.max(...options.threads);
    const path = paths(options.out).roofline;
    await drawRoofline(cases, { threads, reps: options.quick ? 3 : options.reps, path });
    return print(`The picture is ${path}.svg, its numbers are in ${path}.json.`);
  }
  const picked = pickCases(options.cases ?? [""]);
  await measure(options.scaling ? scalingCases(picked) : picked, options);
}

async function measure(cases: readonly BenchCase[], options: BenchOptions): Promise<void> {
  const { quick, engine, scaling, torch, alone } = options;
  if (cases.length === 0) fail("Expected 3D cases for --scaling, but none of them is: see --list.");
  // A history that cannot be read should not cost the minutes before it.
  const { history, ...path } = paths(options.out);
  await readHistory(history);
  const reps = quick ? 3 : options.reps;
  const peers: Peers = { rounds: quick ? 1 : options.rounds, onnxruntime: !alone, tune: !quick };
  if (!alone) peers.python = torch;
  const results: CaseResult[] = [];
  for (const each of cases) {
    for (const threads of options.threads) {
      const batch = scaling ? 1 : batchOf(each);
      results.push(await measureCase({ ...each, batch, threads, warmup: 3, reps, engine }, peers));
    }
  }
  const summaries = results.map(summarise);
  const run: BenchRun = {
    ...{ version: 1, date: new Date().toISOString(), commit: thisCommit(), machine: thisMachine() },
    ...{ quick: Boolean(quick), summaries },
  };
  const tables = scaling ? [scalingTable(summaries)] : [timeTable(summaries), memoryTable(summaries)];
  print([...tables, threadTable(summaries), ...remarks(results)].filter(Boolean).join("\n\n"));
  const file = scaling ? path.scaling : path.run;
  await writeFileAtomic(file, `${JSON.stringify({ ...run, results }, null, 2)}\n`);
  await appendHistory(history, run);
  print(`All times are in ${file}.`);
  if (results.some((result) => "lunet" in result.failures || disagreement(result))) process.exitCode = 1;
}

/** What the reader of the tables should know besides. */
function remarks(results: readonly CaseResult[]): string[] {
  const lines = results.flatMap((result) => {
    const name = caseName(result.job);
    const failures = Object.entries(result.failures).map(([runner, reason]) => `${name}: ${runner} failed: ${reason}`);
    return [...failures, disagreement(result) ?? []].flat();
  });
  const others = Math.max(0, ...results.map((result) => summarise(result).otherCores ?? 0));
  if (others > 0.2) {
    lines.push(`Other processes kept up to ${others.toFixed(1)} cores busy: run again on a quiet machine.`);
  }
  return lines;
}

async function writeReadme(path: string): Promise<void> {
  const run = (await readJson(path)) as Partial<BenchRun>;
  if (run.version !== 1) fail(`Expected a run of this benchmark in ${path}: run npm run bench first.`);
  const readme = fileURLToPath(new URL("../README.md", import.meta.url));
  const text = new TextDecoder().decode(await readBytes(readme));
  await writeFileAtomic(readme, insertBlock(text, readmeBlock(run as BenchRun)));
  print(readmeBlock(run as BenchRun));
}

function print(text: string): void {
  process.stdout.write(`${text}\n`);
}

try {
  await command.parseAsync();
} catch (error) {
  if (!(error instanceof UserError)) throw error;
  process.stderr.write(`bench: ${error.message}\n`);
  process.exitCode = 1;
}
