import { existsSync } from "node:fs";
import { Command, Option } from "commander";
import { loadModel } from "../model/files.ts";
import type { Model } from "../model/types.ts";
import { countNet, type NetCount } from "../net/count.ts";
import { parseNet } from "../net/make.ts";
import type { NetSpec } from "../net/spec.ts";
import { readBytes } from "../util/files.ts";
import type { Vec3 } from "../volume/volume.ts";
import { parseCount, parseShape } from "./options.ts";

interface InfoOptions {
  levels?: number;
  convs: number;
  channels: number;
  classes: number;
  batch: number;
  patch?: Vec3;
  json?: boolean;
}

export const infoCommand = new Command("info")
  .description("Show the layers of a net or of a trained model: parameters, work, memory, receptive field.")
  .argument("<net-or-model>", "a net such as lean:8 or unet:4, a .json file of widths, a model file, or a run folder")
  .addOption(
    new Option("--levels <n>", "resolution levels, bottleneck counted (default: 5, or the file's)").argParser(
      parseCount,
    ),
  )
  .addOption(new Option("--convs <n>", "convolutions a block").default(2).argParser(parseCount))
  .addOption(new Option("--channels <n>", "channels of the input").default(1).argParser(parseCount))
  .addOption(new Option("--classes <n>", "classes of the output, background counted").default(2).argParser(parseCount))
  .addOption(new Option("--batch <n>", "patches at once").default(1).argParser(parseCount))
  .addOption(
    new Option(
      "--patch <shape>",
      "size of the input, DxHxW, or HxW for a 2D net (default: the model's, or 64x64x64)",
    ).argParser(parseShape),
  )
  .option("--json", "print everything as JSON")
  .action(async (what: string, options: InfoOptions) => {
    const model = isPath(what) ? await loadModel(what) : undefined;
    const patch = options.patch ?? model?.plan.patch ?? [64, 64, 64];
    const net = model?.net ?? namedNet(await netText(what), options, patch);
    const count = countNet(net, { batch: options.batch, shape: patch });
    const text = options.json
      ? JSON.stringify({ net, batch: options.batch, patch, ...count, provenance: model?.provenance }, null, 2)
      : describe(count, patch, options.batch, model);
    process.stdout.write(`${text}\n`);
  });

/** A model file or a run folder, rather than a net. */
function isPath(what: string): boolean {
  return what.endsWith(".safetensors") || (existsSync(what) && !what.endsWith(".json"));
}

/** A net's name as it is, a .json file's content. */
async function netText(what: string): Promise<string> {
  return what.endsWith(".json") ? new TextDecoder().decode(await readBytes(what)) : what;
}

function namedNet(name: string, options: InfoOptions, patch: Vec3): NetSpec {
  return parseNet(name, {
    levels: options.levels,
    convs: options.convs,
    inputChannels: options.channels,
    outputChannels: options.classes,
    dimensions: patch[0] === 1 ? 2 : 3,
  });
}

/** A table with a row per layer, then the totals. */
function describe(count: NetCount, patch: Vec3, batch: number, model?: Model): string {
  const rows = count.layers.map((l) => [
    l.name,
    `${l.kind} ${l.kernel.join("x")}`,
    `${l.inputs}`,
    `${l.outputs}`,
    l.shape.join("x"),
    grouped(l.parameters),
    grouped(l.macs),
  ]);
  const head = ["layer", "operator", "in", "out", "shape", "parameters", "MACs"];
  const from = model?.provenance;
  const trained =
    from && `trained      ${from.steps} steps with preset ${from.preset}, seed ${from.seed}, ${from.created}`;
  const totals = [
    `parameters   ${grouped(count.parameters)} (${grouped(count.parametersWithoutNorm)} without the norm's)`,
    `work         ${(count.macs / 1e9).toFixed(3)} GMAC for ${batch} x ${patch.join("x")}`,
    `memory       about ${megabytes(count.inferenceBytes)} to predict, ${megabytes(count.trainingBytes)} to train`,
    `sees         ${count.receptiveField.join("x")} voxels around a voxel`,
  ];
  return [table([head, ...rows]), "", ...(trained ? [trained] : []), ...totals].join("\n");
}

/** Text columns left, numbers right. */
function table(rows: string[][]): string {
  const widths = rows[0].map((_, column) => Math.max(...rows.map((row) => row[column].length)));
  const left = (column: number) => column < 2;
  const line = (row: string[]) =>
    row.map((cell, i) => (left(i) ? cell.padEnd(widths[i]) : cell.padStart(widths[i]))).join("  ");
  return rows.map(line).join("\n");
}

const grouped = (n: number): string => n.toLocaleString("en-US");
const megabytes = (bytes: number): string => `${(bytes / 2 ** 20).toFixed(1)} MiB`;
