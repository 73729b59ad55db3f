import { mkdir, stat } from "node:fs/promises";
import { join, resolve } from "node:path";
import { pathToFileURL } from "node:url";
import { Command, InvalidArgumentError, Option } from "commander";
import { readCase } from "../dataset/load.ts";
import { type PhantomDatasetOptions, writePhantomDataset } from "../dataset/phantom-dataset.ts";
import { readDataset } from "../dataset/read.ts";
import { targetNames } from "../dataset/regions.ts";
import { readChannels, readVolume } from "../dataset/scan.ts";
import type { Dataset } from "../dataset/types.ts";
import { createBackend } from "../engine/backend.ts";
import { type CaseMetrics, evaluateCase } from "../evaluate/case.ts";
import { type Summary, summarise } from "../evaluate/summary.ts";
import { loadModel } from "../model/files.ts";
import type { Model } from "../model/types.ts";
import {
  type CaseChoice,
  findInputs,
  formatLike,
  outputPath,
  type PredictInput,
  writePrediction,
} from "../predict/files.ts";
import { createPredictor } from "../predict/segment.ts";
import type { Budget } from "../train/budget.ts";
import { readLog } from "../train/file-store.ts";
import type { EpochRecord } from "../train/log.ts";
import { createProgress, type Progress } from "../train/progress.ts";
import { runPaths } from "../train/run-folder.ts";
import { trainNet } from "../train/train.ts";
import { counted } from "../util/counted.ts";
import { writeFileAtomic } from "../util/files.ts";
import { reorient } from "../volume/orientation.ts";
import type { Volume } from "../volume/volume.ts";
import { type DemoPicture, demoPage, predictionColour, truthColour } from "./demo-page.ts";
import { fullestSlice, slicePicture } from "./demo-picture.ts";
import { parseCount } from "./options.ts";

export interface DemoOptions {
  /** Folder that gets the page, the run and the predictions (and the made-up scans). */
  out: string;
  /** A data set of the user's; by default scans are made up. */
  data?: string;
  net: string;
  budget: Budget;
  threads?: number;
  /** Size of the made-up data set. */
  phantom?: Pick<PhantomDatasetOptions, "cases" | "test" | "shape">;
  progress: Progress;
}

/** At most so many unseen scans are segmented, so that a large data set does not hold up the page. */
const mostUnseen = 24;

export const demoCommand = new Command("demo")
  .description(
    "Show the whole path at work: train a small net, segment scans that it has not seen, compare, and write a page " +
      "with the results. Without --data it makes up the scans.",
  )
  .option("--data <folder>", "your own data set (a folder with dataset.json) instead of made-up scans")
  .option("--out <folder>", "folder for the page, the run and the predictions", "demo-out")
  .addOption(new Option("--minutes <n>", "time to train for").default(2).argParser(positive))
  .option("--net <net>", "net to train, such as lean:8 or unet:4", "lean:8")
  .addOption(new Option("--threads <n>", "compute threads (default: all processors)").argParser(parseCount))
  .action(async ({ minutes, ...options }: Omit<DemoOptions, "budget" | "progress"> & { minutes: number }) => {
    const progress = createProgress(process.stderr);
    const { page, summary } = await runDemo({ ...options, budget: { minutes }, progress });
    const dice = summary.classes.map(({ name, dice: d }) => `${name} ${d ? d.mean.toFixed(3) : "-"}`).join(", ");
    process.stdout.write(
      `Dice on ${counted(summary.cases.length, "unseen scan")}: ${dice}\nOpen the page: ${pathToFileURL(page).href}\n` +
        `Your own scans: npx lunet demo --data FOLDER, or start with npx lunet verify FOLDER.\n`,
    );
  });

/** The demo itself: the same functions that train, predict and evaluate call. Gives the path of the page. */
export async function runDemo(options: DemoOptions): Promise<{ page: string; summary: Summary }> {
  const { net, budget, threads, progress } = options;
  const out = resolve(options.out);
  const data = options.data ?? (await makeUp(join(out, "data"), options));
  const dataset = await readDataset(data);
  const trained = await trainNet({ data, net, budget, threads, progress, out: join(out, "run"), force: true });
  const model = await loadModel(trained.folder);
  const unseen: CaseChoice = dataset.test.some(({ label }) => label) ? "test" : "val";
  const folder = join(out, "predictions");
  const { inputs, cases } = await predictUnseen({ data, dataset, model, cases: unseen, folder, threads, progress });

  const summary = summarise(cases);
  const paths = runPaths(trained.folder);
  const records = await readLog(paths.log);
  const page = join(out, "index.html");
  const html = demoPage({
    datasetName: dataset.name,
    madeUp: options.data === undefined,
    netName: net,
    parameters: trained.run.parameters,
    modelBytes: (await stat(paths.best)).size,
    trainingCases: trained.run.trainingCases.length,
    unseen:
      unseen === "test" ? "test scans that training never saw" : "validation scans whose voxels it never trained on",
    trainingSeconds: trained.seconds,
    steps: trained.run.result?.last.step ?? trained.run.steps,
    loss: records.map(({ step, loss }) => [step, loss]),
    dice: diceCurves(records, model),
    summary,
    pictures: await picturesOf(inputs, cases, folder),
    next: nextSteps(options, unseen),
  });
  await writeFileAtomic(page, html);
  return { page, summary };
}

async function makeUp(folder: string, { phantom, progress }: DemoOptions): Promise<string> {
  const onProgress = (done: number, total: number): void => progress.live(`making up scans ${done}/${total}`);
  await writePhantomDataset(folder, { ...phantom, onProgress });
  progress.say(`Made-up scans are in ${folder}`);
  return folder;
}

interface Unseen {
  data: string;
  dataset: Dataset;
  model: Model;
  cases: CaseChoice;
  folder: string;
  threads?: number;
  progress: Progress;
}

async function predictUnseen(work: Unseen): Promise<{ inputs: PredictInput[]; cases: CaseMetrics[] }> {
  const { data, dataset, model, folder, progress } = work;
  const found = await findInputs([data], [model], { cases: work.cases });
  const inputs = found.filter(({ label }) => label).slice(0, mostUnseen);
  const cases: CaseMetrics[] = [];
  await mkdir(folder, { recursive: true });
  const backend = await createBackend({ threads: work.threads });
  try {
    const predictor = createPredictor(model, { backend });
    for (const [index, input] of inputs.entries()) {
      progress.live(`segmenting ${index + 1}/${inputs.length} ${input.id}`);
      const { images, label } = await readCase(input, dataset.channels, dataset);
      const { labels } = await predictor.segment(images, { id: input.id });
      await writePrediction(folder, input.id, labels, await formatLike(input.images[0]));
      cases.push(evaluateCase(input.id, labels, label!, dataset.labels, { regions: dataset.regions }));
    }
    predictor.close();
  } finally {
    progress.close();
    await backend.close();
  }
  return { inputs, cases };
}

/** One curve for each class, or region where the model has these. */
export function diceCurves(
  records: readonly EpochRecord[],
  { plan }: Pick<Model, "plan">,
): { name: string; points: [number, number][] }[] {
  return targetNames(plan).map((name, i) => ({
    name: `validation ${name}`,
    points: records.flatMap(({ step, validationDice }): [number, number][] => {
      const dice = validationDice?.[i];
      return typeof dice === "number" ? [[step, dice]] : [];
    }),
  }));
}

/** The best, the middle and the worst case by mean Dice; scans of more than one slice are turned upright (RAS+). */
async function picturesOf(
  inputs: readonly PredictInput[],
  cases: readonly CaseMetrics[],
  folder: string,
): Promise<DemoPicture[]> {
  const mean = ({ classes }: CaseMetrics): number => classes.reduce((sum, { dice }) => sum + dice, 0) / classes.length;
  const order = cases.map((_, index) => index).sort((a, b) => mean(cases[b]) - mean(cases[a]));
  const last = order.length - 1;
  const chosen = new Map([
    [order[last], "worst"],
    [order[last >> 1], "middle"],
    [order[0], "best"],
  ]);
  const pictures: DemoPicture[] = [];
  for (const [index, note] of [...chosen].reverse()) {
    const input = inputs[index];
    // The first channel: in the Decathlon's layout one file may hold several.
    const [scan] = await readChannels(input.images[0]);
    const upright = (volume: Volume): Volume =>
      scan.shape[0] === 1 ? volume : reorient({ ...volume, affine: scan.affine });
    const image = upright(scan);
    const truth = upright(await readVolume(input.label!));
    const format = await formatLike(input.images[0]);
    const prediction = upright(await readVolume(outputPath(folder, input.id, format, scan.shape[0])));
    const outlines = [
      { label: truth, colour: truthColour },
      { label: prediction, colour: predictionColour },
    ];
    const png = await slicePicture(image, outlines, fullestSlice(truth));
    pictures.push({ caseId: input.id, note: `${note}, Dice ${mean(cases[index]).toFixed(3)}`, png });
  }
  return pictures;
}

function nextSteps({ out, data }: DemoOptions, cases: CaseChoice): { command: string; does: string }[] {
  const folder = data ?? "FOLDER";
  return [
    { command: `npx lunet verify ${folder}`, does: "checks every file of your data set (nnU-Net or MSD layout)" },
    { command: `npx lunet train ${folder} --out runs/first --minutes 10`, does: "trains on it, one fold held back" },
    {
      command: `npx lunet predict ${data ?? join(out, "data")} --cases ${cases} --model ${join(out, "run")}`,
      does: "segments with the demo's net",
    },
    {
      command: `npx lunet export ${join(out, "run")} --onnx net.onnx`,
      does: "writes the demo's net for other programs",
    },
  ];
}

function positive(text: string): number {
  const value = Number(text);
  if (!(value > 0 && Number.isFinite(value))) throw new InvalidArgumentError("Expected a number above 0.");
  return value;
}
