import { type Graph, type GraphNode, inputChannelsOf, paramsOf } from "../engine/graph.ts";
import { type Vec3, voxelCount } from "../volume/volume.ts";
import { buildGraph, strideOf } from "./build.ts";
import type { NetSpec } from "./spec.ts";

/** One row of the layer table. */
interface LayerCount {
  name: string;
  kind: GraphNode["kind"];
  /** Kernel of a convolution, factor of a pool or transposed convolution. */
  kernel: Vec3;
  inputs: number;
  outputs: number;
  /** D, H, W of the output. */
  shape: Vec3;
  /** Trained parameters with biases, norm scales and norm shifts. */
  parameters: number;
  /** The part of `parameters` that belongs to the norm. */
  normParameters: number;
  /** Multiply-accumulates for the whole batch; borders counted in full, norm and activation not counted. */
  macs: number;
}

export interface NetCount {
  layers: LayerCount[];
  parameters: number;
  /** Without norm scales and shifts (the count in some papers). */
  parametersWithoutNorm: number;
  macs: number;
  /** Bytes of float32 activations alive at the worst moment of a forward pass where a tensor is freed after its last use. */
  inferenceBytes: number;
  /**
   * Estimate for one training step in bytes: every activation kept, those before a norm as well, plus as many gradients
   * as are alive at the worst moment. An engine that fuses needs less; its program states the true number.
   */
  trainingBytes: number;
  /** Voxels of the input, along D, H, W, that one output voxel can depend on at most (borders ignored). */
  receptiveField: Vec3;
}

/** Trained parameters of `flat(C)` with 1 input channel, K outputs, 2 convolutions a block and n pools. */
export function flatParameters(c: number, pools: number, outputs: number): number {
  return c * c * (143 * pools + 27) + c * (13 * pools + 33 + outputs) + outputs;
}

/** Trained parameters of `doubling(f)` with 1 input channel, K outputs, 2 convolutions a block and n pools. */
export function doublingParameters(f: number, pools: number, outputs: number): number {
  const linear = 27 + 6 * (2 ** (pools + 1) - 1) + 7 * (2 ** pools - 1) + outputs;
  return (f * f * (259 * 4 ** pools - 178)) / 3 + f * linear + outputs;
}

/** All counts of a net for one input size. Throws UserError where the shape does not fit the pools. */
export function countNet(net: NetSpec, options: { batch: number; shape: Vec3 }): NetCount {
  const graph = buildGraph(net, options);
  const layers = graph.nodes.map((node) => countLayer(graph, node));
  const sum = (key: "parameters" | "normParameters" | "macs") => layers.reduce((total, layer) => total + layer[key], 0);
  const live = peakLiveBytes(graph);
  return {
    layers,
    parameters: sum("parameters"),
    parametersWithoutNorm: sum("parameters") - sum("normParameters"),
    macs: sum("macs"),
    inferenceBytes: live,
    trainingBytes: keptBytes(graph) + live,
    receptiveField: receptiveField(net),
  };
}

/** Trained parameters of a net of any widths, with and without the norm's. */
export function countParameters(net: NetSpec): { parameters: number; parametersWithoutNorm: number } {
  const { parameters, parametersWithoutNorm } = countNet(net, { batch: 1, shape: strideOf(net) });
  return { parameters, parametersWithoutNorm };
}

function countLayer(graph: Graph, node: GraphNode): LayerCount {
  const output = graph.tensors[node.output];
  const inputs = inputChannelsOf(graph, node);
  const kernel = node.kind === "conv" ? node.kernel : node.factor;
  const trained = paramsOf(graph, node).filter((p) => p.trained);
  const size = (list: typeof trained) => list.reduce((total, p) => total + voxelCount(p.shape), 0);
  const voxels = graph.batch * voxelCount(output.shape);
  // A transposed convolution with kernel = stride gives each output voxel one tap.
  const taps = node.kind === "conv" ? voxelCount(kernel) : node.kind === "upconv" ? 1 : 0;
  return {
    name: node.name,
    kind: node.kind,
    kernel,
    inputs,
    outputs: output.channels,
    shape: output.shape,
    parameters: size(trained),
    normParameters: size(trained.filter((p) => p.role === "scale" || p.role === "shift")),
    macs: voxels * inputs * output.channels * taps,
  };
}

function bytesOf(graph: Graph, id: number): number {
  const { channels, shape } = graph.tensors[id];
  return 4 * graph.batch * channels * voxelCount(shape);
}

function peakLiveBytes(graph: Graph): number {
  const lastUse = new Map<number, number>();
  graph.nodes.forEach((node, at) => {
    for (const id of node.inputs) lastUse.set(id, at);
  });
  let live = bytesOf(graph, graph.input);
  let peak = live;
  graph.nodes.forEach((node, at) => {
    live += bytesOf(graph, node.output);
    peak = Math.max(peak, live);
    for (const id of new Set(node.inputs)) if (lastUse.get(id) === at) live -= bytesOf(graph, id);
  });
  return peak;
}

function keptBytes(graph: Graph): number {
  return graph.nodes.reduce(
    (total, node) => {
      const copies = node.kind === "conv" && node.tail && node.tail.norm !== "none" ? 2 : 1;
      return total + copies * bytesOf(graph, node.output);
    },
    bytesOf(graph, graph.input),
  );
}

/**
 * Follows the interval of voxels that one output voxel reads back through the graph, for every position of that voxel
 * within a stride of the pools, and takes the longest: exact, also for uneven alignments after transposed convolutions.
 */
function receptiveField(net: NetSpec): Vec3 {
  const stride = strideOf(net);
  const graph = buildGraph(net, { batch: 1, shape: stride });
  const along = (axis: number): number => {
    let longest = 0;
    for (let start = 0; start < stride[axis]; start++) {
      const needed = new Map<number, [number, number]>([[graph.output, [start, start]]]);
      for (const node of graph.nodes.toReversed()) {
        const out = needed.get(node.output);
        if (!out) continue;
        const [from, to] = readBy(node, axis, out);
        for (const id of node.inputs) {
          const [a, b] = needed.get(id) ?? [from, to];
          needed.set(id, [Math.min(a, from), Math.max(b, to)]);
        }
      }
      const [from, to] = needed.get(graph.input)!;
      longest = Math.max(longest, to - from + 1);
    }
    return longest;
  };
  return [along(0), along(1), along(2)];
}

function readBy(node: GraphNode, axis: number, [from, to]: [number, number]): [number, number] {
  if (node.kind === "conv") {
    const reach = (node.kernel[axis] - 1) / 2;
    return [from - reach, to + reach];
  }
  const factor = node.factor[axis];
  if (node.kind === "maxpool") return [from * factor, to * factor + factor - 1];
  return [Math.floor(from / factor), Math.floor(to / factor)];
}
