import { existsSync } from "node:fs";
import { join } from "node:path";
import { Command, Option } from "commander";
import { readCase } from "../dataset/load.ts";
import { prepareCase } from "../dataset/preprocess.ts";
import { readDataset } from "../dataset/read.ts";
import type { Dataset, PreparedCase } from "../dataset/types.ts";
import { createBackend, type EngineName, engineNames } from "../engine/backend.ts";
import type { Backend } from "../engine/types.ts";
import { type Calibration, calibrate } from "../evaluate/calibration.ts";
import { loadModel, modelFiles, saveModel } from "../model/files.ts";
import { knownCases } from "../model/known-cases.ts";
import type { Model } from "../model/types.ts";
import { sampleLogits } from "../predict/sample.ts";
import { createProgress, type Progress } from "../train/progress.ts";
import { fail } from "../util/errors.ts";
import { readJson } from "../util/files.ts";
import { listSome } from "../util/list-some.ts";
import { textTable } from "../util/text-table.ts";
import { parseCount } from "./options.ts";

interface CalibrateOptions {
  data?: string;
  images?: string;
  labels?: string;
  cases?: string[];
  dryRun?: boolean;
  threads?: number;
  engine: EngineName;
  json?: boolean;
}

/** Voxels of all cases together that a fit looks at; more change nothing in the third digit. */
const mostVoxels = 2_000_000;
const mostVoxelsPerCase = 20_000;

export const calibrateCommand = new Command("calibrate")
  .description(
    "Fit the temperature that makes a model's probabilities as sure as they are right, on its own validation cases, and keep it " +
      "in the model file. Labels of a single model stay the same; averages of models and all measures of uncertainty change.",
  )
  .argument("<run...>", "run folders, folders of a cross-validation, or model files")
  .option("--data <dir>", "the data set (default: the one that the run was trained on)")
  .option("--images <dir>", "plain folder of images, instead of a data set folder")
  .option("--labels <dir>", "plain folder of label maps with the same names")
  .addOption(
    new Option(
      "--cases <ids>",
      "labelled cases to calibrate on, ids separated by commas (default: the model's validation cases)",
    ).argParser((text: string) => text.split(",").map((id) => id.trim())),
  )
  .option("--dry-run", "measure only; the model files stay as they are")
  .addOption(new Option("--threads <n>", "compute threads (default: all processors)").argParser(parseCount))
  .addOption(new Option("--engine <name>", "compute engine").choices([...engineNames]).default("wasm"))
  .option("--json", "print the result as JSON")
  .action(async (paths: string[], options: CalibrateOptions) => {
    const runs = (await Promise.all(paths.map(modelFiles))).flat();
    // Every refusal comes before the first minute of work.
    const jobs: Job[] = [];
    for (const path of runs) jobs.push(await jobOf(path, options));
    const backend = await createBackend({ name: options.engine, threads: options.threads });
    const progress = createProgress(process.stderr);
    const done: Result[] = [];
    try {
      for (const job of jobs) {
        const calibration = await calibrateOne(job, backend, progress);
        if (!options.dryRun) await saveModel(job.file, { ...job.model, calibration });
        done.push({ model: job.file, ...calibration });
      }
    } finally {
      progress.close();
      await backend.close();
    }
    process.stdout.write(options.json ? `${JSON.stringify(done, null, 2)}\n` : `${describe(done, options)}\n`);
  });

interface Job {
  /** The model's file. */
  file: string;
  model: Model;
  dataset: Dataset;
  ids: string[];
}

type Result = { model: string } & Calibration;

async function jobOf(file: string, options: CalibrateOptions): Promise<Job> {
  const model = await loadModel(file);
  const ids = options.cases ?? model.provenance.validationCases;
  if (ids.length === 0) {
    fail(
      `Expected validation cases in the record of ${file}, but it was trained on all cases; name labelled cases that it has not seen with --cases.`,
    );
  }
  const known = knownCases(model.provenance);
  const seen = ids.filter((id) => known.has(id));
  if (seen.length > 0) {
    fail(
      `Expected cases that ${file} was not trained on, nor a model that it learned from, but it was on ${listSome(seen)}: on those it is ` +
        `surer than it is right; leave them out (--cases).`,
    );
  }
  const dataset = await datasetOf(file, options);
  const labelled = new Set([...dataset.training, ...dataset.test].flatMap(({ id, label }) => (label ? [id] : [])));
  const missing = ids.filter((id) => !labelled.has(id));
  if (missing.length > 0) {
    fail(
      `Expected labelled cases ${listSome(missing)} in ${dataset.root} to calibrate ${file}, but they are not there.`,
    );
  }
  const names = (list: readonly { name: string }[] | readonly string[]): string =>
    list.map((item) => (typeof item === "string" ? item : item.name)).join(", ");
  if (names(model.plan.channels) !== names(dataset.channels)) {
    fail(
      `Expected the channels ${names(model.plan.channels)} of ${file}, but ${dataset.root} has ${names(dataset.channels)}; give the right --data.`,
    );
  }
  return { file, model, dataset, ids };
}

/** The data set that was asked for, else the one that the record beside the model names. */
async function datasetOf(file: string, { data, images, labels }: CalibrateOptions): Promise<Dataset> {
  if (data || images || labels) return readDataset(data, { images, labels });
  for (const name of ["run.json", "prune.json"]) {
    const record = join(file, "..", name);
    if (!existsSync(record)) continue;
    const { data: place } = (await readJson(record)) as { data?: { path?: string; images?: string; labels?: string } };
    if (place) return readDataset(place.path, { images: place.images, labels: place.labels });
  }
  return fail(`Expected run.json beside ${file} to say where its data lie, but there is none; give --data.`);
}

async function calibrateOne(
  { file, model, dataset, ids }: Job,
  backend: Backend,
  progress: Progress,
): Promise<Calibration> {
  const entries = new Map([...dataset.test, ...dataset.training].map((entry) => [entry.id, entry]));
  async function* prepared(): AsyncGenerator<PreparedCase> {
    for (const [done, id] of ids.entries()) {
      progress.live(`${file}  ${done + 1}/${ids.length} ${id}`);
      const { images, label } = await readCase(entries.get(id)!, dataset.channels, dataset);
      yield prepareCase(images, label, model.plan, id);
    }
  }
  const voxelsPerCase = Math.max(1, Math.min(mostVoxelsPerCase, Math.floor(mostVoxels / ids.length)));
  const { sample, cases, voxels } = await sampleLogits(model, prepared(), backend, { voxelsPerCase });
  if (voxels === 0) {
    fail(
      `Expected foreground in the cases that ${file} is calibrated on, but neither their labels nor the model have any.`,
    );
  }
  return calibrate(sample, { cases, voxels });
}

function describe(results: readonly Result[], { dryRun }: CalibrateOptions): string {
  const rows = results.map(({ model, cases, voxels, temperature, ...score }) => [
    model,
    String(cases),
    voxels.toLocaleString("en-US"),
    temperature.toFixed(3),
    score.eceBefore.toFixed(4),
    score.eceAfter.toFixed(4),
    score.nllBefore.toFixed(4),
    score.nllAfter.toFixed(4),
  ]);
  const head = ["model", "cases", "voxels", "temperature", "ECE before", "after", "NLL before", "after"];
  const lost = results.some(({ temperature }) => temperature > 49);
  const warning = lost
    ? "\nA temperature of 50 is the limit: there the model is as often wrong as a guess. Has it been trained long enough?"
    : "";
  const end = dryRun ? "Nothing was written (--dry-run)." : "The temperatures are in the model files now.";
  return `${textTable([head, ...rows], 1)}${warning}\n${end}`;
}
