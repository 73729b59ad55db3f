import { Command } from "commander";
import { targetNames } from "../dataset/regions.ts";
import type { Plan } from "../dataset/types.ts";
import { type FoldsResult, trainFolds } from "../folds/folds.ts";
import { holdsFolds } from "../folds/record.ts";
import { foldsTable } from "../folds/summary.ts";
import { parseBudget } from "../train/budget.ts";
import { createProgress, diceText, durationText } from "../train/progress.ts";
import { defaultNet } from "../train/resolve-setup.ts";
import { runPaths } from "../train/run-folder.ts";
import { type TrainOptions, type TrainResult, trainNet } from "../train/train.ts";
import { counted } from "../util/counted.ts";
import { fail } from "../util/errors.ts";
import { readJson } from "../util/files.ts";
import { parseCount } from "./options.ts";
import { interruptedCode, untilStopped } from "./stop.ts";
import {
  addGroups,
  dataOptions,
  netOptions,
  option,
  parseNumber,
  recipeOptions,
  runOptions,
  supervisionOptions,
  type TrainingOptions,
  trainingOptionsOf,
} from "./training-options.ts";

interface TrainCommandOptions extends TrainingOptions {
  minutes?: number;
  epochs?: number;
  steps?: number;
  lowMemory?: boolean;
  jobs?: number;
  tiles?: TrainOptions["tiles"];
}

const command = new Command("train")
  .description(
    "Train a net on a data set into a run folder. Ctrl-C keeps what is done; --resume goes on, bit for bit as if it had " +
      "never stopped.",
  )
  .argument("[data]", "data set folder with dataset.json (nnU-Net raw or MSD layout)");

addGroups(command, [
  ["Data:", dataOptions("fold that validates, from 0; all trains every fold; none trains on all cases (default: 0)")],
  [
    "Run:",
    [
      option("--out <dir>", "run folder to make").makeOptionMandatory(),
      option("--resume", "go on with the run in --out; what is not stated is as it was started"),
      option("--force", "replace the run in --out"),
      option(
        "--minutes <n>",
        "time for everything (with --fold all: of each fold), checks included; the steps that fit are planned at the start, and anew when the machine changes its pace (default: 10)",
        parseNumber,
      ),
      option("--epochs <n>", "instead of --minutes", parseNumber),
      option("--steps <n>", "instead of --minutes; repeats a run exactly", parseNumber),
      option("--epoch-steps <n>", "steps between checkpoints (default: about one pass over the cases)", parseCount),
      option(
        "--low-memory",
        "keep fewer activations and make them again: about half the memory and the same result, a little slower",
      ),
      option(
        "--jobs <n>",
        "with --fold all: folds at a time, each in a process of its own with its share of the threads (default: 1)",
        parseCount,
      ),
      ...runOptions(),
      option(
        "--tiles <name>",
        "register tile of the wasm engine; other processors, and pages, give the same bits with the same one (default: the fastest)",
      ).choices(["merged-256", "fma-128", "mul-add-128"]),
    ],
  ],
  ["Net:", netOptions(defaultNet)],
  ["Recipe (defaults: those of the preset):", [...recipeOptions(), ...supervisionOptions()]],
]);

export const trainCommand = command
  .addHelpText(
    "after",
    `
Examples:
  lunet train data/hippocampus --net lean:8 --minutes 10 --out runs/lean8
  lunet train --resume --out runs/lean8
  lunet train data/hippocampus --fold all --minutes 10 --jobs 2 --out runs/lean8-folds
  lunet train data/hippocampus --fold none --preset paper --batch 4 --epochs 50 --out runs/paper

The run folder: model.safetensors (best on validation), model-last.safetensors, plan.json, run.json (all settings),
log.jsonl (a line an epoch), progress.svg, checkpoint.safetensors. With --fold all it holds fold0, fold1, ..., which are run folders,
plan.json and cross-validation.json (settings and summary).`,
  )
  .action(async (data: string | undefined, options: TrainCommandOptions) => {
    const { minutes, epochs, steps } = options;
    const stated = [minutes, epochs, steps].some((value) => value !== undefined);
    const all = options.fold === "all" || (options.fold === undefined && options.resume && holdsFolds(options.out));
    if (!all && options.jobs !== undefined) fail("Expected --jobs together with --fold all; one run is one process.");
    const given = {
      ...trainingOptionsOf(data, { ...options, fold: all ? undefined : options.fold }),
      budget: stated ? parseBudget({ minutes, epochs, steps }) : undefined,
      lowMemory: options.lowMemory,
      tiles: options.tiles,
      progress: createProgress(process.stderr),
    };
    if (all) {
      const { jobs } = options;
      reportFolds(await untilStopped((watch) => trainFolds({ ...given, ...watch, jobs })), options);
      return;
    }
    await report(await untilStopped((watch) => trainNet({ ...given, ...watch })), options);
  });

async function report({ run, folder, seconds }: TrainResult, options: TrainCommandOptions): Promise<void> {
  if (run.state === "interrupted") {
    process.stderr.write(`Stopped; a checkpoint is kept. Go on with: lunet train --resume --out ${options.out}\n`);
    process.exitCode = interruptedCode;
  }
  if (options.json) {
    process.stdout.write(`${JSON.stringify({ folder, seconds, ...run }, null, 2)}\n`);
    return;
  }
  if (!run.result) return;
  if (run.state === "stopped at the time limit") {
    process.stderr.write(
      `The time was up after ${run.result.last.step} of ${counted(run.steps, "step")}, so the learning rate had not come down to its end: ` +
        `the machine was slower than measured at the start. Do the rest with: lunet train --resume --out ${options.out}\n`,
    );
  }
  const plan = (await readJson(runPaths(folder).plan)) as Plan;
  const { best } = run.result;
  const dice =
    best.dice && best.meanDice !== null
      ? `validation Dice ${diceText([best.meanDice])} (${targetNames(plan)
          .map((name, i) => `${name} ${diceText([best.dice![i]])}`)
          .join(", ")}) at step ${best.step}`
      : `trained on all cases, ${counted(best.step, "step")}`;
  process.stdout.write(`${dice}; ${durationText(seconds)}\n${runPaths(options.out).best}\n`);
}

function reportFolds({ record, folder, seconds, interrupted }: FoldsResult, options: TrainCommandOptions): void {
  if (interrupted) {
    process.stderr.write(`Stopped; what is done is kept. Go on with: lunet train --resume --out ${options.out}\n`);
    process.exitCode = interruptedCode;
  }
  const { summary } = record;
  if (options.json) {
    process.stdout.write(`${JSON.stringify({ folder, seconds, interrupted, ...record }, null, 2)}\n`);
    return;
  }
  if (!summary) return;
  const late = summary.folds.filter(({ state }) => state === "stopped at the time limit");
  if (late.length > 0) {
    process.stderr.write(
      `The time was up for fold ${late.map(({ fold }) => fold).join(", ")} before the last step. Do the rest with: ` +
        `lunet train --resume --out ${options.out}\n`,
    );
  }
  process.stdout.write(
    `Validation Dice of each fold's best weights\n${foldsTable(summary)}\n${durationText(seconds)}\n`,
  );
}
