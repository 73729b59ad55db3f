import type { Vec3 } from "../volume/volume.ts";

/** A tensor of the graph: [N, channels, D, H, W] with N = Graph.batch. */
export interface GraphTensor {
  name: string;
  channels: number;
  shape: Vec3;
}

/** What follows a convolution: activation and norm in either order, then channel dropout (training only). */
export interface UnitTail {
  order: "conv-act-norm" | "conv-norm-act";
  norm: "batch" | "instance" | "none";
  /** Of the activation below 0, from 0 (ReLU) to 1. */
  slope: number;
  eps: number;
  momentum: number;
}

/**
 * Convolution, stride 1, zero padding "same", bias; kernel 1 or 3 along each axis. Two inputs stand for their concatenation
 * along channels (never materialised). `tail: null` is a bare convolution (the head).
 * Parameters: `${name}.weight` [Cout, Cin, kD, kH, kW], `${name}.bias` [Cout]; with a norm also `${name}.norm.weight`,
 * `${name}.norm.bias` [Cout] and, for batch norm, `${name}.norm.running_mean`, `${name}.norm.running_var`.
 */
export interface ConvNode {
  kind: "conv";
  name: string;
  inputs: number[];
  output: number;
  kernel: Vec3;
  tail: UnitTail | null;
}

/** Transposed convolution with kernel = stride = factor. Parameters: `${name}.weight` [Cin, Cout, fD, fH, fW], `${name}.bias` [Cout]. */
export interface UpconvNode {
  kind: "upconv";
  name: string;
  inputs: number[];
  output: number;
  factor: Vec3;
}

/** Max pool with window = stride = factor; a gradient goes to the first maximum in D, H, W scan order (PyTorch's rule). */
export interface PoolNode {
  kind: "maxpool";
  name: string;
  inputs: number[];
  output: number;
  factor: Vec3;
}

export type GraphNode = ConvNode | UpconvNode | PoolNode;

export interface ParamInfo {
  name: string;
  shape: number[];
  role: "weight" | "bias" | "scale" | "shift" | "mean" | "variance";
  /** mean and variance are running statistics, not trained. */
  trained: boolean;
}

/** A static program description: nodes in execution order over tensors of fixed size. Knows nothing of medicine. */
export interface Graph {
  batch: number;
  tensors: GraphTensor[];
  nodes: GraphNode[];
  /** Tensor ids. */
  input: number;
  output: number;
  /**
   * Further logits on coarser grids, from fine to coarse, that count in the loss of a training step (deep supervision). As many channels
   * as the output has; nothing else reads them.
   */
  auxiliary?: number[];
  outputKind: "softmax" | "sigmoid";
  params: ParamInfo[];
}

/** Total channels a node reads. */
export function inputChannelsOf(graph: Graph, node: GraphNode): number {
  return node.inputs.reduce((sum, id) => sum + graph.tensors[id].channels, 0);
}

/** The parameters of one node, in file order. */
export function paramsOf(graph: Pick<Graph, "tensors">, node: GraphNode): ParamInfo[] {
  if (node.kind === "maxpool") return [];
  const cin = node.inputs.reduce((sum, id) => sum + graph.tensors[id].channels, 0);
  const cout = graph.tensors[node.output].channels;
  const bias: ParamInfo = { name: `${node.name}.bias`, shape: [cout], role: "bias", trained: true };
  if (node.kind === "upconv") {
    return [{ name: `${node.name}.weight`, shape: [cin, cout, ...node.factor], role: "weight", trained: true }, bias];
  }
  const out: ParamInfo[] = [
    { name: `${node.name}.weight`, shape: [cout, cin, ...node.kernel], role: "weight", trained: true },
    bias,
  ];
  if (node.tail && node.tail.norm !== "none") {
    out.push({ name: `${node.name}.norm.weight`, shape: [cout], role: "scale", trained: true });
    out.push({ name: `${node.name}.norm.bias`, shape: [cout], role: "shift", trained: true });
    if (node.tail.norm === "batch") {
      out.push({ name: `${node.name}.norm.running_mean`, shape: [cout], role: "mean", trained: false });
      out.push({ name: `${node.name}.norm.running_var`, shape: [cout], role: "variance", trained: false });
    }
  }
  return out;
}
