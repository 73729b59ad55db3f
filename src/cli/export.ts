import { Command, Option } from "commander";
import { formatVersion } from "../model/file.ts";
import { loadModel } from "../model/files.ts";
import { normsOf, type OnnxOptions, onnxOpset, toOnnx } from "../model/onnx.ts";
import { type WeightType, weightTypes } from "../model/onnx-weights.ts";
import type { Model } from "../model/types.ts";
import { createProgress } from "../train/progress.ts";
import { counted } from "../util/counted.ts";
import { fail } from "../util/errors.ts";
import { writeFileAtomic } from "../util/files.ts";
import type { Vec3 } from "../volume/volume.ts";
import { checkOnnx, findOnnxRuntime, type OnnxCheck } from "./export-check.ts";
import { findUnseen, type RoundingCost, roundingCost } from "./export-cost.ts";
import { parseCount, parseShape } from "./options.ts";

interface ExportOptions {
  onnx: string;
  shape?: Vec3;
  batch?: number;
  probabilities?: boolean;
  upconv: "transposed" | "pointwise";
  weights: WeightType;
  check: boolean;
  data?: string;
}

export const exportCommand = new Command("export")
  .description(
    "Write a trained model for other programs. The ONNX file reads `image` [N, C, D, H, W] (2D nets: [N, C, H, W]), " +
      "prepared as the plan says; net and plan lie as JSON in its metadata under the key lunet. Where onnxruntime-node is " +
      "installed, the file is run and compared with lunet's engine before it is written.",
  )
  .argument("<model>", "a model file or a run folder")
  .requiredOption("--onnx <file>", `the ONNX file to write (opset ${onnxOpset})`)
  .addOption(
    new Option("--shape <shape>", "fix the input to DxHxW voxels (default: open at run time)").argParser(parseShape),
  )
  .addOption(new Option("--batch <n>", "fix the batch (default: open at run time)").argParser(parseCount))
  .option("--probabilities", "end with softmax (or sigmoid), at the model's temperature, instead of logits")
  .addOption(
    new Option(
      "--upconv <kind>",
      "transposed convolutions as they are, or as pointwise convolutions and Reshape, for runtimes without them in 3D",
    )
      .choices(["transposed", "pointwise"])
      .default("transposed"),
  )
  .addOption(
    new Option("--weights <type>", "how weights are stored; computing stays float32")
      .choices(weightTypes)
      .default("float32"),
  )
  .option("--data <dir>", "with --weights float16 or int8: measure the Dice that it costs, on cases not trained on")
  .option("--no-check", "do not run the file")
  .action(async (path: string, options: ExportOptions) => {
    const { onnx, shape, batch, probabilities, upconv, weights, data } = options;
    if (data && weights === "float32") {
      fail(
        "Expected --weights float16 or int8 with --data, which measures what they cost; float32 weights cost nothing.",
      );
    }
    const model = await loadModel(path);
    const unseen = data ? await findUnseen(data, model) : undefined;
    const { net, plan, provenance, calibration } = model;
    const lunet = JSON.stringify({ version: formatVersion, net, plan, provenance, calibration });
    const choices: OnnxOptions = { shape, batch, probabilities, upconv, weights, metadata: { lunet } };
    const bytes = toOnnx(model, choices);
    const runtime = options.check ? await findOnnxRuntime() : undefined;
    const check = runtime && (typeof runtime === "string" ? runtime : await checkOnnx(runtime, bytes, model, choices));
    await writeFileAtomic(onnx, bytes);
    const plain = weights === "float32" ? bytes : toOnnx(model, { ...choices, weights: "float32" });
    process.stdout.write(`Wrote ${onnx} (opset ${onnxOpset}, ${sizeText(bytes, plain, weights)}).\n`);
    process.stdout.write(normText(model, choices));
    if (check) process.stdout.write(typeof check === "string" ? `Not checked: ${check}\n` : checkText(check));
    if (!unseen) return;
    const progress = createProgress(process.stderr);
    try {
      process.stdout.write(costText(weights, await roundingCost(model, weights, unseen, progress)));
    } finally {
      progress.close();
    }
  });

function sizeText(bytes: Uint8Array, plain: Uint8Array, weights: WeightType): string {
  const kilobytes = (data: Uint8Array): string => `${(data.length / 1000).toFixed(1)} kB`;
  const size = kilobytes(bytes);
  return bytes === plain ? size : `${size}; ${kilobytes(plain)} with float32 instead of ${weights} weights`;
}

function normText({ net }: Model, options: OnnxOptions): string {
  const places = [...normsOf(net, options).values()];
  if (places.length === 0) return "";
  const words = { own: "folded into its convolution", next: "folded into the next layer", kept: "kept" };
  const parts = Object.entries(words).flatMap(([place, text]) => {
    const count = places.filter((one) => one === place).length;
    return count > 0 ? [`${count} ${text}`] : [];
  });
  return `Batch norm: ${parts.join(", ")}.\n`;
}

function checkText({ shape, difference, largest }: OnnxCheck): string {
  return (
    `Checked in onnxruntime on a random input of ${shape.join(" x ")} voxels: largest difference from lunet's engine ` +
    `${difference.toExponential(1)} (largest output ${largest.toPrecision(3)}).\n`
  );
}

function costText(weights: WeightType, { cases, before, after, worst }: RoundingCost): string {
  const change = (after - before).toFixed(5).replace(/^(?=\d)/, "+");
  return (
    `Dice of ${counted(cases, "case")} not trained on: ${before.toFixed(4)} with float32 weights, ${after.toFixed(4)} with ${weights} ` +
    `(${change}; the largest loss is ${worst.loss.toFixed(5)}, in ${worst.id}).\n`
  );
}
