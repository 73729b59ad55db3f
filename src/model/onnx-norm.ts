import type { ConvNode, Graph, GraphNode } from "../engine/graph.ts";

/** Where a batch norm goes: into its own convolution, into the layers that read it, or into a node of its own. */
export type NormPlace = "own" | "next" | "kept";

/** A node's parameters by their names without the node's. */
export type Values = Map<string, { shape: number[]; data: Float32Array }>;

/**
 * The place of each convolution's batch norm, where folding is exact. Straight after the convolution it goes into that one. After the
 * activation it can only go into layers without padding: zeros around its input are not the zeros of the folded one. Those are
 * convolutions with kernel 1 (the head) and, where `upconvs` says that they have a bias for each tap, transposed ones.
 */
export function placeNorms(graph: Graph, { upconvs }: { upconvs: boolean }): Map<string, NormPlace> {
  const takes = (node: GraphNode): boolean =>
    node.kind === "conv" ? node.kernel.every((k) => k === 1) : node.kind === "upconv" && upconvs;
  const places = new Map<string, NormPlace>();
  for (const node of graph.nodes) {
    if (node.kind !== "conv" || node.tail?.norm !== "batch") continue;
    const readers = graph.nodes.filter(({ inputs }) => inputs.includes(node.output));
    const next = readers.length > 0 && readers.every(takes) ? "next" : "kept";
    places.set(node.name, node.tail.order === "conv-norm-act" ? "own" : next);
  }
  return places;
}

/** A batch norm as y = scale x + shift, per channel. */
export interface Affine {
  scale: Float64Array;
  shift: Float64Array;
}

/** scale = gamma / sqrt(variance + eps), shift = beta - mean scale. */
export function affineOf(node: ConvNode, values: Values): Affine {
  const data = (name: string): Float32Array => values.get(`norm.${name}`)!.data;
  const variance = data("running_var");
  const scale = Float64Array.from(data("weight"), (gamma, c) => gamma / Math.sqrt(variance[c] + node.tail!.eps));
  const mean = data("running_mean");
  return { scale, shift: Float64Array.from(data("bias"), (beta, c) => beta - mean[c] * scale[c]) };
}

/** scale (w x + b) + shift = (scale w) x + (scale b + shift): changes weight [Cout, ...] and bias of the convolution before the norm. */
export function foldBack(values: Values, { scale, shift }: Affine): void {
  const { weight, bias, taps } = partsOf(values);
  values.set("weight", { ...weight, data: weight.data.map((w, i) => w * scale[Math.floor(i / taps)]) });
  values.set("bias", { ...bias, data: bias.data.map((b, c) => b * scale[c] + shift[c]) });
}

/** w (scale x + shift) + b: changes weight [Cout, Cin, 1, 1, 1] and bias of a convolution that reads a normalised `x` of all its Cin channels. */
export function foldAhead(values: Values, { scale, shift }: Affine): void {
  const { weight, bias, taps } = partsOf(values);
  const sums = Float64Array.from(bias.data);
  for (let i = 0; i < weight.data.length; i++) sums[Math.floor(i / taps)] += weight.data[i] * shift[i % taps];
  values.set("weight", { ...weight, data: weight.data.map((w, i) => w * scale[i % taps]) });
  values.set("bias", { ...bias, data: Float32Array.from(sums) });
}

function partsOf(values: Values) {
  const [weight, bias] = [values.get("weight")!, values.get("bias")!];
  return { weight, bias, taps: weight.data.length / weight.shape[0] };
}
