import { type Graph, type ParamInfo, paramsOf } from "../engine/graph.ts";
import type { TensorMap } from "../engine/types.ts";
import { fail } from "../util/errors.ts";
import { fromFloat16, largestFloat16, toFloat16 } from "./float16.ts";

/** How weights of convolutions are stored. Biases and norms, and all computing, stay float32. */
export const weightTypes = ["float32", "float16", "int8"] as const;
export type WeightType = (typeof weightTypes)[number];

/** A weight as it lies in the file; int8 has a scale per output channel: w = scale[c] * data. */
export type PackedWeight =
  | { type: "float32"; data: Float32Array }
  | { type: "float16"; data: Uint16Array }
  | { type: "int8"; data: Int8Array; scale: Float32Array; axis: 0 | 1 };

/**
 * Packs a weight of shape [Cout, Cin, ...] (`axis` 0) or [Cin, Cout, ...] (`axis` 1). int8 is symmetric: the largest value of an
 * output channel becomes 127 or -127 and zero stays zero. Throws UserError for a value that float16 cannot hold.
 */
export function packWeight(
  { name, shape, data }: { name: string; shape: readonly number[]; data: Float32Array },
  type: WeightType,
  axis: 0 | 1,
): PackedWeight {
  if (type === "float32") return { type, data };
  if (type === "float16") {
    const wide = data.find((value) => !(Math.abs(value) <= largestFloat16));
    if (wide !== undefined) {
      fail(
        `Expected weights within ${largestFloat16} for float16, but ${name} has ${wide}; export with float32 weights.`,
      );
    }
    return { type, data: Uint16Array.from(data, toFloat16) };
  }
  const channels = shape[axis];
  const channelOf = channelIn(shape, axis);
  const scale = new Float32Array(channels);
  for (let i = 0; i < data.length; i++) {
    const c = channelOf(i);
    scale[c] = Math.max(scale[c], Math.abs(data[i]));
  }
  // A channel of zeros has any scale.
  for (let c = 0; c < channels; c++) scale[c] = scale[c] / 127 || 1;
  return { type, axis, scale, data: Int8Array.from(data, (value, i) => Math.round(value / scale[channelOf(i)])) };
}

/** A net's tensors with its convolutions' weights as a file of this type gives them back. */
export function roundWeights(graph: Pick<Graph, "nodes" | "tensors">, tensors: TensorMap, type: WeightType): TensorMap {
  const rounded: TensorMap = new Map(tensors);
  for (const node of graph.nodes) {
    const weight = paramsOf(graph, node).find(({ role }) => role === "weight");
    if (!weight) continue;
    rounded.set(weight.name, unpack(packWeight(withData(weight, tensors), type, weightAxis(node)), weight.shape));
  }
  return rounded;
}

/** The axis of the output channels. */
export function weightAxis(node: { kind: string }): 0 | 1 {
  return node.kind === "upconv" ? 1 : 0;
}

/** A parameter with its values. Throws UserError where they are missing. */
export function withData({ name, shape }: ParamInfo, tensors: TensorMap) {
  const data = tensors.get(name) ?? fail(`Expected tensor ${name} among the weights, but it is missing.`);
  return { name, shape, data };
}

function unpack(packed: PackedWeight, shape: readonly number[]): Float32Array {
  if (packed.type === "float32") return packed.data;
  if (packed.type === "float16") return Float32Array.from(packed.data, fromFloat16);
  const channelOf = channelIn(shape, packed.axis);
  return Float32Array.from(packed.data, (value, i) => value * packed.scale[channelOf(i)]);
}

/** The channel along an axis of the i-th value. */
function channelIn(shape: readonly number[], axis: 0 | 1): (i: number) => number {
  const inner = shape.slice(axis + 1).reduce((a, b) => a * b, 1);
  return (i) => Math.floor(i / inner) % shape[axis];
}
