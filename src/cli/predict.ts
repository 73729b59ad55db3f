import { readFile } from "node:fs/promises";
import { join, resolve } from "node:path";
import { Command, InvalidArgumentError, Option } from "commander";
import { type BatchOrder, loadBatchModels } from "../batch/order.ts";
import { recordName } from "../batch/record.ts";
import { type BatchResult, runBatch } from "../batch/run.ts";
import { submitBatch } from "../batch/slurm.ts";
import { outcomeText } from "../batch/text.ts";
import { readTerms } from "../dicom/seg/files.ts";
import { type EngineName, engineNames } from "../engine/backend.ts";
import type { Model } from "../model/types.ts";
import { assertSafeFolder, type CaseChoice, findInputs, type OutputFormat, outputFormats } from "../predict/files.ts";
import { type Choices, postprocessingWords, sharedChoices } from "../predict/postprocess.ts";
import { createProgress, type Progress } from "../train/progress.ts";
import { counted } from "../util/counted.ts";
import { fail } from "../util/errors.ts";
import { explainFileError } from "../util/files.ts";
import { parseCount } from "./options.ts";
import { interruptedCode, untilStopped } from "./stop.ts";

interface PredictCommandOptions {
  model: string[];
  out: string;
  cases?: CaseChoice;
  list?: string;
  format?: OutputFormat | "seg";
  segments?: string;
  jobs?: number;
  threads?: number;
  engine: EngineName;
  window: "auto" | "patch";
  step: number;
  shifts?: number;
  mirror?: boolean;
  uncertainty?: boolean;
  postprocess: boolean;
  force?: boolean;
  executor: "local" | "slurm";
  sbatch: string[];
  json?: boolean;
}

/** Cases that are named as those with the least sure predictions. */
const shownUnsure = 5;

const shiftCount = (text: string): number => {
  if (!/^[0-7]$/.test(text)) throw new InvalidArgumentError("Expected a whole number from 0 to 7.");
  return Number(text);
};

const share = (text: string): number => {
  const value = Number(text);
  if (!(value > 0 && value <= 1)) throw new InvalidArgumentError("Expected a number above 0 and up to 1.");
  return value;
};

export const predictCommand = new Command("predict")
  .description(
    "Segment scans with a trained model, or with the average of several; results lie on each scan's own grid. Run the same command " +
      "again to go on after Ctrl-C, a crash or a power cut: what is done is not repeated, what failed is tried again.",
  )
  .argument("[input...]", "scan files, folders of scans, or a data set folder together with --cases")
  .addOption(
    new Option(
      "--model <path>",
      "run folder or model file, or the folder of all folds to average them; repeat it to average more",
    )
      .makeOptionMandatory()
      .argParser((path: string, before: string[] | undefined) => [...(before ?? []), path]),
  )
  .option("--out <folder>", "where the label maps go, named by case", "predictions")
  .option("--list <file>", "text file with more inputs, one a line")
  .addOption(
    new Option(
      "--cases <part>",
      "cases of a data set: those that the model was validated on (val) or trained on (train), its test cases, or all",
    ).choices(["val", "test", "train", "all"]),
  )
  .addOption(
    new Option(
      "--format <ending>",
      "format of the label maps; seg: DICOM SEG, for DICOM series (default: that of the scan, nii.gz for DICOM)",
    ).choices([...outputFormats, "seg"]),
  )
  .option("--segments <file>", "JSON with codes and colours by label name, for --format seg")
  .addOption(
    new Option(
      "--jobs <n>",
      "scans at a time, each in a process of its own (default: 1); with --executor slurm tasks at a time (default: 8)",
    ).argParser(parseCount),
  )
  .addOption(
    new Option(
      "--threads <n>",
      "compute threads of each process (default: all processors, shared among --jobs; Slurm: 1)",
    ).argParser(parseCount),
  )
  .addOption(new Option("--engine <name>", "compute engine").choices([...engineNames]).default("wasm"))
  .addOption(
    new Option("--window <kind>", "auto: the whole scan at once where that is cheaper; patch: always the plan's patch")
      .choices(["auto", "patch"])
      .default("auto"),
  )
  .addOption(new Option("--step <share>", "distance of windows as a share of the window").default(0.5).argParser(share))
  .addOption(
    new Option(
      "--shifts <n>",
      "average over n one-voxel shifts, 0 to 7 (default: as lunet best chose, else 0)",
    ).argParser(shiftCount),
  )
  .option("--mirror", "average over mirror images along the axes that the plan allows (default: as lunet best chose)")
  .option("--no-mirror", "do not, whatever lunet best chose")
  .option("--no-postprocess", "leave out the post-processing that lunet best chose")
  .option(
    "--uncertainty",
    "also measure how sure the models are of each case and how far they agree; uncertainty.json in --out",
  )
  .option("--force", "predict again what is done already")
  .addOption(new Option("--executor <name>", "where the work is done").choices(["local", "slurm"]).default("local"))
  .addOption(
    new Option("--sbatch <options>", 'more options for sbatch, as in --sbatch "--partition=long --time=4:00:00"')
      .argParser((text: string) => text.split(/\s+/).filter((word) => word !== ""))
      .default([], "none"),
  )
  .option("--json", "print the result as JSON")
  .addHelpText(
    "after",
    `
Examples:
  lunet predict scan.nii.gz --model runs/lean8
  lunet predict data/hippocampus --cases val --model runs/lean8-folds --out crossval
  lunet predict patients --model runs/lean8 --jobs 2 --out masks       (a folder of a thousand scans)
  lunet predict --list scans.txt --model runs/lean8 --out masks --executor slurm --sbatch "--partition=short"

${recordName} in --out tells what is done, and why a scan failed. A label map counts as done while its scan, the models and the
options are the same; the exit code is 1 where a scan failed.`,
  )
  .action(async (paths: string[], options: PredictCommandOptions) => {
    const { models, files } = await loadBatchModels(options.model);
    const all = [...paths, ...(options.list === undefined ? [] : await readList(options.list))];
    if (all.length === 0) fail("Expected scans to predict: give files or folders, or a list of them with --list.");
    const inputs = await findInputs(all, models, { cases: options.cases, out: options.out });
    assertSafeFolder(options.out, inputs);
    if (options.segments && options.format !== "seg")
      fail("--segments describes the segments of --format seg; give both.");
    if (options.sbatch.length > 0 && options.executor !== "slurm") fail("--sbatch is for --executor slurm; give both.");
    const terms = options.segments ? await readTerms(options.segments, models[0].plan.labels.slice(1)) : undefined;
    const { engine, threads, window, step, shifts, mirror, postprocess, uncertainty = false, format, force } = options;
    const order: BatchOrder = {
      models: files.map(({ file, digest }) => ({ file: resolve(file), digest })),
      out: resolve(options.out),
      ...{ engine, threads, window, step, shifts, mirror, postprocess, uncertainty, format, terms },
    };
    const progress = createProgress(process.stderr);
    const choices = sharedChoices(models, {
      postprocessing: postprocess,
      testTime: mirror === undefined || shifts === undefined,
    });
    tellChoices(models, choices, options, progress);
    const batch = { models, inputs, order, force, progress };
    if (options.executor === "slurm") {
      await submit(batch, options);
      return;
    }
    const start = performance.now();
    const result = await untilStopped((watch) =>
      runBatch({ ...batch, ...watch, jobs: options.jobs, quiet: options.json }),
    );
    const trained = inputs.filter((input) => input.trained).map(({ id }) => id);
    const seconds = (performance.now() - start) / 1000;
    report({ ...result, total: inputs.length, seconds, models: models.length, choices, trained }, options);
  });

/** The lines of a list; empty ones and those that begin with # do not count. */
async function readList(path: string): Promise<string[]> {
  const text = await readFile(path, "utf8").catch((error) => {
    throw explainFileError(error, path) ?? error;
  });
  const lines = text
    .split("\n")
    .map((line) => line.trim())
    .filter((line) => line !== "" && !line.startsWith("#"));
  if (lines.length === 0) fail(`Expected a scan a line in ${path}, but it has none.`);
  return lines;
}

async function submit(
  batch: Omit<Parameters<typeof submitBatch>[0], "jobs" | "sbatch">,
  { jobs: atOnce, sbatch, out, json }: PredictCommandOptions,
): Promise<void> {
  const { jobs, open, shares } = await submitBatch({ ...batch, jobs: atOnce, sbatch });
  const total = batch.inputs.length;
  if (json) process.stdout.write(`${JSON.stringify({ out, total, open, shares, jobs }, null, 2)}\n`);
  else if (!jobs)
    process.stdout.write(`${total === 1 ? "The case is" : `All ${total} cases are`} done already; see ${out}.\n`);
  else {
    process.stdout.write(
      `Slurm has ${open} of ${counted(total, "case")} as job ${jobs.array} in ${counted(shares, "task")}, and the report as job ` +
        `${jobs.report}; slurm/share-*.txt and slurm/report.txt in ${out} tell how it goes.\n`,
    );
  }
}

/** Says what the model files asked for beside the net itself. */
function tellChoices(
  models: readonly Model[],
  { postprocessing, testTime }: Choices,
  options: PredictCommandOptions,
  progress: Progress,
): void {
  const [{ plan }] = models;
  if (models.length > 1) progress.say(`averaging ${models.length} models`);
  const shifts =
    options.shifts === undefined && testTime && testTime.shifts > 0 ? [counted(testTime.shifts, "shift")] : [];
  const mirror = options.mirror === undefined && testTime?.mirror ? ["mirror images"] : [];
  if (shifts.length + mirror.length > 0)
    progress.say(`as lunet best chose: averaging over ${[...mirror, ...shifts].join(" and ")}`);
  if (postprocessing) progress.say(`as lunet best chose: ${postprocessingWords(postprocessing, plan.labels)}`);
}

interface Outcome extends BatchResult {
  total: number;
  seconds: number;
  models: number;
  choices: Choices;
  /** Cases that a model was trained on. */
  trained: string[];
}

function report(outcome: Outcome, { out, json }: PredictCommandOptions): void {
  const { done, failed, before, faults, stopped, total, seconds, models, choices, trained } = outcome;
  if (json) {
    const cases = done.map(({ id, file, removed, milliseconds, uncertainty }) => {
      return { id, file: join(out, file), removed, milliseconds, ...(uncertainty ? { uncertainty } : {}) };
    });
    const { postprocessing = null } = choices;
    const result = {
      ...{ out, seconds, models, postprocessing, total, before, stopped, cases },
      failed: failed.map(({ id, error }) => ({ id, error })),
      trainedOn: trained,
    };
    process.stdout.write(`${JSON.stringify(result, null, 2)}\n`);
  } else process.stdout.write(describe(outcome, out));
  if (failed.length > 0) process.exitCode = 1;
  if (stopped && done.length + failed.length < total) {
    const n = done.length;
    process.stderr.write(`Stopped; ${n} of ${total} are done. Run the same command again to go on.\n`);
    process.exitCode = interruptedCode;
  }
  if (faults.length > 0) throw faults[0];
}

function describe({ done, failed, before, total, seconds, trained }: Outcome, out: string): string {
  const lines = [outcomeText({ done: done.length, failed, before }, { total, out, seconds })];
  const leastSure = done
    .flatMap(({ id, uncertainty }) =>
      uncertainty?.foregroundEntropy ? [{ id, entropy: uncertainty.foregroundEntropy }] : [],
    )
    .sort((a, b) => b.entropy - a.entropy)
    .slice(0, shownUnsure)
    .map(({ id, entropy }) => `${id} (${entropy.toFixed(3)})`);
  if (leastSure.length > 0) {
    lines.push(`Least sure of (mean entropy of the predicted foreground, nats): ${leastSure.join(", ")}.`);
  }
  if (trained.length > 0) {
    lines.push(
      `${trained.length} of these cases ${trained.length > 1 ? "were" : "was"} used to train a model: do not report their scores as results.`,
    );
  }
  return `${lines.join("\n")}\n`;
}
