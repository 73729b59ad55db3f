import { Command } from "commander";
import { criteria, parseCriterion } from "../prune/importance.ts";
import { parseUntil } from "../prune/limits.ts";
import { parsePick, pickRules } from "../prune/pick.ts";
import { defaultNet, pruneNet } from "../prune/prune.ts";
import { defaults } from "../prune/settings.ts";
import type { Length, LevelLoss, PrunedSize, PruneResult } from "../prune/types.ts";
import { createProgress, diceText, durationText } from "../train/progress.ts";
import { counted } from "../util/counted.ts";
import { fail } from "../util/errors.ts";
import { textTable } from "../util/text-table.ts";
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
  type TrainingOptions,
  trainingOptionsOf,
} from "./training-options.ts";

interface PruneCommandOptions extends TrainingOptions {
  from?: string;
  minutes?: number;
  lowMemory?: boolean;
  criterion?: string;
  pick?: string;
  largestBy?: "width" | "parameters";
  remove?: number;
  warmSteps?: number;
  warmEpochs?: number;
  recoverySteps?: number;
  recoveryEpochs?: number;
  recoveryLr?: number;
  until?: string[];
  patience?: number;
  rankBatches?: number;
  targeted?: boolean;
  checkEvery?: number;
  checkCases?: number;
  within?: number;
}

const listed = (choices: Record<string, string>): string =>
  Object.entries(choices)
    .map(([name, meaning]) => `${name} (${meaning})`)
    .join("; ");
const collect = (text: string, before: string[] = []): string[] => [...before, text];

const command = new Command("prune")
  .description(
    "Train a net, or take a trained one, and remove channels step by step with training in between (STAMP). Every size is " +
      "saved and checked. Ctrl-C keeps what is done; --resume goes on, bit for bit as if it had never stopped.",
  )
  .argument("[data]", "data set folder with dataset.json (nnU-Net raw or MSD layout)");

addGroups(command, [
  ["Data:", dataOptions()],
  [
    "Run:",
    [
      option("--out <dir>", "folder to make").makeOptionMandatory(),
      option("--resume", "go on with the run in --out; what is not stated is as it was started"),
      option("--force", "replace the run in --out"),
      option(
        "--minutes <n>",
        "time for everything: the training before and between removals is planned to fill it, and anew when the machine changes its pace; what --warm-... or --recovery-... state stays; when the time is up the run ends after its step and can be resumed. With --resume: time of that call, the plan stays (default: no limit)",
        parseNumber,
      ),
      option(
        "--low-memory",
        "keep fewer activations and make them again, in training and ranking: about half the memory and the same result, a little slower",
      ),
      option("--epoch-steps <n>", "steps between checkpoints (default: about one pass over the cases)", parseCount),
      ...runOptions(),
    ],
  ],
  [
    "Net:",
    [
      option("--from <model>", "a run folder or model file to prune, instead of training a net from the start"),
      ...netOptions(defaultNet),
    ],
  ],
  [
    "Pruning:",
    [
      option("--pick <rule>", `which channels go: ${listed(pickRules)} (default: ${defaults.pick})`),
      option(
        "--criterion <name>",
        `what channels are ranked by, u being a convolution's output: ${listed(criteria)} (default: ${defaults.criterion})`,
      ),
      option("--largest-by <what>", "what makes a layer the largest (default: width)").choices(["width", "parameters"]),
      option("--remove <k>", `channels a step (default: ${defaults.remove})`, parseCount),
      option(
        "--until <limit>",
        "parameters=N or channels=N (so many are left), removed=N, each also as a share such as 10%, or dice-drop=D below the best; repeat it for several, the first that is met ends the run (default: parameters=10%)",
      ).argParser(collect),
      option(
        "--warm-epochs <n>",
        `epochs before the first removal (default: ${defaults.warmEpochs}, or as fit --minutes; 0 with --from)`,
        parseNumber,
      ),
      option("--warm-steps <n>", "instead of --warm-epochs", parseNumber),
      option(
        "--recovery-epochs <r>",
        `epochs after each removal (default: ${defaults.recoveryEpochs}, or as fit --minutes)`,
        parseNumber,
      ),
      option("--recovery-steps <n>", "instead of --recovery-epochs", parseNumber),
      option(
        "--recovery-lr <n>",
        "learning rate of the recoveries (default: --lr); --schedule runs over each of them",
        parseNumber,
      ),
      option(
        "--patience <n>",
        "end a recovery after so many epochs without a better validation Dice; 0 never does (default: 0)",
        parseNumber,
      ),
      option("--rank-batches <n>", "batches to rank on (default: one pass over the cases, at most 32)", parseCount),
      option("--targeted", "channel dropout aimed at unimportant layers (default where channels are ranked)"),
      option("--no-targeted", "channel dropout as --dropout says"),
      option("--check-every <n>", "sizes between validation checks (default: 1)", parseCount),
      option("--check-cases <n>", "validation cases of a check (default: all)", parseCount),
      option(
        "--within <dice>",
        "model.safetensors is the smallest size this close to the best Dice, as in 0.005 (default: 0, the best)",
        parseNumber,
      ),
    ],
  ],
  ["Recipe (defaults: those of the preset):", recipeOptions()],
]);

export const pruneCommand = command
  .addHelpText(
    "after",
    `
Examples:
  lunet prune data/hippocampus --net unet:4 --out runs/pruned
  lunet prune data/hippocampus --net unet:4 --pick random-at-largest --until channels=40% --out runs/random
  lunet prune data/hippocampus --from runs/unet8 --remove 16 --recovery-steps 50 --within 0.005 --out runs/smaller
  lunet prune data/hippocampus --net unet:4 --minutes 60 --out runs/hour
  lunet prune --resume --out runs/pruned
  lunet predict scans --model runs/pruned/sizes/step-0042.safetensors --out predictions

The folder: prune.json (all settings), plan.json, sizes/ (a model per size), curve.jsonl (a line a size), curve.svg
(Dice against parameters), model.safetensors (chosen on validation), checkpoint.safetensors.`,
  )
  .action(async (data: string | undefined, options: PruneCommandOptions) => {
    const { criterion, pick, until } = options;
    const given = {
      ...trainingOptionsOf(data, options),
      from: options.from,
      minutes: options.minutes,
      lowMemory: options.lowMemory,
      criterion: criterion === undefined ? undefined : parseCriterion(criterion),
      pick: pick === undefined ? undefined : parsePick(pick),
      largestBy: options.largestBy,
      remove: options.remove,
      warm: lengthOf("warm", options.warmSteps, options.warmEpochs),
      recovery: lengthOf("recovery", options.recoverySteps, options.recoveryEpochs),
      recoveryRate: options.recoveryLr,
      until: until === undefined ? undefined : parseUntil(until),
      patience: options.patience,
      rankBatches: options.rankBatches,
      targeted: options.targeted,
      checkEvery: options.checkEvery,
      checkCases: options.checkCases,
      within: options.within,
      progress: createProgress(process.stderr),
    };
    report(await untilStopped((watch) => pruneNet({ ...given, ...watch })), options);
  });

function lengthOf(name: string, steps: number | undefined, epochs: number | undefined): Length | undefined {
  if (steps !== undefined && epochs !== undefined) {
    fail(`Expected --${name}-steps or --${name}-epochs, but got both; leave one of them out.`);
  }
  return steps !== undefined ? { steps } : epochs !== undefined ? { epochs } : undefined;
}

function report({ run, folder, curve, seconds }: PruneResult, { json, out }: PruneCommandOptions): void {
  if (run.state === "interrupted") {
    process.stderr.write(`Stopped; a checkpoint is kept. Go on with: lunet prune --resume --out ${out}\n`);
    process.exitCode = interruptedCode;
  }
  if (run.state === "stopped at the time limit") {
    process.stderr.write(
      `The time was up${run.result ? "" : " before the first size was done"}; a checkpoint is kept. Do the rest with: lunet prune --resume --out ${out}\n`,
    );
  }
  if (json) {
    process.stdout.write(`${JSON.stringify({ folder, seconds, ...run, curve }, null, 2)}\n`);
    return;
  }
  if (!run.result) return;
  const { sizes, chosen, last, removedByLevel } = run.result;
  const ended = run.result.ended === "minutes" ? "the end of its time" : run.result.ended;
  process.stdout.write(
    [
      lossTable(removedByLevel),
      "",
      `${counted(sizes, "size")}, ended by ${ended}; ${durationText(seconds)}`,
      `last     ${sizeText(last)}`,
      `chosen   ${sizeText(chosen)}`,
      `${out}/model.safetensors`,
      "",
    ].join("\n"),
  );
}

function sizeText({ step, parameters, meanDice, dice }: PrunedSize): string {
  const score = meanDice === null ? "not checked" : `validation Dice ${diceText([meanDice])} (${diceText(dice!)})`;
  return `size ${step}, ${parameters.toLocaleString("en-US")} parameters, ${score}`;
}

/** Which levels and layers lost most. */
function lossTable(levels: readonly LevelLoss[]): string {
  const counts = levels.map(({ level, channels, removed }) => [
    String(level),
    String(channels),
    String(removed),
    `${((100 * removed) / channels).toFixed(0)} %`,
  ]);
  const most = levels.map(({ layers }) =>
    Object.entries(layers)
      .filter(([, count]) => count > 0)
      .sort(([, a], [, b]) => b - a)
      .slice(0, 3)
      .map(([layer, count]) => `${layer} ${count}`)
      .join(", "),
  );
  const lines = textTable([["level", "channels", "removed", "share"], ...counts], 1).split("\n");
  return lines.map((line, i) => `${line}  ${["most from", ...most][i]}`.trimEnd()).join("\n");
}
