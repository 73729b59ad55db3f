import { fail } from "../../util/errors.ts";
import type { ConvNode, Graph, ParamInfo, UpconvNode } from "../graph.ts";
import type { TensorMap } from "../types.ts";
import { type Layout, padChannels } from "./layout.ts";
import {
  eachConvWeight,
  eachUpconvWeight,
  type PackedConv,
  type PackedUpconv,
  packConv,
  packUpconv,
} from "./packing.ts";
import type { TileChoice } from "./tiles.ts";

/** Where one parameter lies in the parameter block (and in its copies: gradient, moments, average). */
export interface ParameterSlot {
  info: ParamInfo;
  /** Bytes from the block's start, and packed floats. */
  offset: number;
  floats: number;
  /** Visits (natural index, packed index). */
  each(visit: (natural: number, at: number) => void): void;
}

/** A node's packed weight shape and the slots of its parameters: weight, bias, and where it has them scale, shift, mean, variance. */
export interface PlacedNode<Packed> {
  packed: Packed;
  slots: Record<string, ParameterSlot>;
}

export interface ParameterBlock {
  bytes: number;
  slots: ParameterSlot[];
  conv(node: ConvNode): PlacedNode<PackedConv>;
  upconv(node: UpconvNode): PlacedNode<PackedUpconv>;
}

/** Lays out all parameters of a graph behind each other, weights in the kernels' packed form, the rest padded. */
export function placeParameters(graph: Graph, layouts: Layout[], tiles: TileChoice): ParameterBlock {
  let bytes = 0;
  const slots: ParameterSlot[] = [];
  const byName = new Map(graph.params.map((info) => [info.name, info]));
  const slot = (name: string, floats: number, each: ParameterSlot["each"]): ParameterSlot => {
    const info = byName.get(name);
    if (!info) throw new Error(`graph.params lacks ${name}`);
    const placed = { info, offset: bytes, floats, each };
    bytes += Math.ceil(floats / 16) * 64;
    slots.push(placed);
    return placed;
  };
  const convs = new Map<ConvNode, PlacedNode<PackedConv>>();
  const upconvs = new Map<UpconvNode, PlacedNode<PackedUpconv>>();
  for (const node of graph.nodes) {
    if (node.kind === "maxpool") continue;
    const inputs = node.inputs.map((id) => layouts[id]);
    const channels = graph.tensors[node.output].channels;
    const vector = (name: string): ParameterSlot =>
      slot(name, padChannels(channels), (visit) => {
        for (let c = 0; c < channels; c++) visit(c, c);
      });
    if (node.kind === "upconv") {
      const packed = packUpconv(node, inputs[0].channels, channels, tiles);
      const weight = slot(`${node.name}.weight`, packed.floats, (visit) => eachUpconvWeight(packed, visit));
      upconvs.set(node, { packed, slots: { weight, bias: vector(`${node.name}.bias`) } });
      continue;
    }
    const packed = packConv(node, inputs, channels, tiles);
    const placed: Record<string, ParameterSlot> = {
      weight: slot(`${node.name}.weight`, packed.floats, (visit) => eachConvWeight(packed, visit)),
      bias: vector(`${node.name}.bias`),
    };
    if (node.tail && node.tail.norm !== "none") {
      placed.scale = vector(`${node.name}.norm.weight`);
      placed.shift = vector(`${node.name}.norm.bias`);
      if (node.tail.norm === "batch") {
        placed.mean = vector(`${node.name}.norm.running_mean`);
        placed.variance = vector(`${node.name}.norm.running_var`);
      }
    }
    convs.set(node, { packed, slots: placed });
  }
  return { bytes, slots, conv: (node) => convs.get(node)!, upconv: (node) => upconvs.get(node)! };
}

/** Natural to packed, into the block at byte address `base`. Missing or wrongly sized tensors are a UserError. */
export function writeParameters(
  memory: Float32Array,
  base: number,
  slots: ParameterSlot[],
  values: TensorMap,
  prefix = "",
): void {
  for (const { info, offset, each } of slots) {
    const name = prefix + info.name;
    const tensor =
      values.get(name) ??
      fail(`Expected a tensor named ${name}, but there is none: the weights belong to another net.`);
    const expected = info.shape.reduce((a, b) => a * b, 1);
    if (tensor.length !== expected) {
      fail(
        `Expected ${expected} numbers in tensor ${name} (shape ${info.shape.join("x")}), but found ${tensor.length}.`,
      );
    }
    const at = (base + offset) / 4;
    each((natural, packed) => {
      memory[at + packed] = tensor[natural];
    });
  }
}

/** Packed to natural, from the block at byte address `base`. */
export function readParameters(
  memory: Float32Array,
  base: number,
  slots: ParameterSlot[],
  prefix = "",
  into: TensorMap = new Map(),
): TensorMap {
  for (const { info, offset, each } of slots) {
    const tensor = new Float32Array(info.shape.reduce((a, b) => a * b, 1));
    const at = (base + offset) / 4;
    each((natural, packed) => {
      tensor[natural] = memory[at + packed];
    });
    into.set(prefix + info.name, tensor);
  }
  return into;
}
