import { extname } from "node:path";
import { Command } from "commander";
import { prepareDataset } from "../dataset/load.ts";
import type { Dataset, Plan, PreparedCase } from "../dataset/types.ts";
import { createPngMaker, pngPackages } from "../study/figures-render.ts";
import { parseAugment } from "../train/presets.ts";
import { createProgress, type Progress } from "../train/progress.ts";
import { setUpRun } from "../train/setup.ts";
import { fail } from "../util/errors.ts";
import { writeFileAtomic } from "../util/files.ts";
import { textTable } from "../util/text-table.ts";
import { sheetRows } from "./augment-rows.ts";
import { augmentSheet } from "./augment-sheet.ts";
import { type AugmentTime, timeAugmentation } from "./augment-time.ts";
import { parseCount } from "./options.ts";
import { parseMirror } from "./plan.ts";
import { parseNumber } from "./training-options.ts";

interface AugmentOptions {
  images?: string;
  labels?: string;
  plan?: string;
  mirror?: number[];
  patch?: string;
  batch?: number;
  shift?: number;
  level: string;
  case?: string;
  seed: number;
  draws: number;
  preview?: string;
  time?: boolean;
}

export const augmentCommand = new Command("augment")
  .description(
    "Show what augmentation does to one scan: a contact sheet with each transform alone, at the ends of its range and as " +
      "drawn, and with windows as training gets them. Windows, plan and shift are those that train would use.",
  )
  .argument("[data]", "data set folder with dataset.json (nnU-Net raw or MSD layout)")
  .option("--images <dir>", "plain folder of images, instead of a data set folder")
  .option("--labels <dir>", "plain folder of label maps with the same names")
  .option("--preview <file>", "contact sheet to write, .png or .svg; a file of this name is replaced")
  .option("--time", "print the processor time of each transform for a batch")
  .option("--level <level>", "light, full, spatial or intensity", "full")
  .option("--case <id>", "the scan (default: the first with a label that is not empty)")
  .option("--seed <n>", "of all that is drawn", parseNumber, 0)
  .option("--draws <n>", "random results of each transform", parseCount, 3)
  .option("--plan <file>", "a plan.json to use instead of planning")
  .option("--mirror <axes>", "axes along which mirroring keeps the meaning: D,H,W, or none", parseMirror)
  .option("--patch <shape>", "training window, as in 32x48x32 (default: that of the preset strong)")
  .option("--batch <n>", "windows a step, for --time (default: that of the preset strong)", parseNumber)
  .option(
    "--shift <share>",
    "least share of the window by which windows move about the middle (default: that of the preset strong)",
    parseNumber,
  )
  .addHelpText(
    "after",
    `
Examples:
  lunet augment data/hippocampus --preview sheet.png
  lunet augment data/nodules --level light --mirror H,W --case lidc_0007_01 --preview sheet.png
  lunet augment data/hippocampus --time`,
  )
  .action(async (data: string | undefined, options: AugmentOptions) => {
    const { preview } = options;
    if (!preview && !options.time) fail("Expected --preview with a file to write, as in sheet.png, or --time.");
    const level = parseAugment(options.level);
    if (!(Number.isInteger(options.seed) && options.seed >= 0)) {
      fail(`Expected --seed to be a whole number of 0 or more, but got ${options.seed}.`);
    }
    const write = preview ? await sheetWriter(preview) : null;
    const progress = createProgress(process.stderr);
    const { images, labels, plan: planFile, mirror: mirrorAxes, patch: window, batch, shift, seed } = options;
    const setup = await setUpRun(
      { data, images, labels, plan: planFile, mirrorAxes, fold: null, settings: { window, batch, shift, seed } },
      progress,
    );
    const { dataset, plan, settings } = setup;
    const prepared = await chooseCase(dataset, plan, options.case, progress);
    progress.close();
    const how = { window: settings.window, batch: settings.batch, level, shift: settings.shift ?? 0, seed };
    if (write) {
      const rows = sheetRows(prepared, plan, { ...how, draws: options.draws });
      const shown = [0, 1, 2].filter((axis) => plan.dimensions === 3 || axis > 0);
      const along = (values: readonly unknown[]): string => shown.map((axis) => values[axis]).join(" x ");
      const spacing = along(plan.spacing.map((mm) => Number(mm.toPrecision(3))));
      await write(
        await augmentSheet(rows, {
          title: `Augmentation "${level}" of ${prepared.id}, ${dataset.name}`,
          words: [
            `Windows of ${along(how.window)} voxels at ${spacing} mm (${along(["D", "H", "W"])}), the middle slice; seed ${seed}.`,
            "Percentages: how often a window gets a transform.",
          ],
          classes: plan.labels.slice(1).map(({ name }) => name),
          spacing: plan.spacing,
          axis: cutAxis(plan, how.window),
          upwards: plan.dimensions === 3,
        }),
      );
      process.stdout.write(`${preview}\n`);
    }
    if (options.time) process.stdout.write(`${timeText(timeAugmentation(prepared, plan, how), how)}\n`);
  });

/** Checks the file's ending and what it needs before anything is read. */
async function sheetWriter(path: string): Promise<(svg: string) => Promise<void>> {
  const ending = extname(path).toLowerCase();
  if (ending === ".svg") return (svg) => writeFileAtomic(path, svg);
  if (ending !== ".png") fail(`Expected --preview to end in .png or .svg, but got ${path}.`);
  const toPng = await createPngMaker();
  if (!toPng) {
    fail(
      `PNG needs optional packages that are missing; install them with "npm install ${pngPackages.join(" ")}", or give ` +
        `--preview a name that ends in .svg.`,
    );
  }
  return (svg) => writeFileAtomic(path, toPng(svg, 1));
}

/** The case of an id, else the first one in which something is labelled. */
async function chooseCase(
  dataset: Dataset,
  plan: Plan,
  id: string | undefined,
  progress: Progress,
): Promise<PreparedCase> {
  const { training } = dataset;
  if (id !== undefined && !training.some((entry) => entry.id === id)) {
    const some = training.slice(0, 3).map((entry) => entry.id);
    fail(`Expected --case to be a training case of ${dataset.name}, as in ${some.join(", ")}, but got ${id}.`);
  }
  let first: PreparedCase | undefined;
  for (const entry of id === undefined ? training : [{ id }]) {
    progress.live(`reading ${entry.id}`);
    const [prepared] = await prepareDataset(dataset, plan, { ids: [entry.id] });
    if (id !== undefined || prepared.label?.some((value) => value > 0)) return prepared;
    first ??= prepared;
  }
  return first ?? fail(`Expected training cases in ${dataset.name}, but it has none.`);
}

/** Across the single or the thickest slices; of equally thick ones, across D. */
function cutAxis({ spacing }: Plan, window: readonly number[]): number {
  const single = window.indexOf(1);
  return single >= 0 ? single : spacing.indexOf(Math.max(...spacing));
}

function timeText(
  times: readonly AugmentTime[],
  { window, batch }: { window: readonly number[]; batch: number },
): string {
  const rows = times.slice(0, -1).map(({ name, probability, always, mean }) => {
    return [name, `${(100 * probability).toFixed(1)} %`, `${always.toFixed(2)} ms`, `${mean.toFixed(2)} ms`];
  });
  return [
    `Processor time for ${batch} windows of ${window.join("x")}:`,
    textTable([["transform", "comes to", "if always", "on average"], ...rows], 1),
    `a whole batch: ${times[times.length - 1].mean.toFixed(2)} ms`,
  ].join("\n");
}
