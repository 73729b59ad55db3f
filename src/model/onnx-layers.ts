import type { ConvNode, Graph, GraphNode } from "../engine/graph.ts";
import { paramsOf } from "../engine/graph.ts";
import type { TensorMap } from "../engine/types.ts";
import { type Affine, affineOf, foldAhead, foldBack, type NormPlace, placeNorms, type Values } from "./onnx-norm.ts";
import { pointwiseOrder } from "./onnx-upconv.ts";
import { type PackedWeight, packWeight, type WeightType, weightAxis, withData } from "./onnx-weights.ts";

export interface LayerOptions {
  upconv: "transposed" | "pointwise";
  weights: WeightType;
}

/** What a layer's operators in the file hold. */
export interface OnnxLayer {
  /** [Cout, Cin, ...kernel], of a transposed convolution that stays one [Cin, Cout, ...factor]. */
  shape: number[];
  weight: PackedWeight;
  bias: Float32Array;
  /** The norm's parameters in the operator's order, where it has a node of its own. */
  norm?: { name: string; data: Float32Array }[];
}

/** {@link placeNorms} for a file: all are kept beside packed weights. */
export function onnxNorms(graph: Graph, { upconv, weights }: LayerOptions): Map<string, NormPlace> {
  const places = placeNorms(graph, { upconvs: upconv === "pointwise" });
  return weights === "float32" ? places : new Map([...places.keys()].map((name) => [name, "kept"]));
}

/** The layers with parameters by node name, norms folded and weights packed. Throws UserError where a tensor is missing. */
export function onnxLayers(graph: Graph, tensors: TensorMap, options: LayerOptions): Map<string, OnnxLayer> {
  const places = onnxNorms(graph, options);
  const layers = new Map<string, OnnxLayer>();
  /** Norms that the readers of a tensor take over. They have one input: what a pool or a padded convolution also reads is kept. */
  const ahead = new Map<number, Affine>();
  for (const node of graph.nodes) {
    if (node.kind === "maxpool") continue;
    const values: Values = new Map(
      paramsOf(graph, node).map((info) => [info.name.slice(node.name.length + 1), withData(info, tensors)]),
    );
    const original = { ...values.get("weight")!, name: `${node.name}.weight` };
    let weight = packWeight(original, options.weights, weightAxis(node));
    if (node.kind === "upconv" && options.upconv === "pointwise") weight = makePointwise(values, node.factor, weight);
    const before = ahead.get(node.inputs[0]);
    if (before) foldAhead(values, before);
    const place = places.get(node.name);
    if (place === "own") foldBack(values, affineOf(node as ConvNode, values));
    if (place === "next") ahead.set(node.output, affineOf(node as ConvNode, values));
    const { shape, data } = values.get("weight")!;
    if (weight.type === "float32") weight = { ...weight, data };
    const norm = keptNorm(node, place, values);
    layers.set(node.name, { shape, weight, bias: values.get("bias")!.data, ...(norm ? { norm } : {}) });
  }
  return layers;
}

/** Makes a transposed convolution one with kernel 1: [taps Cout, Cin, 1, 1, 1], the bias once for each tap. */
function makePointwise(values: Values, factor: readonly number[], packed: PackedWeight): PackedWeight {
  const [weight, bias] = [values.get("weight")!, values.get("bias")!];
  const [cin, cout] = weight.shape;
  const order = pointwiseOrder(weight.shape, factor);
  const rows = order.length / cin;
  const repeat = (data: Float32Array): Float32Array => Float32Array.from({ length: rows }, (_, i) => data[i % cout]);
  values.set("weight", { shape: [rows, cin, ...factor.map(() => 1)], data: gather(weight.data, order) });
  values.set("bias", { shape: [rows], data: repeat(bias.data) });
  if (packed.type === "int8") {
    return { type: "int8", data: gather(packed.data, order), scale: repeat(packed.scale), axis: 0 };
  }
  return packed.type === "float16" ? { type: "float16", data: gather(packed.data, order) } : packed;
}

function gather<T extends PackedWeight["data"]>(data: T, order: Int32Array): T {
  const out = data.slice() as T;
  order.forEach((from, at) => {
    out[at] = data[from];
  });
  return out;
}

function keptNorm(node: GraphNode, place: NormPlace | undefined, values: Values): OnnxLayer["norm"] {
  if (node.kind !== "conv" || !node.tail || node.tail.norm === "none" || (place && place !== "kept")) return undefined;
  const names = ["norm.weight", "norm.bias"];
  if (node.tail.norm === "batch") names.push("norm.running_mean", "norm.running_var");
  return names.map((name) => ({ name, data: values.get(name)!.data }));
}
