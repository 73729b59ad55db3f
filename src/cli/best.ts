import { Command, Option } from "commander";
import { type EngineName, engineNames } from "../engine/backend.ts";
import { chooseBest } from "../folds/best.ts";
import { createProgress } from "../train/progress.ts";
import { parseCount } from "./options.ts";

interface BestCommandOptions {
  data?: string;
  images?: string;
  labels?: string;
  ensembles: boolean;
  tryTta?: boolean;
  export?: string;
  threads?: number;
  engine: EngineName;
  json?: boolean;
}

export const bestCommand = new Command("best")
  .description(
    "Predict every case with the models that have not seen it, choose the best configuration or average of configurations, and the " +
      "post-processing that helps. The choice is written into the models, and predict obeys it.",
  )
  .argument("<dir...>", "folders of train --fold all, of the same folds of the same data")
  .option("--data <dir>", "the data set (default: where it was when the folds were trained)")
  .option("--images <dir>", "plain folder of images, instead of a data set folder")
  .option("--labels <dir>", "plain folder of label maps with the same names")
  .option("--no-ensembles", "leave out averages of several configurations")
  .option(
    "--try-tta",
    "also average over mirror images, where the plan allows them, and shifts; taken if surely better",
  )
  .option(
    "--export <dir>",
    "also write the chosen models, with the choice and nothing else, into a folder of their own",
  )
  .addOption(new Option("--threads <n>", "compute threads (default: all processors)").argParser(parseCount))
  .addOption(new Option("--engine <name>", "compute engine").choices([...engineNames]).default("wasm"))
  .option("--json", "print the result as JSON")
  .addHelpText(
    "after",
    `
Examples:
  lunet best runs/lean8-folds
  lunet best runs/lean8-folds runs/lean16-folds --try-tta --export models/hippocampus

Writes best.json, best.txt and out-of-fold/ (a label map of every case) beside the folds.`,
  )
  .action(async (folders: string[], options: BestCommandOptions) => {
    const { export: exportTo, json, ...rest } = options;
    const progress = createProgress(process.stderr);
    const result = await chooseBest({ ...rest, folders, exportTo, progress });
    if (json) {
      const { best, folders: chosen, outOfFold } = result;
      process.stdout.write(`${JSON.stringify({ ...best, folders: chosen, outOfFold }, null, 2)}\n`);
      return;
    }
    const models = (exportTo === undefined ? result.folders : [exportTo])
      .map((folder) => `--model ${folder}`)
      .join(" ");
    process.stdout.write(
      `${result.text}\nLabel maps: ${result.outOfFold}\nUse it with: lunet predict SCANS ${models}\n`,
    );
  });
