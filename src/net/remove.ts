import { type Graph, type GraphNode, paramsOf } from "../engine/graph.ts";
import type { TensorMap } from "../engine/types.ts";
import { fail } from "../util/errors.ts";
import { nearest } from "../util/nearest.ts";
import { voxelCount } from "../volume/volume.ts";
import { buildGraph, strideOf } from "./build.ts";
import type { NetSpec } from "./spec.ts";

/** A layer whose output channels can be removed: a convolution with its norm, or a transposed convolution. */
export interface PrunableLayer {
  /** Its node in the graph, e.g. "encoder.0.1" or "decoder.2.up". */
  name: string;
  kind: "conv" | "upconv";
  /** Of the resolution it writes: 0 is the finest, the last one is the bottleneck. */
  level: number;
  /** Output channels. */
  width: number;
  /** Trained parameters of its own, norm included. */
  parameters: number;
}

/** Output channels of one layer to remove, by their numbers in the net as it is. */
export interface Removal {
  layer: string;
  channels: readonly number[];
}

/** A net without some channels. */
export interface RemovedChannels {
  net: NetSpec;
  /**
   * Cuts tensors of the whole net down to those of `net`: parameters and running statistics by name, optimiser moments and
   * moving averages under `m.NAME`, `v.NAME` and `ema.NAME`; `step` is kept. The values given are not changed. Throws
   * UserError for a tensor of another name or size.
   */
  apply(tensors: TensorMap): TensorMap;
}

/** The layers whose channels can be removed, in the order of the forward pass: every convolution and transposed convolution but the head. */
export function prunableLayers(net: NetSpec): PrunableLayer[] {
  const graph = graphOf(net);
  const levels: number[] = [];
  levels[graph.input] = 0;
  return graph.nodes.flatMap((node) => {
    const step = { conv: 0, maxpool: 1, upconv: -1 }[node.kind];
    levels[node.output] = levels[node.inputs[0]] + step;
    if (node.kind === "maxpool" || node.output === graph.output) return [];
    const trained = paramsOf(graph, node).filter((p) => p.trained);
    return {
      name: node.name,
      kind: node.kind,
      level: levels[node.output],
      width: graph.tensors[node.output].channels,
      parameters: trained.reduce((sum, { shape }) => sum + voxelCount(shape), 0),
    };
  });
}

/**
 * Removes output channels of layers, and with each its slice of every layer that reads it, directly, through pools or as part
 * of a concatenation. The rest of the net computes what it computed with those channels held at zero. Throws UserError for an
 * unknown layer, a channel that is not there or named twice, and where a layer would be left without channels.
 */
export function removeChannels(net: NetSpec, removals: readonly Removal[]): RemovedChannels {
  const gone = checkRemovals(net, removals);
  return {
    net: withoutChannels(net, gone),
    apply: (tensors) => {
      const slices = slicesOf(graphOf(net), gone);
      return new Map([...tensors].map(([name, data]) => [name, cut(name, data, slices)]));
    },
  };
}

function graphOf(net: NetSpec): Graph {
  return buildGraph(net, { batch: 1, shape: strideOf(net) });
}

/** Channels to remove, by layer. */
type Gone = ReadonlyMap<string, ReadonlySet<number>>;

function checkRemovals(net: NetSpec, removals: readonly Removal[]): Gone {
  const layers = new Map(prunableLayers(net).map((layer) => [layer.name, layer]));
  const gone = new Map<string, Set<number>>();
  for (const { layer, channels } of removals) {
    const width =
      layers.get(layer)?.width ??
      fail(
        `Expected a layer whose channels can be removed, but the net has none named "${layer}"; did you mean ` +
          `${nearest(layer, [...layers.keys()])}?`,
      );
    const set = gone.get(layer) ?? new Set<number>();
    for (const channel of channels) {
      if (!Number.isInteger(channel) || channel < 0 || channel >= width) {
        fail(`Expected a channel from 0 to ${width - 1} of layer ${layer} to remove, but got ${channel}.`);
      }
      if (set.has(channel)) fail(`Expected every channel once, but channel ${channel} of layer ${layer} comes twice.`);
      set.add(channel);
    }
    gone.set(layer, set);
    if (set.size >= width) {
      fail(`Layer ${layer} has ${width} channels and must keep one, but ${set.size} were to be removed.`);
    }
  }
  return gone;
}

/** What stays of a tensor: indices along its first two axes; null is all. */
interface Slice {
  shape: readonly number[];
  kept: [number[] | null, number[] | null];
}

/** The slice of every tensor of the graph, found by following where the channels that a node reads come from. */
function slicesOf(graph: Graph, gone: Gone): Map<string, Slice> {
  /** By tensor id: which channels stay. */
  const stays: boolean[][] = [];
  stays[graph.input] = Array.from({ length: graph.tensors[graph.input].channels }, () => true);
  const slices = new Map<string, Slice>();
  for (const node of graph.nodes) {
    const read = node.inputs.flatMap((id) => stays[id]);
    const written = node.kind === "maxpool" ? read : ownChannels(graph, node, gone.get(node.name));
    stays[node.output] = written;
    const [inputs, outputs] = [indices(read), indices(written)];
    for (const { name, shape, role } of paramsOf(graph, node)) {
      const first = role === "weight" && node.kind === "upconv" ? inputs : outputs;
      const second = role !== "weight" ? null : node.kind === "upconv" ? outputs : inputs;
      slices.set(name, { shape, kept: [first, second] });
    }
  }
  return slices;
}

function ownChannels(graph: Graph, node: GraphNode, gone?: ReadonlySet<number>): boolean[] {
  return Array.from({ length: graph.tensors[node.output].channels }, (_, c) => !gone?.has(c));
}

/** Positions of what stays; null where all does. */
function indices(stays: readonly boolean[]): number[] | null {
  return stays.includes(false) ? stays.flatMap((stay, i) => (stay ? [i] : [])) : null;
}

/** Names of the optimiser's tensors are these before a parameter's. */
const statePrefix = /^(?:m|v|ema)\./;

function cut(name: string, data: Float32Array, slices: ReadonlyMap<string, Slice>): Float32Array {
  if (name === "step") return data.slice();
  const slice =
    slices.get(name.replace(statePrefix, "")) ??
    fail(`Expected only tensors of the net to cut, but there is one named "${name}".`);
  const { shape, kept } = slice;
  const size = voxelCount(shape);
  if (data.length !== size) fail(`Expected ${size} values in tensor "${name}", but got ${data.length}.`);
  if (!kept[0] && !kept[1]) return data.slice();
  const [rows, columns = 1, ...inner] = shape;
  const all = (length: number): number[] => Array.from({ length }, (_, i) => i);
  const [keptRows, keptColumns] = [kept[0] ?? all(rows), kept[1] ?? all(columns)];
  const run = voxelCount(inner);
  const out = new Float32Array(keptRows.length * keptColumns.length * run);
  let at = 0;
  for (const row of keptRows) {
    for (const column of keptColumns) {
      const from = (row * columns + column) * run;
      out.set(data.subarray(from, from + run), at);
      at += run;
    }
  }
  return out;
}

function withoutChannels(net: NetSpec, gone: Gone): NetSpec {
  const left = (layer: string, width: number): number => width - (gone.get(layer)?.size ?? 0);
  const block = (name: string, widths: readonly number[]): number[] => widths.map((w, i) => left(`${name}.${i}`, w));
  return {
    ...net,
    encoder: net.encoder.map((widths, level) => block(`encoder.${level}`, widths)),
    bottleneck: block("bottleneck", net.bottleneck),
    decoder: net.decoder.map(({ up, convs }, level) => ({
      up: left(`decoder.${level}.up`, up),
      convs: block(`decoder.${level}`, convs),
    })),
  };
}
