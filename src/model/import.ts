import { type Graph, type GraphNode, paramsOf } from "../engine/graph.ts";
import type { TensorMap } from "../engine/types.ts";
import { buildGraph, strideOf } from "../net/build.ts";
import type { NetSpec } from "../net/spec.ts";
import { fail } from "../util/errors.ts";
import type { TensorFile } from "./safetensors.ts";

export interface ImportOptions {
  /** Which part comes first along the channels that a decoder level reads. Default "up-skip", as here; torch.cat([skip, up], 1) is "skip-up". */
  concat?: "up-skip" | "skip-up";
}

export interface ImportedWeights {
  tensors: TensorMap;
  /** Which module of the file became which layer's convolution and norm, in order. */
  table: { layer: string; module: string; shape: number[]; norm?: string }[];
}

/** The tensors of one module of another program: "3.conv1.weight" and "3.conv1.bias". */
interface Module {
  name: string;
  parts: Map<string, { shape: number[]; data: Float32Array }>;
}

/**
 * Takes the weights of another program, PyTorch above all, into a net by order and shape. Names begin with their place ("0000.enc1.conv.weight"),
 * which is the order of the layers: modules with a kernel become the convolutions, transposed ones and head in the order of
 * {@link buildGraph}, modules without one the norms in the same order. A missing bias is 0; a missing scale and shift of a norm 1 and 0. A file with the
 * net's own names is taken as it is. Throws UserError where number, shape or names do not fit the net.
 */
export function importWeights(
  file: TensorFile,
  net: NetSpec,
  name: string,
  { concat = "up-skip" }: ImportOptions = {},
): ImportedWeights {
  const graph = buildGraph(net, { batch: 1, shape: strideOf(net) });
  const modules = modulesOf(file, graph, name);
  const isLayer = ({ parts }: Module): boolean => (parts.get("weight")?.shape.length ?? 0) > 1;
  const layers = modules.filter(isLayer);
  const norms = modules.filter((module) => !isLayer(module));
  const nodes = graph.nodes.filter(({ kind }) => kind !== "maxpool");
  const withNorm = nodes.filter((node) => node.kind === "conv" && node.tail && node.tail.norm !== "none");
  const count = (what: string, wanted: number, got: number): void => {
    if (wanted === got) return;
    fail(
      `Expected ${wanted} ${what} in ${name} for this net, but it has ${got}; check the net (--like, --convs, --norm).`,
    );
  };
  count("convolutions and transposed convolutions", nodes.length, layers.length);
  count("norms", withNorm.length, norms.length);

  const tensors: TensorMap = new Map();
  const table: ImportedWeights["table"] = [];
  for (const [i, node] of nodes.entries()) {
    const module = layers[i];
    const norm = withNorm.includes(node) ? norms[withNorm.indexOf(node)] : undefined;
    for (const { name: own, shape, role } of paramsOf(graph, node)) {
      const ofNorm = own.startsWith(`${node.name}.norm.`);
      const from = ofNorm ? norm! : module;
      const part = own.slice(node.name.length + (ofNorm ? 6 : 1));
      const found = from.parts.get(part);
      from.parts.delete(part);
      if (!found && (role === "weight" || role === "mean" || role === "variance")) {
        fail(`Expected ${part} in ${from.name} of ${name}, which becomes ${own}, but it is missing.`);
      }
      if (found && !sameShape(found.shape, shape)) {
        fail(
          `Expected ${from.name}.${part}, layer ${i + 1} of ${name}, to have shape [${shape}] as ${own} of this net, but it has ` +
            `[${found.shape}]; check the net and the order of the layers.`,
        );
      }
      const size = shape.reduce((a, b) => a * b, 1);
      tensors.set(own, found?.data ?? new Float32Array(size).fill(role === "scale" ? 1 : 0));
    }
    const weight = `${node.name}.weight`;
    if (concat === "skip-up" && node.inputs.length === 2) {
      tensors.set(weight, swapInputs(graph, node, tensors.get(weight)!));
    }
    for (const { name: used, parts } of norm ? [module, norm] : [module]) {
      parts.delete("num_batches_tracked");
      const [rest] = parts.keys();
      if (rest !== undefined) {
        fail(`Expected no ${rest} in ${used} of ${name}, because ${node.name} of this net has none; check --norm.`);
      }
    }
    const { shape } = paramsOf(graph, node)[0];
    table.push({ layer: node.name, module: module.name, shape, ...(norm ? { norm: norm.name } : {}) });
  }
  return { tensors, table };
}

/** The modules in the order of their places, or, where the file has this net's own names, in that of the net. */
function modulesOf({ tensors }: TensorFile, graph: Graph, name: string): Module[] {
  const own = graph.params.map((param) => param.name);
  const isOwn = own.length === tensors.size && own.every((param) => tensors.has(param));
  const places = [...tensors.keys()].map((tensor) => /^(\d+)\./.exec(tensor)?.[1]);
  if (!isOwn && places.some((place) => place === undefined)) {
    fail(
      `Expected every tensor of ${name} to begin with its place, as in 0000.enc1.conv.weight, because a safetensors file does not keep the ` +
        "order of layers; write it as the how-to guide shows (Weights from and to PyTorch).",
    );
  }
  const sorted = isOwn ? own : [...tensors.keys()].sort((a, b) => Number.parseInt(a, 10) - Number.parseInt(b, 10));
  const modules = new Map<string, Module>();
  for (const tensor of sorted) {
    const bare = isOwn ? tensor : tensor.replace(/^\d+\./, "");
    const dot = bare.lastIndexOf(".");
    const [module, part] = [bare.slice(0, Math.max(dot, 0)), bare.slice(dot + 1)];
    const entry = modules.get(module) ?? { name: module, parts: new Map() };
    entry.parts.set(part, tensors.get(tensor)!);
    modules.set(module, entry);
  }
  return [...modules.values()];
}

/** 2D weights have no axis D, where ours have size 1. */
function sameShape(got: readonly number[], wanted: readonly number[]): boolean {
  const flat = wanted.length === 5 && wanted[2] === 1 ? wanted.toSpliced(2, 1) : wanted;
  return got.join() === wanted.join() || got.join() === flat.join();
}

/** A weight [Cout, skip + up, ...kernel] with its input channels as [up, skip]. */
function swapInputs(graph: Graph, { inputs, output }: GraphNode, data: Float32Array): Float32Array {
  const [up, skip] = inputs.map((id) => graph.tensors[id].channels);
  const cout = graph.tensors[output].channels;
  const taps = data.length / (cout * (up + skip));
  const out = new Float32Array(data.length);
  for (let co = 0, row = 0; co < cout; co++, row += (up + skip) * taps) {
    out.set(data.subarray(row + skip * taps, row + (up + skip) * taps), row);
    out.set(data.subarray(row, row + skip * taps), row + up * taps);
  }
  return out;
}
