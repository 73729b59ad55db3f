import { Command, Option } from "commander";
import { formatVersion } from "../model/file.ts";
import { loadModel } from "../model/files.ts";
import { toOnnx } from "../model/onnx.ts";
import { writeFileAtomic } from "../util/files.ts";
import type { Vec3 } from "../volume/volume.ts";
import { parseCount, parseShape } from "./options.ts";

interface ExportOptions {
  onnx: string;
  shape?: Vec3;
  batch?: number;
  probabilities?: boolean;
}

export const exportCommand = new Command("export")
  .description(
    "Write a trained model for other programs. The ONNX file reads `image` [N, C, D, H, W] (2D nets: [N, C, H, W]), " +
      "prepared as the plan says; net and plan lie as JSON in its metadata under the key lunet.",
  )
  .argument("<model>", "a model file or a run folder")
  .requiredOption("--onnx <file>", "the ONNX file to write (opset 17)")
  .addOption(
    new Option("--shape <shape>", "fix the input to DxHxW voxels (default: open at run time)").argParser(parseShape),
  )
  .addOption(new Option("--batch <n>", "fix the batch (default: open at run time)").argParser(parseCount))
  .option("--probabilities", "end with softmax (or sigmoid), at the model's temperature, instead of logits")
  .action(async (path: string, options: ExportOptions) => {
    const model = await loadModel(path);
    const { net, plan, provenance, calibration } = model;
    const bytes = toOnnx(model, {
      shape: options.shape,
      batch: options.batch,
      probabilities: options.probabilities,
      metadata: { lunet: JSON.stringify({ version: formatVersion, net, plan, provenance, calibration }) },
    });
    await writeFileAtomic(options.onnx, bytes);
    process.stdout.write(`Wrote ${options.onnx} (${(bytes.length / 1000).toFixed(1)} kB).\n`);
  });
