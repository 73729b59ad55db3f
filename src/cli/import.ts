import { Command, Option } from "commander";
import type { Plan } from "../dataset/types.ts";
import { createBackend } from "../engine/backend.ts";
import type { TensorMap } from "../engine/types.ts";
import { saveModel } from "../model/files.ts";
import { planFromJson } from "../model/header.ts";
import { type ImportedWeights, type ImportOptions, importWeights } from "../model/import.ts";
import { readSafetensors } from "../model/safetensors.ts";
import { buildGraph } from "../net/build.ts";
import { optionsOfPlan, parseNet } from "../net/make.ts";
import type { NetSpec, UnitSpec } from "../net/spec.ts";
import { fail } from "../util/errors.ts";
import { readBytes, readJson } from "../util/files.ts";
import { textTable } from "../util/text-table.ts";
import { startTime } from "../util/time.ts";
import { lunetVersion } from "../util/version.ts";
import type { Vec3 } from "../volume/volume.ts";
import { parseCount } from "./options.ts";

interface ImportCommandOptions extends ImportOptions {
  like: string;
  plan: string;
  out: string;
  convs: number;
  order: UnitSpec["order"];
  norm: UnitSpec["norm"];
  slope: number;
  eps: number;
  check?: string;
}

/** Largest difference that passes, as a share of the largest output where that is above 1: both sides compute in float32. */
const tolerance = 1e-4;

export const importCommand = new Command("import")
  .description(
    "Take the weights of another program (PyTorch, as safetensors) into a model, layer by layer in the order that the names begin with, and show " +
      "which module became which layer. What the net is for (channels, labels, spacing, patch) comes from a plan.",
  )
  .argument("<weights>", "a safetensors file, its names numbered in the order of the layers")
  .requiredOption("--like <net>", "the net that the weights belong to, such as unet:16, or a .json file of widths")
  .requiredOption("--plan <file>", "a plan.json, as lunet plan --out writes it")
  .requiredOption("--out <file>", "the model file to write")
  .addOption(new Option("--convs <n>", "convolutions a block").default(2).argParser(parseCount))
  .addOption(
    new Option("--order <order>", "activation before or after the norm")
      .choices(["conv-act-norm", "conv-norm-act"])
      .default("conv-act-norm"),
  )
  .addOption(new Option("--norm <kind>", "norm").choices(["batch", "instance", "none"]).default("batch"))
  .addOption(new Option("--slope <n>", "of the activation below 0").default(0).argParser(Number))
  .addOption(new Option("--eps <n>", "what the norm adds to the variance").default(1e-5).argParser(Number))
  .addOption(
    new Option("--concat <order>", "what comes first along the channels where a decoder level joins its skip")
      .choices(["up-skip", "skip-up"])
      .default("up-skip"),
  )
  .option(
    "--check <file>",
    "a safetensors file with an `input` and the `output` (logits) that the other program gives for it",
  )
  .action(async (path: string, options: ImportCommandOptions) => {
    const plan = planFromJson(await readJson(options.plan));
    const net = await netLike(plan, options);
    const file = readSafetensors(await readBytes(path), path, { convert: true });
    const { tensors, table } = importWeights(file, net, path, { concat: options.concat });
    const checked = options.check ? await checkAgainst(options.check, net, tensors) : undefined;
    const provenance = {
      lunet: lunetVersion(),
      created: startTime(),
      seed: 0,
      preset: "imported",
      fold: null,
      steps: 0,
      trainingCases: [],
      validationCases: [],
      validationDice: null,
    };
    await saveModel(options.out, { net, plan, provenance, tensors });
    process.stdout.write(`${describe(table)}\n${checked ?? notChecked}Wrote ${options.out}.\n`);
  });

const notChecked =
  "Not checked: with --check FILE, an input and what the other program gives for it, the outputs are compared.\n";

/** The named net for the plan's data, with the units that the options state. */
async function netLike(plan: Plan, { like, convs, order, norm, slope, eps }: ImportCommandOptions): Promise<NetSpec> {
  const text = like.endsWith(".json") ? new TextDecoder().decode(await readBytes(like)) : like;
  if (!(slope >= 0 && slope <= 1)) fail(`Expected --slope to be from 0 to 1, but got ${slope}.`);
  if (!(eps > 0 && eps < 1)) fail(`Expected --eps to be above 0 and below 1, but got ${eps}.`);
  return parseNet(text, {
    ...optionsOfPlan(plan),
    convs,
    unit: { order, norm, slope, eps },
  });
}

/** Runs the net on an input and compares with another program's output; says how far they are apart, or throws UserError. */
async function checkAgainst(path: string, net: NetSpec, tensors: TensorMap): Promise<string> {
  const file = readSafetensors(await readBytes(path), path, { convert: true });
  const find = (name: string) =>
    file.tensors.get(name) ?? fail(`Expected the tensors input and output in ${path}, but ${name} is missing.`);
  const [input, output] = [find("input"), find("output")];
  const [batch, channels, ...size] = input.shape;
  const shape = (size.length === 2 ? [1, ...size] : size) as Vec3;
  if (channels !== net.inputChannels || shape.length !== 3) {
    fail(
      `Expected input of ${path} to have shape [N, ${net.inputChannels}, D, H, W] (2D: [N, ${net.inputChannels}, H, W]), but it has [${input.shape}].`,
    );
  }
  const backend = await createBackend({ threads: 1 });
  try {
    const program = await backend.inference(buildGraph(net, { batch, shape }));
    program.setParameters(tensors);
    const got = program.logits(input.data);
    if (got.length !== output.data.length) {
      fail(`Expected ${got.length} values in output of ${path}, as the net gives, but it has ${output.data.length}.`);
    }
    // NaN stays NaN in Math.max, and passes no comparison.
    const largest = output.data.reduce((most, value) => Math.max(most, Math.abs(value)), 0);
    const difference = got.reduce((most, value, i) => Math.max(most, Math.abs(value - output.data[i])), 0);
    const apart = `${difference.toExponential(1)} (largest output ${largest.toPrecision(3)})`;
    if (!(difference <= tolerance * Math.max(1, largest))) {
      fail(
        `Expected the net to give the output of ${path} within ${tolerance}, but they differ by ${apart}; nothing was written. Check the ` +
          "order of the layers, --order, --norm, --slope, --eps and --concat, and that the other program was in evaluation mode and gave logits.",
      );
    }
    return `Checked: largest difference from output of ${path} ${apart}.\n`;
  } finally {
    await backend.close();
  }
}

function describe(table: ImportedWeights["table"]): string {
  const rows = table.map(({ layer, shape, module, norm }) => [layer, shape.join(" x "), module, norm ?? ""]);
  return textTable([["layer", "weight", "from", "norm from"], ...rows], 4);
}
