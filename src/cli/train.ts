import { Command, InvalidArgumentError, Option } from "commander";
import { parseBudget } from "../train/budget.ts";
import { parseAugment, parsePreset } from "../train/presets.ts";
import { createProgress, diceText, durationText } from "../train/progress.ts";
import { runPaths } from "../train/run-folder.ts";
import { parseSchedule } from "../train/schedule.ts";
import { classNames } from "../train/session.ts";
import { defaultNet } from "../train/setup.ts";
import { type TrainResult, trainNet } from "../train/train.ts";
import { readJson } from "../util/files.ts";
import { parseCount } from "./options.ts";
import { parseMirror } from "./plan.ts";

interface TrainCommandOptions {
  images?: string;
  labels?: string;
  out: string;
  resume?: boolean;
  force?: boolean;
  net?: string;
  levels?: number;
  convs?: number;
  plan?: string;
  mirror?: number[];
  fold?: string;
  folds?: number;
  groups?: string;
  preset?: string;
  minutes?: number;
  epochs?: number;
  steps?: number;
  epochSteps?: number;
  lr?: number;
  schedule?: string;
  warmup?: number;
  batch?: number;
  patch?: string;
  augment?: string;
  loss?: string;
  optimiser?: string;
  weightDecay?: number;
  clip?: number;
  ema?: number;
  dropout?: number;
  seed?: number;
  threads?: number;
  engine?: "wasm" | "reference";
  json?: boolean;
}

/** What the shell sees after Ctrl-C. */
const interruptedCode = 130;

const number = (text: string): number => {
  const value = Number(text);
  if (text.trim() === "" || !Number.isFinite(value)) throw new InvalidArgumentError("Expected a number.");
  return value;
};
const option = (flags: string, description: string, parser?: (text: string) => unknown): Option => {
  const made = new Option(flags, description);
  return parser ? made.argParser(parser) : made;
};

const command = new Command("train")
  .description(
    "Train a net on a data set into a run folder. Ctrl-C keeps what is done; --resume goes on, bit for bit as if it had " +
      "never stopped.",
  )
  .argument("[data]", "data set folder with dataset.json (nnU-Net raw or MSD layout)");

const groups: [string, Option[]][] = [
  [
    "Data:",
    [
      option("--images <dir>", "plain folder of images, instead of a data set folder"),
      option("--labels <dir>", "plain folder of label maps with the same names"),
      option("--fold <k>", "fold that validates, from 0; none trains on all cases (default: 0)"),
      option("--folds <n>", "make this many folds (default: those of splits.json, else 5)", number),
      option(
        "--groups <how>",
        "keep a subject's cases in one fold: pattern like '^(sub-[0-9]+)', or .json/.csv/.tsv table",
      ),
      option("--plan <file>", "a plan.json to use instead of planning"),
      option(
        "--mirror <axes>",
        "axes along which mirroring keeps the meaning: D,H,W, or none (default: none)",
        parseMirror,
      ),
    ],
  ],
  [
    "Run:",
    [
      new Option("--out <dir>", "run folder to make").makeOptionMandatory(),
      option("--resume", "go on with the run in --out; what is not stated is as it was started"),
      option("--force", "replace the run in --out"),
      option(
        "--minutes <n>",
        "time for everything, checks included; the steps that fit are planned at the start, and anew when the machine changes its pace (default: 10)",
        number,
      ),
      option("--epochs <n>", "instead of --minutes", number),
      option("--steps <n>", "instead of --minutes; repeats a run exactly", number),
      option("--epoch-steps <n>", "steps between checkpoints (default: about one pass over the cases)", parseCount),
      option("--seed <n>", "same seed, same result (default: 0)", number),
      option("--threads <n>", "compute threads; they change the time, not the result (default: all)", parseCount),
      option("--engine <name>", "wasm, or the slow plain reference (default: wasm)").choices(["wasm", "reference"]),
      option("--json", "print the result as JSON; progress goes to stderr"),
    ],
  ],
  [
    "Net:",
    [
      option("--net <net>", `lean:8, unet:4, or a .json file of widths (default: ${defaultNet})`),
      option("--levels <n>", "resolution levels, bottleneck counted (default: from the plan)", parseCount),
      option("--convs <n>", "convolutions a block (default: 2)", parseCount),
    ],
  ],
  [
    "Recipe (defaults: those of the preset):",
    [
      option("--preset <name>", "strong, or paper (Lean Unet, arXiv 2512.03834) (default: strong)"),
      option("--lr <n>", "learning rate", number),
      option("--schedule <kind>", "constant, poly or cosine"),
      option("--warmup <share>", "share of the steps over which the rate climbs", number),
      option("--batch <n>", "windows a step", number),
      option("--patch <shape>", "training window, as in 32x48x32"),
      option(
        "--augment <level>",
        "none, light (intensities, mirroring) or full (nnU-Net's; strong runs it from 3000 steps on, light below)",
      ),
      option("--loss <terms>", "dice, ce, focal, tversky joined by +, with weights, as in dice+ce:0.5"),
      option("--optimiser <name>", "adamw, adam or sgd"),
      option("--weight-decay <n>", "weight decay of the optimiser", number),
      option("--clip <n>", "limit of the gradient norm; 0 is none", number),
      option("--ema <decay>", "moving average of the weights; 0 is none", number),
      option("--dropout <p>", "probability that a channel is dropped", number),
    ],
  ],
];
for (const [heading, options] of groups) {
  for (const one of options) command.addOption(one.helpGroup(heading));
}

export const trainCommand = command
  .addHelpText(
    "after",
    `
Examples:
  lunet train data/hippocampus --net lean:8 --minutes 10 --out runs/lean8
  lunet train --resume --out runs/lean8
  lunet train data/hippocampus --fold none --preset paper --batch 4 --epochs 50 --out runs/paper

The run folder: model.safetensors (best on validation), model-last.safetensors, plan.json, run.json (all settings),
log.jsonl (a line an epoch), progress.svg, checkpoint.safetensors.`,
  )
  .action(async (data: string | undefined, options: TrainCommandOptions) => {
    const stopper = new AbortController();
    let begun = false;
    let asked = Number.POSITIVE_INFINITY;
    const stop = (): void => {
      const now = performance.now();
      // At once where nothing is trained yet, and when asked again; but a terminal and a parent process may both pass on one
      // Ctrl-C, so not within a second.
      if (!begun || now - asked > 1000) process.exit(interruptedCode);
      asked = Math.min(asked, now);
      stopper.abort();
    };
    process.on("SIGINT", stop).on("SIGTERM", stop);
    try {
      const result = await trainNet({
        ...optionsOf(data, options),
        progress: createProgress(process.stderr),
        signal: stopper.signal,
        onBegin: () => {
          begun = true;
        },
      });
      await report(result, options);
    } finally {
      process.off("SIGINT", stop).off("SIGTERM", stop);
    }
  });

function optionsOf(data: string | undefined, options: TrainCommandOptions) {
  const { minutes, epochs, steps } = options;
  const stated = [minutes, epochs, steps].some((value) => value !== undefined);
  return {
    data,
    images: options.images,
    labels: options.labels,
    out: options.out,
    resume: options.resume,
    force: options.force,
    net: options.net,
    levels: options.levels,
    convs: options.convs,
    plan: options.plan,
    mirrorAxes: options.mirror,
    fold: options.fold === undefined ? undefined : parseFold(options.fold),
    folds: options.folds,
    groups: options.groups,
    preset: options.preset === undefined ? undefined : parsePreset(options.preset),
    budget: stated ? parseBudget({ minutes, epochs, steps }) : undefined,
    epochSteps: options.epochSteps,
    engine: options.engine,
    threads: options.threads,
    settings: {
      learningRate: options.lr,
      schedule: options.schedule === undefined ? undefined : parseSchedule(options.schedule),
      warmup: options.warmup,
      batch: options.batch,
      window: options.patch,
      augment: options.augment === undefined ? undefined : parseAugment(options.augment),
      loss: options.loss,
      optimiser: options.optimiser,
      weightDecay: options.weightDecay,
      clip: options.clip,
      ema: options.ema,
      dropout: options.dropout,
      seed: options.seed,
    },
  };
}

/** Whether the number is a fold of the set is checked when the set is read. */
function parseFold(text: string): number | null {
  return text === "none" ? null : text.trim() === "" ? Number.NaN : Number(text);
}

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
      `The time was up after ${run.result.last.step} of ${run.steps} steps, so the learning rate had not come down to its end: ` +
        `the machine was slower than measured at the start. Do the rest with: lunet train --resume --out ${options.out}\n`,
    );
  }
  const plan = (await readJson(runPaths(folder).plan)) as { labels: { value: number; name: string }[] };
  const { best } = run.result;
  const dice =
    best.dice && best.meanDice !== null
      ? `validation Dice ${diceText([best.meanDice])} (${classNames(plan)
          .map((name, i) => `${name} ${diceText([best.dice![i]])}`)
          .join(", ")}) at step ${best.step}`
      : `trained on all cases, ${best.step} steps`;
  process.stdout.write(`${dice}; ${durationText(seconds)}\n${runPaths(options.out).best}\n`);
}
