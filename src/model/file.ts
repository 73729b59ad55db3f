import type { Plan } from "../dataset/types.ts";
import type { ParamInfo } from "../engine/graph.ts";
import { buildGraph, strideOf } from "../net/build.ts";
import { netFromJson } from "../net/json.ts";
import type { NetSpec } from "../net/spec.ts";
import { fail, UserError } from "../util/errors.ts";
import { voxelCount } from "../volume/volume.ts";
import {
  calibrationFromJson,
  planFromJson,
  postprocessingFromJson,
  provenanceFromJson,
  testTimeFromJson,
} from "./header.ts";
import { readSafetensors, type TensorFile, tensorMapOf, writeSafetensors } from "./safetensors.ts";
import type { Model } from "./types.ts";
import { printable, shown } from "./words.ts";

/** Raised whenever an older reader would misread a newer file. */
export const formatVersion = 1;

/**
 * A model as a safetensors file: its tensors under the names of Graph.params, and in `__metadata__` the key `lunet` with
 * a JSON object {version, net, plan, provenance} and, where there are some, calibration, postprocessing and testTime. Throws UserError where the tensors are not those of the net.
 */
export function modelToBytes(model: Model): Uint8Array<ArrayBuffer> {
  const { net, plan, provenance, calibration, postprocessing, testTime } = model;
  const params = paramsOfNet(net);
  checkNames(params, model.tensors, "the model");
  const tensors: TensorFile["tensors"] = new Map();
  for (const { name, shape } of params) {
    const data = model.tensors.get(name)!;
    if (data.length !== voxelCount(shape)) {
      fail(`Expected ${voxelCount(shape)} values in tensor ${name} of the model, but it has ${data.length}.`);
    }
    tensors.set(name, { shape, data });
  }
  const header = { version: formatVersion, net, plan, provenance, calibration, postprocessing, testTime };
  return writeSafetensors({ tensors, metadata: { format: "lunet", lunet: JSON.stringify(header) } });
}

/**
 * Reads a model file; `name` is used in messages. Throws UserError for a damaged file, another program's file, a newer
 * format, and for tensors or a plan that do not fit the net.
 */
export function readModel(bytes: Uint8Array, name: string): Model {
  const file = readSafetensors(bytes, name);
  const header = parseHeader(file.metadata.lunet, name);
  const within = <T>(read: () => T): T => {
    try {
      return read();
    } catch (error) {
      throw error instanceof UserError ? new UserError(`${name}: ${printable(error.message)}`) : error;
    }
  };
  const net = within(() => netFromJson(header.net));
  const plan = within(() => planFromJson(header.plan));
  const provenance = within(() => provenanceFromJson(header.provenance));
  const optional = <T>(key: string, parse: (value: unknown) => T): { [key: string]: T } =>
    header[key] === undefined ? {} : { [key]: within(() => parse(header[key])) };
  const params = paramsOfNet(net);
  checkNames(params, file.tensors, name);
  for (const { name: tensor, shape } of params) {
    const got = file.tensors.get(tensor)!.shape;
    if (got.join() !== shape.join()) {
      fail(`Expected tensor ${tensor} of ${name} to have shape [${shape}] for its net, but it has [${got}].`);
    }
  }
  checkPlan(net, plan, name);
  return {
    net,
    plan,
    provenance,
    ...optional("calibration", calibrationFromJson),
    ...optional("postprocessing", postprocessingFromJson),
    ...optional("testTime", testTimeFromJson),
    tensors: tensorMapOf(file),
  };
}

function parseHeader(text: string | undefined, name: string): Record<string, unknown> {
  if (text === undefined) {
    fail(`Expected a lunet model, but ${name} has no key "lunet" in its metadata: another program wrote it.`);
  }
  let header: Record<string, unknown>;
  try {
    header = { ...(JSON.parse(text) as object) };
  } catch {
    return fail(`Expected JSON under the metadata key "lunet" of ${name}, but it does not parse: the file is damaged.`);
  }
  const { version } = header;
  if (typeof version === "number" && version > formatVersion) {
    fail(`${name} has model format ${version}, but this lunet reads up to ${formatVersion}: update lunet.`);
  }
  if (version !== formatVersion) {
    fail(`Expected model format ${formatVersion} in ${name}, but got ${shown(version)}: the file is damaged.`);
  }
  return header;
}

function paramsOfNet(net: NetSpec): ParamInfo[] {
  return buildGraph(net, { batch: 1, shape: strideOf(net) }).params;
}

function checkNames(params: ParamInfo[], tensors: ReadonlyMap<string, unknown>, where: string): void {
  const missing = params.find((p) => !tensors.has(p.name));
  if (missing) fail(`Expected tensor ${missing.name} in ${where} because its net has it, but it is missing.`);
  const known = new Set(params.map((p) => p.name));
  const extra = [...tensors.keys()].find((name) => !known.has(name));
  if (extra !== undefined) fail(`Expected only tensors of the net in ${where}, but it also has ${extra}.`);
}

function checkPlan(net: NetSpec, plan: Plan, name: string): void {
  if (plan.channels.length !== net.inputChannels) {
    fail(
      `Expected as many channels in the plan of ${name} as its net reads, ${net.inputChannels}, ` +
        `but the plan names ${plan.channels.length}.`,
    );
  }
  if (plan.regions && (net.output !== "sigmoid" || plan.regions.length !== net.outputChannels)) {
    fail(
      `Expected a net with a sigmoid output for each of the ${plan.regions.length} regions in the plan of ${name}, but it has ` +
        `${net.outputChannels} ${net.output} outputs.`,
    );
  }
  if (net.output === "softmax" && plan.labels.length !== net.outputChannels) {
    fail(
      `Expected as many labels in the plan of ${name} as its net has outputs, ${net.outputChannels}, ` +
        `but the plan names ${plan.labels.length}.`,
    );
  }
}
