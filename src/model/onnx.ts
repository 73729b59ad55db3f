import type { ConvNode, Graph, GraphNode } from "../engine/graph.ts";
import { paramsOf } from "../engine/graph.ts";
import type { TensorMap } from "../engine/types.ts";
import { buildGraph, strideOf } from "../net/build.ts";
import type { NetSpec } from "../net/spec.ts";
import { fail } from "../util/errors.ts";
import type { Vec3 } from "../volume/volume.ts";
import { type OnnxNode, type OnnxTensor, type OnnxValue, onnxBytes } from "./onnx-format.ts";
import type { Model } from "./types.ts";

export interface OnnxOptions {
  /** Fixed D, H, W of the input. Default: open at run time, any multiple of the net's strides. */
  shape?: Vec3;
  /** Fixed batch. Default: open at run time. */
  batch?: number;
  /** Divide by the model's temperature and put softmax (or sigmoid) over the classes at the end. Default: logits. */
  probabilities?: boolean;
  /** Written as metadata_props. */
  metadata?: Record<string, string>;
}

/**
 * A net with its weights as an ONNX file (opset 17) for inference: input `image` [N, C, D, H, W], output `logits` or
 * `probabilities` [N, K, D, H, W]. A net without any extent along D becomes a 2D one: [N, C, H, W]. Batch norm straight
 * after a convolution is folded into it; after an activation it stays a BatchNormalization node, since zero padding
 * makes it differ from a folded one at the borders.
 */
export function toOnnx(
  model: Pick<Model, "net" | "tensors" | "calibration">,
  options: OnnxOptions = {},
): Uint8Array<ArrayBuffer> {
  const { net, tensors, calibration } = model;
  const graph = buildGraph(net, { batch: options.batch ?? 1, shape: options.shape ?? strideOf(net) });
  const flat = isFlat(net) && (options.shape?.[0] ?? 1) === 1;
  const spatial = (v: readonly number[]): number[] => (flat ? v.slice(1) : [...v]);
  const nodes: OnnxNode[] = [];
  const initializers: OnnxTensor[] = [];
  const outputName = options.probabilities ? "probabilities" : "logits";
  const nameOf = (id: number): string => {
    if (id === graph.input) return "image";
    return id === graph.output ? "logits" : graph.tensors[id].name;
  };
  const initializer = (name: string, shape: number[], data: Float32Array): string => {
    initializers.push({ name, shape, data });
    return name;
  };

  for (const node of graph.nodes) {
    const output = nameOf(node.output);
    const source = node.inputs.length === 1 ? nameOf(node.inputs[0]) : `${node.name}.concat`;
    if (node.inputs.length > 1) {
      const inputs = node.inputs.map(nameOf);
      nodes.push({ op: "Concat", name: source, inputs, output: source, attributes: { axis: 1 } });
    }
    if (node.kind === "maxpool") {
      const factor = spatial(node.factor);
      const attributes = { kernel_shape: factor, strides: factor };
      nodes.push({ op: "MaxPool", name: node.name, inputs: [source], output, attributes });
      continue;
    }
    const values = nodeValues(graph, node, tensors);
    const weight = values.get("weight")!;
    const [a, b, ...kernel] = weight.shape;
    const inputs = [
      source,
      initializer(`${node.name}.weight`, [a, b, ...spatial(kernel)], weight.data),
      initializer(`${node.name}.bias`, values.get("bias")!.shape, values.get("bias")!.data),
    ];
    if (node.kind === "upconv") {
      const factor = spatial(node.factor);
      const attributes = { kernel_shape: factor, strides: factor };
      nodes.push({ op: "ConvTranspose", name: node.name, inputs, output, attributes });
      continue;
    }
    const pads = spatial(node.kernel).map((k) => (k - 1) / 2);
    const attributes = { kernel_shape: spatial(node.kernel), pads: [...pads, ...pads] };
    const tail = tailNodes(node, values, initializer);
    // Each step reads the one before; the last carries the name of the graph's tensor.
    const chain: Omit<OnnxNode, "output">[] = [{ op: "Conv", name: node.name, inputs, attributes }, ...tail];
    chain.forEach((step, i) => {
      const before = i === 0 ? [] : [`${chain[i - 1].name}.out`];
      const last = i === chain.length - 1;
      nodes.push({ ...step, inputs: [...before, ...step.inputs], output: last ? output : `${step.name}.out` });
    });
  }
  if (options.probabilities) {
    const op = net.output === "softmax" ? "Softmax" : "Sigmoid";
    const attributes: OnnxNode["attributes"] = net.output === "softmax" ? { axis: 1 } : undefined;
    let source = "logits";
    if (calibration) {
      const inputs = [source, initializer("temperature", [1], Float32Array.of(calibration.temperature))];
      source = "logits.calibrated";
      nodes.push({ op: "Div", name: source, inputs, output: source });
    }
    nodes.push({ op, name: outputName, inputs: [source], output: outputName, attributes });
  }
  const sizes = options.shape ? spatial(options.shape) : spatial([0, 1, 2]).map((axis) => ["D", "H", "W"][axis]);
  const value = (name: string, channels: number): OnnxValue => ({
    name,
    shape: [options.batch ?? "N", channels, ...sizes],
  });
  return onnxBytes({
    name: "lunet",
    opset: 17,
    producer: "lunet",
    nodes,
    initializers,
    input: value("image", net.inputChannels),
    output: value(outputName, net.outputChannels),
    metadata: options.metadata ?? {},
  });
}

/** True when neither kernels nor pools reach along D, so slices never meet. */
function isFlat(net: NetSpec): boolean {
  return [...net.kernels, ...net.pools].every((v) => v[0] === 1);
}

type Values = Map<string, { shape: number[]; data: Float32Array }>;

/** A node's parameters by their name without the node's, batch norm folded where that is exact. */
function nodeValues(graph: Graph, node: GraphNode, tensors: TensorMap): Values {
  const values: Values = new Map();
  for (const { name, shape } of paramsOf(graph, node)) {
    const data = tensors.get(name) ?? fail(`Expected tensor ${name} among the weights, but it is missing.`);
    values.set(name.slice(node.name.length + 1), { shape, data });
  }
  if (node.kind === "conv" && foldsNorm(node)) fold(values, node.tail!.eps);
  return values;
}

function foldsNorm(node: ConvNode): boolean {
  return node.tail?.order === "conv-norm-act" && node.tail.norm === "batch";
}

/** (w x + b - mean) s + shift = (s w) x + (b - mean) s + shift with s = scale / sqrt(variance + eps). */
function fold(values: Values, eps: number): void {
  const data = (name: string) => values.get(name)!.data;
  const { shape, data: weight } = values.get("weight")!;
  const taps = weight.length / shape[0];
  const [scale, shift] = [data("norm.weight"), data("norm.bias")];
  const [mean, variance] = [data("norm.running_mean"), data("norm.running_var")];
  const factor = Float64Array.from(scale, (s, c) => s / Math.sqrt(variance[c] + eps));
  const bias = data("bias").map((b, c) => (b - mean[c]) * factor[c] + shift[c]);
  values.set("weight", { shape, data: weight.map((w, i) => w * factor[Math.floor(i / taps)]) });
  values.set("bias", { shape: [shape[0]], data: bias });
}

function tailNodes(
  node: ConvNode,
  values: Values,
  initializer: (name: string, shape: number[], data: Float32Array) => string,
): Omit<OnnxNode, "output">[] {
  const { tail, name } = node;
  if (!tail) return [];
  const act: Omit<OnnxNode, "output"> =
    tail.slope === 0
      ? { op: "Relu", name: `${name}.act`, inputs: [] }
      : { op: "LeakyRelu", name: `${name}.act`, inputs: [], attributes: { alpha: { float: tail.slope } } };
  if (tail.norm === "none" || foldsNorm(node)) return [act];
  const parts = ["norm.weight", "norm.bias"];
  if (tail.norm === "batch") parts.push("norm.running_mean", "norm.running_var");
  const norm: Omit<OnnxNode, "output"> = {
    op: tail.norm === "batch" ? "BatchNormalization" : "InstanceNormalization",
    name: `${name}.norm`,
    inputs: parts.map((part) => initializer(`${name}.${part}`, values.get(part)!.shape, values.get(part)!.data)),
    attributes: { epsilon: { float: tail.eps } },
  };
  return tail.order === "conv-act-norm" ? [act, norm] : [norm, act];
}
