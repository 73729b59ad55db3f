import { existsSync } from "node:fs";
import { Option } from "commander";
import { loadModel } from "../model/files.ts";
import type { Model } from "../model/types.ts";
import { parseNet } from "../net/make.ts";
import type { NetSpec } from "../net/spec.ts";
import { readBytes } from "../util/files.ts";
import type { Vec3 } from "../volume/volume.ts";
import { parseCount, parseShape } from "./options.ts";

/** What a command's argument for a net may be. */
export const netArgument = "a net such as lean:8 or unet:4, a .json file of widths, a model file, or a run folder";

export interface NetOptions {
  levels?: number;
  convs: number;
  channels: number;
  classes: number;
  patch?: Vec3;
}

/** The options of {@link NetOptions}, made anew for each command. */
export const netOptions = (): Option[] => [
  new Option("--levels <n>", "resolution levels, bottleneck counted (default: 5, or the file's)").argParser(parseCount),
  new Option("--convs <n>", "convolutions a block").default(2).argParser(parseCount),
  new Option("--channels <n>", "channels of the input").default(1).argParser(parseCount),
  new Option("--classes <n>", "classes of the output, background counted").default(2).argParser(parseCount),
  new Option(
    "--patch <shape>",
    "size of the input, DxHxW, or HxW for a 2D net (default: the model's, or 64x64x64)",
  ).argParser(parseShape),
];

/** The net that an argument names, with the patch to look at it. A flat patch makes a named net 2D. */
export async function readNet(
  what: string,
  options: NetOptions,
): Promise<{ net: NetSpec; patch: Vec3; model?: Model }> {
  const isModel = what.endsWith(".safetensors") || (existsSync(what) && !what.endsWith(".json"));
  const model = isModel ? await loadModel(what) : undefined;
  const patch = options.patch ?? model?.plan.patch ?? [64, 64, 64];
  return { net: model?.net ?? namedNet(await netText(what), options, patch), patch, model };
}

/** A net's name as it is, a .json file's content. */
async function netText(what: string): Promise<string> {
  return what.endsWith(".json") ? new TextDecoder().decode(await readBytes(what)) : what;
}

function namedNet(name: string, options: NetOptions, patch: Vec3): NetSpec {
  return parseNet(name, {
    levels: options.levels,
    convs: options.convs,
    inputChannels: options.channels,
    outputChannels: options.classes,
    dimensions: patch[0] === 1 ? 2 : 3,
  });
}
