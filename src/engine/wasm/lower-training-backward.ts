import type { ConvNode, PoolNode, UpconvNode } from "../graph.ts";
import { emitAdd, emitSum } from "./elementwise.ts";
import { convTasks, type Placed, upconvDataGradientTasks } from "./lower-conv.ts";
import type { TrainingContext } from "./lower-training.ts";
import type { ForwardPass } from "./lower-training-forward.ts";
import { partialAreas } from "./lower-training-partials.ts";
import { backwardTail } from "./lower-training-tail.ts";
import { remadeFrom } from "./lower-training-values.ts";
import type { PreparedWeights } from "./lower-training-weights.ts";
import { convWeightGradient, upconvWeightGradient } from "./lower-weight-gradient.ts";
import type { ParameterSlot } from "./parameters.ts";
import type { WeightGradientWork } from "./partials.ts";
import { emitMaxPoolBackward } from "./pool.ts";
import type { Task } from "./program.ts";
import { slabStart, slabsOf } from "./slabs.ts";
import { blockVectors } from "./tiles.ts";

/**
 * Takes the place of the parameters' gradients: gets the gradient of a convolution's output (before its tail), may add stages,
 * and gives tasks for the stage in which the gradients of the inputs are made.
 */
export type GradientReader = (node: ConvNode | UpconvNode, inputs: Placed[], grad: Placed) => Task[];

/** The lowering of the backward pass as it goes from node to node. */
export interface Backward {
  t: TrainingContext;
  weights: PreparedWeights;
  forward: ForwardPass;
  reader: GradientReader | undefined;
  /** A tensor's values; adds stages that make them again where they were dropped. */
  read(id: number): Placed;
  /** Says that the node needs values no more. */
  endReads(): void;
  /** The gradient of a tensor that is known already. */
  known(id: number): Placed;
  /** The gradient's memory; `fresh` where nothing has been written to it yet. */
  take(id: number): { grad: Placed; fresh: boolean };
  release(id: number): void;
  /** Adds a stage, together with the merging that the node before left. */
  stage(tasks: Task[]): void;
  /** Tasks for the next stage: they read what this node's last stage wrote. */
  later(tasks: Task[]): void;
  /** Memory for a node's weight-gradient parts: two areas alternate, as one node's are merged while the next makes its own. */
  partials(): number;
}

/** Stages of the backward pass, from the loss's gradients (which have taken the logits' places) to all parameters' gradients. */
export function stageBackward(
  t: TrainingContext,
  weights: PreparedWeights,
  forward: ForwardPass,
  reader?: GradientReader,
): void {
  const { b, graph, layouts, buffers, values } = t;
  const areas = reader ? [] : partialAreas(t);
  const outputs = [graph.output, ...(graph.auxiliary ?? [])];
  const grads = new Map<number, Placed>(outputs.map((id) => [id, values.release(id)]));
  let pending: Task[] = [];
  let visit = graph.nodes.length;
  const pass: Backward = {
    t,
    weights,
    forward,
    reader,
    read(id) {
      if (values.has(id)) return values.at(id);
      for (const from of remadeFrom(graph, id) ?? []) pass.read(from);
      const tensor = values.place(id);
      pass.stage(forward.remake.get(id)!(tensor));
      return tensor;
    },
    endReads() {
      for (const id of t.dead[visit]) values.free(id);
    },
    known: (id) => grads.get(id)!,
    take(id) {
      const held = grads.get(id);
      if (held) return { grad: held, fresh: false };
      const grad = buffers.take(layouts[id], "gradients");
      grads.set(id, grad);
      return { grad, fresh: true };
    },
    release(id) {
      buffers.give(grads.get(id)!);
      grads.delete(id);
    },
    stage(tasks) {
      b.stage([...pending, ...tasks]);
      pending = [];
    },
    later(tasks) {
      pending = tasks;
    },
    partials() {
      areas.reverse();
      return areas[1];
    },
  };
  for (const node of graph.nodes.toReversed()) {
    b.label("backward", node.name);
    if (node.kind === "conv") backwardConv(pass, node);
    else if (node.kind === "upconv") backwardUpconv(pass, node);
    else backwardPool(pass, node);
    pass.release(node.output);
    visit++;
  }
  pass.stage([]);
}

/**
 * The stage or stages of what is made of a node's gradient: `own` (of its parameters, which reads values) and the gradients of
 * its inputs.
 */
function stageGradients(pass: Backward, own: Pick<WeightGradientWork, "tasks" | "merge">, inputs: () => Task[]): void {
  if (!pass.t.recompute) {
    pass.stage([...own.tasks, ...inputs()]);
    pass.later(own.merge);
    pass.endReads();
    return;
  }
  // One after the other: the gradients of the inputs can lie where their values were.
  pass.stage(own.tasks);
  pass.later(own.merge);
  pass.endReads();
  pass.stage(inputs());
}

/** Sums of each slab over a gradient [stride bytes a slab], merged into the bias gradient. */
function biasMerge(
  t: TrainingContext,
  sums: { from: number; stride: number; slabs: number },
  bias: ParameterSlot,
): Task {
  return [t.b.op({ op: "mergeSums", ...sums, channels: bias.floats, to: t.gradient + bias.offset })];
}

function sumTasks({ b, graph }: TrainingContext, grad: Placed, sums: { from: number; stride: number }): Task[] {
  const { layout } = grad;
  const kernel = b.kernel(["sum", layout], 5, (f) => emitSum(f, layout));
  return slabsOf(layout.shape, graph.batch).map((slab, i) => {
    const to = sums.from + i * sums.stride;
    return [
      b.op({ op: "zero", address: to, bytes: sums.stride }),
      { kernel, args: [grad.address + slabStart(slab, layout), 0, to, slab.planes, slab.rows] },
    ];
  });
}

function backwardConv(pass: Backward, node: ConvNode): void {
  const { t } = pass;
  const { b, graph } = t;
  const grad = pass.known(node.output);
  const { layout } = grad;
  const slabs = slabsOf(layout.shape, graph.batch).length;
  const stride = layout.padded * 16;
  const sums = { from: t.arena.take(stride * slabs), stride, slabs };
  const unit = pass.forward.units.get(node);
  if (unit && node.tail) backwardTail(pass, node, node.tail, unit, sums);
  else if (!pass.reader) pass.stage(sumTasks(t, grad, sums));

  const inputs = node.inputs.map(pass.read);
  const own = pass.reader
    ? { tasks: pass.reader(node, inputs, grad), merge: [] }
    : convGradients(pass, node, inputs, grad, sums);
  const added: { part: Placed; to: Placed }[] = [];
  stageGradients(pass, own, () =>
    node.inputs.flatMap((id, s) => {
      if (id === graph.input) return [];
      const { grad: whole, fresh } = pass.take(id);
      const to = fresh ? whole : t.buffers.take(t.layouts[id], "gradients");
      if (!fresh) added.push({ part: to, to: whole });
      const vectors = to.layout.padded / 4;
      return convTasks(b, {
        kernel: node.kernel,
        inputs: [grad],
        output: to,
        vectors,
        V: blockVectors(vectors, b.tiles),
        weights: pass.weights.transposed.get(node)![s],
        batch: graph.batch,
      });
    }),
  );
  // The head of deep supervision reads what the level above reads too.
  for (const { part, to } of added) {
    const kernel = b.kernel(["add", to.layout], 6, (f) => emitAdd(f, to.layout));
    pass.stage(
      slabsOf(to.layout.shape, graph.batch).map((slab) => {
        const start = slabStart(slab, to.layout);
        return [{ kernel, args: [part.address + start, to.address + start, 0, 0, slab.planes, slab.rows] }];
      }),
    );
    t.buffers.give(part);
  }
}

/** The gradients of a convolution's weights and bias; `sums` are the slabs' sums over `grad`. */
function convGradients(
  { t, partials }: Backward,
  node: ConvNode,
  inputs: Placed[],
  grad: Placed,
  sums: { from: number; stride: number; slabs: number },
): Pick<WeightGradientWork, "tasks" | "merge"> {
  const { packed, slots } = t.parameters.conv(node);
  const { tasks, merge } = convWeightGradient(
    t.b,
    { packed, inputs, grad, batch: t.graph.batch },
    { gradient: t.gradient + slots.weight.offset, partials: partials() },
  );
  // A norm straight after the convolution takes the bias out again: its gradient is 0, not float noise.
  const inert = node.tail !== null && node.tail.order === "conv-norm-act" && node.tail.norm !== "none";
  return { tasks, merge: inert ? merge : [...merge, biasMerge(t, sums, slots.bias)] };
}

function backwardUpconv(pass: Backward, node: UpconvNode): void {
  const { b, graph, parameters } = pass.t;
  const fine = pass.known(node.output);
  const input = pass.read(node.inputs[0]);
  const own = pass.reader
    ? { tasks: pass.reader(node, [input], fine), merge: [] }
    : upconvGradients(pass, node, input, fine);
  stageGradients(pass, own, () => {
    const { grad: coarse, fresh } = pass.take(node.inputs[0]);
    if (!fresh) throw new Error(`tensor ${graph.tensors[node.inputs[0]].name} has two readers`);
    const { packed } = parameters.upconv(node);
    const weights = pass.weights.transposed.get(node)![0];
    return upconvDataGradientTasks(b, { packed, fine, coarse, weights, batch: graph.batch });
  });
}

/** The gradients of a transposed convolution's weights and bias. */
function upconvGradients(
  { t, partials }: Backward,
  node: UpconvNode,
  input: Placed,
  grad: Placed,
): Pick<WeightGradientWork, "tasks" | "merge"> {
  const { packed, slots } = t.parameters.upconv(node);
  const batch = t.graph.batch;
  const { tasks, merge } = upconvWeightGradient(
    t.b,
    { packed, input, grad, batch },
    { gradient: t.gradient + slots.weight.offset, partials: partials() },
  );
  const slabs = slabsOf(grad.layout.shape, batch).length;
  const stride = grad.layout.padded * 8;
  const sums = { from: t.arena.take(stride * slabs), stride, slabs };
  return { tasks: [...tasks, ...sumTasks(t, grad, sums)], merge: [...merge, biasMerge(t, sums, slots.bias)] };
}

function backwardPool(pass: Backward, node: PoolNode): void {
  const { b, graph } = pass.t;
  const { factor } = node;
  const [x, y] = [pass.read(node.inputs[0]), pass.read(node.output)];
  const dy = pass.known(node.output);
  const { grad: dx, fresh } = pass.take(node.inputs[0]);
  const kernel = b.kernel(["maxpoolBackward", x.layout, y.layout, factor, !fresh], 6, (f) =>
    emitMaxPoolBackward(f, x.layout, y.layout, factor, !fresh),
  );
  pass.stage(
    slabsOf(y.layout.shape, graph.batch).map((slab) => {
      const fine = slabStart(slab, x.layout, factor);
      const coarse = slabStart(slab, y.layout);
      const pointers = [x.address + fine, dx.address + fine, y.address + coarse, dy.address + coarse];
      return [{ kernel, args: [...pointers, slab.planes, slab.rows] }];
    }),
  );
  pass.endReads();
}
