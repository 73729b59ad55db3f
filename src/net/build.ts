import type { ConvNode, Graph, GraphNode, GraphTensor, ParamInfo, UnitTail } from "../engine/graph.ts";
import { paramsOf } from "../engine/graph.ts";
import type { TensorMap } from "../engine/types.ts";
import { fail } from "../util/errors.ts";
import { random } from "../util/random.ts";
import type { Vec3 } from "../volume/volume.ts";
import type { NetSpec } from "./spec.ts";

export interface BuildOptions {
  /** N of the input [N, C, D, H, W]. */
  batch: number;
  /** D, H, W of the input in voxels. */
  shape: Vec3;
  /** Adds `head.L` to coarser decoder levels L (see {@link supervisedLevels}), as training with deep supervision has them. */
  deepSupervision?: boolean;
}

const axes = ["D", "H", "W"];

/** Voxels along D, H, W that the input must be a multiple of: the product of the pools. */
export function strideOf(net: Pick<NetSpec, "pools">): Vec3 {
  return net.pools.reduce<Vec3>((s, p) => [s[0] * p[0], s[1] * p[1], s[2] * p[2]], [1, 1, 1]);
}

/**
 * Decoder levels that get a head of their own in deep supervision: all but the finest, which has the net's head, and the coarsest, whose
 * loss nnU-Net leaves out; with two pools the coarser one of the two all the same. Throws UserError where there is no coarser level.
 */
export function supervisedLevels(net: Pick<NetSpec, "pools">): number[] {
  const pools = net.pools.length;
  if (pools < 2) fail(`Expected a net of 3 levels or more for deep supervision, but it has ${pools + 1}.`);
  return Array.from({ length: Math.max(1, pools - 2) }, (_, i) => i + 1);
}

/** The tensors that belong to the net itself, without those of the heads of deep supervision. */
export function withoutHeads(tensors: TensorMap): TensorMap {
  return new Map([...tensors].filter(([name]) => !/^head\.\d/.test(name)));
}

/**
 * The layer graph of a net for one input size. Nodes run in this order: encoder levels 0 .. P-1 (`encoder.L.I` and
 * `encoder.L.pool`), `bottleneck.I`, decoder levels P-1 .. 0 (`decoder.L.up`, then `decoder.L.I`, the first of which
 * reads [up, skip], and `head.L` of deep supervision) and `head`. Throws UserError where an axis is not a multiple of the product of its pools.
 */
export function buildGraph(net: NetSpec, options: BuildOptions): Graph {
  const { batch, shape, deepSupervision = false } = options;
  const supervised = deepSupervision ? supervisedLevels(net) : [];
  if (!Number.isInteger(batch) || batch < 1) fail(`Expected a batch of 1 or more, but got ${batch}.`);
  checkShape(net, shape);
  const tail: UnitTail = { ...net.unit };
  const tensors: GraphTensor[] = [{ name: "input", channels: net.inputChannels, shape: [...shape] }];
  const nodes: GraphNode[] = [];

  const tensor = (name: string, channels: number, size: Vec3): number =>
    tensors.push({ name, channels, shape: size }) - 1;
  const conv = (name: string, inputs: number[], width: number, kernel: Vec3, after: UnitTail | null): number => {
    const output = tensor(name, width, tensors[inputs[0]].shape);
    const node: ConvNode = { kind: "conv", name, inputs, output, kernel, tail: after };
    nodes.push(node);
    return output;
  };
  const block = (name: string, inputs: number[], widths: number[], kernel: Vec3): number => {
    let from = inputs;
    widths.forEach((width, i) => {
      from = [conv(`${name}.${i}`, from, width, kernel, tail)];
    });
    return from[0];
  };

  let x = 0;
  const heads: number[] = [];
  const skips: number[] = [];
  net.pools.forEach((factor, level) => {
    x = block(`encoder.${level}`, [x], net.encoder[level], net.kernels[level]);
    skips.push(x);
    const { channels, shape: s } = tensors[x];
    const name = `encoder.${level}.pool`;
    const output = tensor(name, channels, [s[0] / factor[0], s[1] / factor[1], s[2] / factor[2]]);
    nodes.push({ kind: "maxpool", name, inputs: [x], output, factor });
    x = output;
  });
  x = block("bottleneck", [x], net.bottleneck, net.kernels[net.pools.length]);
  for (let level = net.pools.length - 1; level >= 0; level--) {
    const { up, convs } = net.decoder[level];
    const name = `decoder.${level}.up`;
    const output = tensor(name, up, tensors[skips[level]].shape);
    nodes.push({ kind: "upconv", name, inputs: [x], output, factor: net.pools[level] });
    x = block(`decoder.${level}`, net.skips[level] ? [output, skips[level]] : [output], convs, net.kernels[level]);
    if (supervised.includes(level)) heads.unshift(conv(`head.${level}`, [x], net.outputChannels, [1, 1, 1], null));
  }
  const output = conv("head", [x], net.outputChannels, [1, 1, 1], null);
  const params = nodes.flatMap((node) => paramsOf({ tensors }, node));
  const auxiliary = deepSupervision ? { auxiliary: heads } : {};
  return { batch, tensors, nodes, input: 0, output, ...auxiliary, outputKind: net.output, params };
}

function checkShape(net: NetSpec, shape: Vec3): void {
  strideOf(net).forEach((stride, axis) => {
    const size = shape[axis];
    if (Number.isInteger(size) && size > 0 && size % stride === 0) return;
    const below = Math.floor(size / stride) * stride;
    const nearest = below > 0 ? `${below} or ${below + stride}` : `${stride}`;
    fail(
      `Expected axis ${axes[axis]} of the input to be a multiple of ${stride} (the product of the net's pools), ` +
        `but it is ${size}: use ${nearest}.`,
    );
  });
}

/**
 * Start values of every parameter of a graph. Weights are normal with variance 2 / ((1 + slope^2) fan-in) before an
 * activation (He et al. 2015, eq. 15) and 1 / fan-in where none follows (transposed convolutions, head); biases and
 * shifts 0, scales 1, running mean 0 and variance 1. Each tensor has its own random stream from (seed, name), so a
 * change of one layer leaves the others' values alone.
 */
export function initialise(graph: Pick<Graph, "nodes" | "tensors">, seed: number): TensorMap {
  const values: TensorMap = new Map();
  for (const node of graph.nodes) {
    for (const info of paramsOf(graph, node)) values.set(info.name, startValues(node, info, seed));
  }
  return values;
}

function startValues(node: GraphNode, info: ParamInfo, seed: number): Float32Array {
  const out = new Float32Array(info.shape.reduce((a, b) => a * b, 1));
  if (info.role === "scale" || info.role === "variance") return out.fill(1);
  if (info.role !== "weight") return out;
  // An upconv's kernel equals its stride: each output voxel reads one tap of every input channel.
  const fanIn = node.kind === "upconv" ? info.shape[0] : out.length / info.shape[0];
  const slope = node.kind === "conv" && node.tail ? node.tail.slope : 1;
  const deviation = Math.sqrt(2 / ((1 + slope * slope) * fanIn));
  const generator = random(seed, ...Array.from(info.name, (c) => c.charCodeAt(0)));
  for (let i = 0; i < out.length; i++) out[i] = deviation * generator.normal();
  return out;
}
