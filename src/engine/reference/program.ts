import { fail } from "../../util/errors.ts";
import { voxelCount } from "../../volume/volume.ts";
import { checkInput } from "../check.ts";
import { type ConvNode, type Graph, inputChannelsOf, type UpconvNode } from "../graph.ts";
import { accumulateVoxel, createSums, distils, logitGradient, lossFromSums, voxelTerms } from "../loss.ts";
import { coarseTarget, supervisedOutputs } from "../supervision.ts";
import type { Batch, LossSpec } from "../types.ts";
import { type ConvSizes, concatChannels, convBackward, convForward, splitChannels } from "./conv.ts";
import { maxpoolBackward, maxpoolForward } from "./maxpool.ts";
import {
  type BatchStatistics,
  type NormSizes,
  type NormTape,
  normBackward,
  normForward,
  normInference,
} from "./norm.ts";
import { activationBackward, activationForward, scalePlanes } from "./pointwise.ts";
import { type UpconvSizes, upconvBackward, upconvForward } from "./upconv.ts";

/** Parameters or gradients by name, in the layout of Graph.params. */
export type Values = Map<string, Float64Array>;
/** Channel dropout factors [N * Cout] by conv node name. */
export type Dropout = ReadonlyMap<string, ArrayLike<number>>;
/** Sees the output `u` [N, C, D, H, W] of a convolution (before its tail) and the loss's gradient with respect to it. */
export type Observer = (node: ConvNode | UpconvNode, u: Float64Array, gradient: Float64Array) => void;

export interface ForwardOptions {
  /** Batch norm by the batch's own statistics, dropout applied. */
  training: boolean;
  dropout?: Dropout;
}

/** What one node's backward pass needs beside the tensors. */
interface NodeTape {
  /** Input of the convolution (concatenated). */
  input?: Float64Array;
  /** Output of the convolution, before its tail. */
  convolved?: Float64Array;
  /** Input of the activation. */
  activation?: Float64Array;
  norm?: NormTape;
  winner?: Uint32Array;
}

export interface Forward {
  /** [N, K, D, H, W]. */
  logits: Float64Array;
  /** By tensor id, as [N, C, D, H, W]. */
  tensors: Float64Array[];
  tapes: NodeTape[];
  /** Batch norm statistics by node name (training only). */
  statistics: Map<string, BatchStatistics>;
}

const get = (values: Values, name: string): Float64Array =>
  values.get(name) ?? fail(`Expected a parameter named "${name}", but there is none.`);

function convSizes(graph: Graph, node: ConvNode): ConvSizes {
  const { channels: cout, shape } = graph.tensors[node.output];
  return { batch: graph.batch, cin: inputChannelsOf(graph, node), cout, shape, kernel: node.kernel };
}

function normSizes(sizes: ConvSizes): NormSizes {
  return { batch: sizes.batch, channels: sizes.cout, voxels: voxelCount(sizes.shape) };
}

/** Convolution, then activation and norm in the unit's order, then dropout. */
function convUnitForward(
  graph: Graph,
  node: ConvNode,
  params: Values,
  tensors: Float64Array[],
  options: ForwardOptions,
): { y: Float64Array; tape: NodeTape; statistics: BatchStatistics | null } {
  const { tail, name } = node;
  const sizes = convSizes(graph, node);
  const channels = node.inputs.map((id) => graph.tensors[id].channels);
  const parts = node.inputs.map((id) => tensors[id]);
  const tape: NodeTape = { input: concatChannels(parts, channels, sizes.batch, voxelCount(sizes.shape)) };
  let statistics: BatchStatistics | null = null;
  let y = convForward(tape.input!, get(params, `${name}.weight`), get(params, `${name}.bias`), sizes);
  tape.convolved = y;
  if (!tail) return { y, tape, statistics };

  const activate = (): void => {
    tape.activation = y;
    y = activationForward(y, tail.slope);
  };
  if (tail.order === "conv-act-norm") activate();
  if (tail.norm !== "none") {
    const scale = get(params, `${name}.norm.weight`);
    const shift = get(params, `${name}.norm.bias`);
    if (tail.norm === "batch" && !options.training) {
      const mean = get(params, `${name}.norm.running_mean`);
      const variance = get(params, `${name}.norm.running_var`);
      y = normInference(y, scale, shift, mean, variance, tail.eps, normSizes(sizes));
    } else {
      const normed = normForward(tail.norm, y, scale, shift, tail.eps, normSizes(sizes));
      y = normed.y;
      tape.norm = normed.tape;
      statistics = normed.statistics;
    }
  }
  if (tail.order === "conv-norm-act") activate();
  const factors = options.training ? options.dropout?.get(name) : undefined;
  if (factors) y = scalePlanes(y, factors);
  return { y, tape, statistics };
}

/** Reverse of {@link convUnitForward}: returns the input gradients, one per input, and adds the parameters' to `gradients`. */
function convUnitBackward(
  graph: Graph,
  node: ConvNode,
  params: Values,
  tape: NodeTape,
  dy: Float64Array,
  dropout: Dropout | undefined,
  gradients: Values,
  observe: Observer | undefined,
): Float64Array[] {
  const { tail, name } = node;
  const sizes = convSizes(graph, node);
  let d = dy;
  if (tail) {
    const deactivate = (): void => {
      d = activationBackward(d, tape.activation!, tail.slope);
    };
    const factors = dropout?.get(name);
    if (factors) d = scalePlanes(d, factors);
    if (tail.order === "conv-norm-act") deactivate();
    if (tail.norm !== "none") {
      const back = normBackward(tail.norm, d, tape.norm!, get(params, `${name}.norm.weight`), normSizes(sizes));
      gradients.set(`${name}.norm.weight`, back.scale);
      gradients.set(`${name}.norm.bias`, back.shift);
      d = back.x;
    }
    if (tail.order === "conv-act-norm") deactivate();
  }
  observe?.(node, tape.convolved!, d);
  const back = convBackward(d, tape.input!, get(params, `${name}.weight`), sizes);
  gradients.set(`${name}.weight`, back.weight);
  gradients.set(`${name}.bias`, back.bias);
  const channels = node.inputs.map((id) => graph.tensors[id].channels);
  return splitChannels(back.x, channels, sizes.batch, voxelCount(sizes.shape));
}

/** Runs the graph on an input [N, C, D, H, W] in float64. */
export function forward(graph: Graph, params: Values, input: ArrayLike<number>, options: ForwardOptions): Forward {
  checkInput(graph, input);
  const { batch } = graph;
  const tensors: Float64Array[] = [];
  tensors[graph.input] = Float64Array.from(input);
  const statistics = new Map<string, BatchStatistics>();
  const tapes = graph.nodes.map((node): NodeTape => {
    const source = graph.tensors[node.inputs[0]];
    const x = tensors[node.inputs[0]];
    if (node.kind === "conv") {
      const unit = convUnitForward(graph, node, params, tensors, options);
      tensors[node.output] = unit.y;
      if (unit.statistics) statistics.set(node.name, unit.statistics);
      return unit.tape;
    }
    if (node.kind === "upconv") {
      const sizes = upconvSizes(graph, node.inputs[0], node.output, node.factor);
      tensors[node.output] = upconvForward(
        x,
        get(params, `${node.name}.weight`),
        get(params, `${node.name}.bias`),
        sizes,
      );
      return {};
    }
    const { y, winner } = maxpoolForward(x, batch * source.channels, source.shape, node.factor);
    tensors[node.output] = y;
    return { winner };
  });
  return { logits: tensors[graph.output], tensors, tapes, statistics };
}

function upconvSizes(graph: Graph, input: number, output: number, factor: UpconvSizes["factor"]): UpconvSizes {
  const { channels: cin, shape } = graph.tensors[input];
  return { batch: graph.batch, cin, cout: graph.tensors[output].channels, shape, factor };
}

/** Gradients of all trained parameters for gradients by the logits (by tensor id), through a forward pass made in training mode. */
export function backward(
  graph: Graph,
  params: Values,
  pass: Forward,
  logitGradients: ReadonlyMap<number, Float64Array>,
  dropout?: Dropout,
  observe?: Observer,
): Values {
  const gradients: Values = new Map();
  const pending: Float64Array[] = [];
  for (const [id, gradient] of logitGradients) pending[id] = gradient;
  // A tensor read by several nodes (a skip) gets the sum of their gradients.
  const give = (id: number, gradient: Float64Array): void => {
    const held = pending[id];
    pending[id] = held ? held.map((value, i) => value + gradient[i]) : gradient;
  };
  for (let index = graph.nodes.length - 1; index >= 0; index--) {
    const node = graph.nodes[index];
    const tape = pass.tapes[index];
    const x = pass.tensors[node.inputs[0]];
    const dy = pending[node.output] ?? new Float64Array(pass.tensors[node.output].length);
    if (node.kind === "conv") {
      const parts = convUnitBackward(graph, node, params, tape, dy, dropout, gradients, observe);
      node.inputs.forEach((id, i) => {
        give(id, parts[i]);
      });
    } else if (node.kind === "upconv") {
      observe?.(node, pass.tensors[node.output], dy);
      const sizes = upconvSizes(graph, node.inputs[0], node.output, node.factor);
      const back = upconvBackward(dy, x, get(params, `${node.name}.weight`), sizes);
      gradients.set(`${node.name}.weight`, back.weight);
      gradients.set(`${node.name}.bias`, back.bias);
      give(node.inputs[0], back.x);
    } else {
      give(node.inputs[0], maxpoolBackward(dy, tape.winner!, x.length));
    }
  }
  return gradients;
}

/** Loss of logits [N, K, voxels] against a target [N, voxels] and a teacher's probabilities, with the gradient by the logits. */
export function lossOfLogits(
  kind: Graph["outputKind"],
  logits: Float64Array,
  classes: number,
  { target, soft }: Pick<Batch, "target" | "soft">,
  spec: LossSpec,
  batch: number,
): { loss: number; dice: number[]; gradient: Float64Array } {
  const voxels = logits.length / (batch * classes);
  if (target.length !== batch * voxels) {
    fail(`Expected a target of ${batch * voxels} voxels (N D H W), but got ${target.length}.`);
  }
  const terms = voxelTerms(spec);
  const sums = createSums(classes);
  const probabilities: Float64Array[] = [];
  const at = (v: number, c: number): number => (Math.floor(v / voxels) * classes + c) * voxels + (v % voxels);
  const voxelOf = (values: ArrayLike<number>, v: number): Float64Array =>
    Float64Array.from({ length: classes }, (_, c) => values[at(v, c)]);
  const softOf = (v: number): Float64Array | undefined => (soft && distils(spec) ? voxelOf(soft, v) : undefined);
  for (let v = 0; v < target.length; v++) {
    const z = voxelOf(logits, v);
    probabilities.push(new Float64Array(classes));
    accumulateVoxel(kind, z, target[v], terms, probabilities[v], sums, softOf(v));
  }
  const { loss, dice, coefficients } = lossFromSums(spec, kind, sums);
  const gradient = new Float64Array(logits.length);
  const voxel = new Float64Array(classes);
  for (let v = 0; v < target.length; v++) {
    logitGradient(kind, coefficients, probabilities[v], target[v], voxel, softOf(v));
    for (let c = 0; c < classes; c++) gradient[at(v, c)] = voxel[c];
  }
  return { loss, dice, gradient };
}

/** The loss of a forward pass over all outputs, the Dice values of the finest, and the gradients by the logits, by tensor id. */
export function lossOfPass(
  graph: Graph,
  { tensors }: Pick<Forward, "tensors">,
  batch: Batch,
  spec: LossSpec,
): { loss: number; dice: number[]; gradients: Map<number, Float64Array> } {
  const fine = graph.tensors[graph.output];
  const gradients = new Map<number, Float64Array>();
  let total = 0;
  let dice: number[] = [];
  for (const output of supervisedOutputs(graph, spec)) {
    const { shape } = graph.tensors[output.id];
    const finest = output.id === graph.output;
    const target = finest ? batch.target : coarseTarget(batch.target, graph.batch, fine.shape, shape);
    const truth = { target, soft: batch.soft };
    const part = lossOfLogits(graph.outputKind, tensors[output.id], fine.channels, truth, output.loss, graph.batch);
    total += part.loss;
    if (finest) dice = part.dice;
    gradients.set(output.id, part.gradient);
  }
  return { loss: total, dice, gradients };
}

/** Training-mode forward, loss and backward, all in float64: the truth the fast backends are checked against. */
export function lossAndGradients(
  graph: Graph,
  params: Values,
  batch: Batch,
  spec: LossSpec,
  dropout?: Dropout,
  observe?: Observer,
): { loss: number; dice: number[]; gradients: Values; statistics: Map<string, BatchStatistics> } {
  const pass = forward(graph, params, batch.input, { training: true, dropout });
  const { loss, dice, gradients: byLogits } = lossOfPass(graph, pass, batch, spec);
  const gradients = backward(graph, params, pass, byLogits, dropout, observe);
  return { loss, dice, gradients, statistics: pass.statistics };
}
