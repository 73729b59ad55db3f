import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join, resolve } from "node:path";
import { pathToFileURL } from "node:url";
import { Command, Option } from "commander";
import { writePhantomDataset } from "../dataset/phantom-dataset.ts";
import { probeRate } from "../study/cost.ts";
import { readStudyFile, studyText } from "../study/file.ts";
import { readStudy, runName } from "../study/folder.ts";
import { paperStudy, parseAddition, parseScale, scales } from "../study/paper.ts";
import { resolveStudy } from "../study/resolve.ts";
import { executeRun } from "../study/run.ts";
import { stoppedCode } from "../study/sbatch.ts";
import type { StudySpec } from "../study/spec.ts";
import { type RunStatus, runStatus, runTitle, secondsLeft, statusLine, statusOf } from "../study/status.ts";
import { defaultProcesses, type StudyOutcome, startStudy } from "../study/study.ts";
import { createProgress, durationText, type Progress } from "../train/progress.ts";
import { counted } from "../util/counted.ts";
import { fail } from "../util/errors.ts";
import { parseCount } from "./options.ts";

interface StudyCommandOptions {
  data?: string;
  images?: string;
  labels?: string;
  groups?: string;
  scale?: string;
  with?: string;
  out?: string;
  executor: "local" | "slurm";
  processes?: number;
  threads: number;
  sbatch: string[];
  retry?: boolean;
  dryRun?: boolean;
  yaml?: boolean;
  json?: boolean;
}

/** Failed runs that are told one by one at the end. */
const mostListed = 5;

const count = (flags: string, description: string): Option => new Option(flags, description).argParser(parseCount);
const threadsOption = (): Option =>
  count("--threads <n>", "compute threads of a process; they change the time, not the result").default(1);

export const studyCommand = new Command("study")
  .description(
    "Train and prune many nets on the same cases and compare them in one report. A study lives in its folder: run the same command " +
      "again to go on after Ctrl-C, a crash or a power cut; what is done is not repeated.",
  )
  .argument("<study>", "paper (the ready study of arXiv 2512.03834), or a YAML file")
  .option("--data <dir>", "data set folder (default: that of the file)")
  .option("--images <dir>", "plain folder of images, instead of a data set folder")
  .option("--labels <dir>", "plain folder of label maps with the same names")
  .option("--groups <how>", "which cases are of one subject, as for train --groups")
  .option("--scale <name>", `size of the ready study: ${scales.join(", ")} (default: small)`)
  .option(
    "--with <arms>",
    "more arms for the ready study at tiny and small: paper-recipe trains two of the nets by the paper's recipe, with a smaller batch " +
      "(small: 4 instead of 16, 400 steps; full has them anyway)",
  )
  .option("--out <dir>", "study folder (default: studies/NAME)")
  .addOption(new Option("--executor <name>", "where the runs are done").choices(["local", "slurm"]).default("local"))
  .addOption(count("--processes <n>", "runs at once (default: one a core; Slurm: 8)"))
  .addOption(threadsOption())
  .addOption(
    new Option("--sbatch <options>", 'more options for sbatch, as in --sbatch "--partition=long --time=4:00:00"')
      .argParser((text: string) => text.split(/\s+/).filter((word) => word !== ""))
      .default([], "none"),
  )
  .option("--retry", "do runs again that failed")
  .option("--dry-run", "list the runs with their parameters and about how long they take; do nothing")
  .option("--yaml", "print the study as a YAML file to start from; do nothing")
  .option("--json", "print the result as JSON; progress goes to stderr")
  .addHelpText(
    "after",
    `
Examples:
  lunet study paper --data data/hippocampus --scale small --out studies/hippocampus
  lunet study paper --scale tiny --out studies/tiny        (on made-up scans, in two minutes)
  lunet study paper --scale small --yaml > mine.yaml; lunet study mine.yaml --dry-run
  lunet study paper --data data/hippocampus --with paper-recipe --out studies/recipes
  lunet study status studies/hippocampus
  lunet study report studies/hippocampus`,
  )
  .action(async (name: string, options: StudyCommandOptions) => {
    const progress = createProgress(process.stderr);
    const { spec, scale } = await specOf(name, options);
    if (options.yaml) {
      process.stdout.write(await studyText(spec));
      return;
    }
    const out = options.out ?? join("studies", spec.name);
    if (options.dryRun) {
      await dryRun(spec, scale, options, progress);
      return;
    }
    if (madeUp(spec)) spec.data = await makeUp(join(resolve(out), "data"), progress);
    const stopper = new AbortController();
    const release = onStop(() => stopper.abort());
    try {
      const { executor, processes, threads, sbatch, retry } = options;
      const done = await startStudy({
        ...{ spec, scale, out, executor, processes, threads, sbatch, retry, progress },
        signal: stopper.signal,
      });
      await conclude(done, out, options, progress);
    } finally {
      release();
    }
  });

studyCommand
  .command("status")
  .description("Tell how every run of a study stands.")
  .argument("<dir>", "study folder")
  .option("--json", "print as JSON")
  .action(async (dir: string, { json }: { json?: boolean }) => {
    const study = await readStudy(dir);
    const runs = await statusOf(dir, study);
    if (json) print({ folder: resolve(dir), name: study.name, scale: study.scale, runs });
    else {
      const lines = runs.map((run) => statusLine(run, study.classes ?? []));
      process.stdout.write(`${[...lines, countWords(runs)].join("\n")}\n`);
    }
  });

studyCommand
  .command("report")
  .description("Write the report of what is done so far.")
  .argument("<dir>", "study folder")
  .action(async (dir: string) => {
    await readStudy(dir);
    const page = await report(dir);
    process.stdout.write(`Open the report: ${pathToFileURL(page).href}\n`);
  });

studyCommand
  .command("run")
  .description("Do one run of a study; a study does this for each of them in a process of its own.")
  .argument("<dir>", "study folder")
  .argument("<number>", "number of the run", (text) => parseCount(text.replace(/^0+/, "")))
  .addOption(threadsOption())
  .option("--wait", "wait where another process has the run")
  .action(async (dir: string, number: number, { threads, wait }: { threads: number; wait?: boolean }) => {
    const study = await readStudy(dir);
    if (number > study.runs) fail(`Expected the number of a run from 1 to ${study.runs}, but got ${number}.`);
    const stopper = new AbortController();
    let begun = false;
    const release = onStop(() => {
      // At once where nothing is trained yet.
      if (!begun) process.exit(stoppedCode);
      stopper.abort();
    });
    try {
      const result = await executeRun(dir, runName(number), {
        threads,
        wait,
        progress: createProgress(process.stderr),
        signal: stopper.signal,
        onBegin: () => {
          begun = true;
        },
      });
      if (!result) process.exitCode = stoppedCode;
      else process.stdout.write(`${statusLine(await runStatus(dir, study, result.run), study.classes ?? [])}\n`);
    } finally {
      release();
    }
  });

/** Calls `stop` at Ctrl-C, at SIGTERM, and when the process that started this one is gone. Gives a function that ends this. */
function onStop(stop: () => void): () => void {
  let asked = Number.POSITIVE_INFINITY;
  const act = (): void => {
    const now = performance.now();
    // Asked again: at once. But a terminal and a parent process may both pass on one Ctrl-C, so not within a second.
    if (now - asked > 1000) process.exit(stoppedCode);
    asked = Math.min(asked, now);
    stop();
  };
  process.on("SIGINT", act).on("SIGTERM", act).on("disconnect", act);
  return () => {
    process.off("SIGINT", act).off("SIGTERM", act).off("disconnect", act);
  };
}

async function specOf(name: string, options: StudyCommandOptions): Promise<{ spec: StudySpec; scale: string }> {
  const place = {
    ...(options.data === undefined ? {} : { data: resolve(options.data) }),
    ...(options.images === undefined ? {} : { images: resolve(options.images) }),
    ...(options.labels === undefined ? {} : { labels: resolve(options.labels) }),
    ...(options.groups === undefined ? {} : { groups: options.groups }),
  };
  if (name === "paper") {
    const scale = parseScale(options.scale ?? "small");
    return { spec: paperStudy(scale, place, options.with === undefined ? [] : [parseAddition(options.with)]), scale };
  }
  if (!/\.(ya?ml|json)$/.test(name)) {
    fail(`Expected a study: paper, or a file that ends in .yaml, but got "${name}".`);
  }
  if (options.scale !== undefined) {
    fail("Expected --scale with the ready study paper only; a file states its own budgets.");
  }
  if (options.with !== undefined) fail("Expected --with with the ready study paper only; a file lists its own arms.");
  const { data, images, labels, ...rest } = await readStudyFile(name);
  const own = place.data || place.images || place.labels ? {} : { data, images, labels };
  return { spec: JSON.parse(JSON.stringify({ ...rest, ...own, ...place })) as StudySpec, scale: "own" };
}

/** The smallest ready study makes up its scans where none are given. */
function madeUp({ name, data, images, cases }: StudySpec): boolean {
  return name === "paper" && cases !== undefined && data === undefined && images === undefined;
}

async function makeUp(folder: string, progress: Progress): Promise<string> {
  const onProgress = (done: number, total: number): void => progress.live(`making up scans ${done}/${total}`);
  await writePhantomDataset(folder, { cases: 15, test: 1, shape: [24, 32, 24], onProgress });
  progress.say(`Made-up scans are in ${folder}`);
  return folder;
}

async function dryRun(
  spec: StudySpec,
  scale: string,
  { processes, threads, json }: StudyCommandOptions,
  progress: Progress,
): Promise<void> {
  const scratch = madeUp(spec) ? await mkdtemp(join(tmpdir(), "lunet-study-")) : null;
  try {
    const data = scratch ? { data: await makeUp(scratch, createProgress({ write: () => {} })) } : {};
    const { study, configs } = await resolveStudy({ ...spec, ...data }, scale, { threads, progress });
    const rate = await probeRate(threads);
    const minutes = (milliseconds: number): number => (rate * milliseconds) / 60_000;
    const atOnce = processes ?? defaultProcesses(threads);
    const measured = [{ kind: "train" as const, milliseconds: 1, seconds: rate / 1000 }];
    const total = secondsLeft(configs, measured, atOnce) / 60;
    const runs = configs.map(({ run, label, fold, seed, parameters, need }) => {
      return { run, label, fold, seed, parameters, minutes: minutes(need.milliseconds) };
    });
    if (json) {
      print({ name: study.name, scale, runs, processes: atOnce, minutes: total });
      return;
    }
    const width = Math.max(...runs.map(({ label }) => label.length));
    const rows = runs.map(
      ({ run, label, fold, seed, parameters, minutes: each }) =>
        `${run}  ${label.padEnd(width)}  ${parameters.toLocaleString("en-US").padStart(11)} parameters  fold ${fold}  seed ${seed}  ` +
        `about ${each < 9.95 ? each.toFixed(1) : Math.round(each)} min`,
    );
    const budgets = Object.entries(study.budgets).map(([what, value]) => `${what} ${value}`);
    process.stdout.write(
      `${study.name} (${scale}) on ${study.data}: ${counted(study.arms.length, "arm")}, folds ${study.folds.join(", ")}, seeds ` +
        `${study.seeds.join(", ")}: ${counted(configs.length, "run")}; ${budgets.join(", ")}\n${rows.join("\n")}\n` +
        `About ${durationText(60 * total)} with ${counted(atOnce, "process", "processes")} of ${counted(threads, "thread")}.\n`,
    );
  } finally {
    if (scratch) await rm(scratch, { recursive: true });
  }
}

async function conclude(
  { folder, study, runs, jobs, interrupted }: StudyOutcome,
  out: string,
  { json }: StudyCommandOptions,
  progress: Progress,
): Promise<void> {
  const failed = runs.filter(({ state }) => state === "failed");
  const done = runs.some(({ state }) => state === "done");
  const page = !jobs && !interrupted && done ? await report(folder) : null;
  if (json)
    print({ folder, name: study.name, scale: study.scale, runs, report: page, jobs: jobs ?? null, interrupted });
  if (interrupted) {
    progress.say(`Stopped (${countWords(runs)}); run the same command again to go on.`);
    process.exitCode = stoppedCode;
  } else if (failed.length > 0) {
    for (const run of failed.slice(0, mostListed)) progress.say(`failed: ${runTitle(run)}: ${run.message}`);
    const more = failed.length - mostListed;
    if (more > 0) progress.say(`... and ${more} more; lunet study status ${out} lists them.`);
    progress.say("Do the failed runs again with --retry.");
    process.exitCode = 1;
  }
  if (json) return;
  if (jobs) {
    process.stdout.write(
      `Slurm has the runs as job ${jobs.array} and the report as job ${jobs.report}; how it goes: lunet study status ${out}\n`,
    );
  } else if (page) process.stdout.write(`${countWords(runs)}. Open the report: ${pathToFileURL(page).href}\n`);
}

/** The report and what draws its figures are loaded only here. Gives the path of the page. */
async function report(folder: string): Promise<string> {
  const { writeReport } = await import("../study/report.ts");
  const { page, missing } = await writeReport(folder);
  if (missing) process.stderr.write(`${missing}\n`);
  return page;
}

function countWords(runs: readonly RunStatus[]): string {
  const counts = new Map<string, number>();
  for (const { state } of runs) counts.set(state, (counts.get(state) ?? 0) + 1);
  return [...counts].map(([state, number]) => `${number} ${state}`).join(", ");
}

function print(value: unknown): void {
  process.stdout.write(`${JSON.stringify(value, null, 2)}\n`);
}
