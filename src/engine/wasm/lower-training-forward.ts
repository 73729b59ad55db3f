import type { ConvNode, UpconvNode } from "../graph.ts";
import { type ConvCall, convTasks, type Placed, type UpconvCall, upconvTasks } from "./lower-conv.ts";
import { affineTasks, maxPoolTasks, stageUnit } from "./lower-forward.ts";
import type { TrainingContext } from "./lower-training.ts";
import type { PreparedWeights } from "./lower-training-weights.ts";
import type { NormPlan } from "./norm-steps.ts";
import type { Task } from "./program.ts";

/** What a convolution with a tail keeps for the backward pass. */
export interface KeptUnit {
  /** The convolution's output (after the activation when that comes first). */
  z: Placed;
  plan: NormPlan;
}

export interface ForwardPass {
  units: Map<ConvNode, KeptUnit>;
  /** By tensor id: tasks that make its values again, bit for bit, from what they were made of. */
  remake: Map<number, (to: Placed) => Task[]>;
}

/** Stages of the forward pass. Values stay in memory as `t.dead` says. */
export function stageForward(t: TrainingContext, weights: PreparedWeights): ForwardPass {
  const { b, graph, arena, param, values } = t;
  const batch = graph.batch;
  const pass: ForwardPass = { units: new Map(), remake: new Map() };
  const stageConv = (node: ConvNode, readsEnd: () => void): void => {
    const { slots } = t.parameters.conv(node);
    const { tail } = node;
    const call = convCall(t, weights, node, node.inputs.map(values.at));
    if (!tail) {
      const output = values.place(node.output);
      const bias = param + slots.bias.offset;
      b.stage(convTasks(b, { ...call, output, epilogue: { bias, slope: null, affine: false, stats: null } }));
      return;
    }
    const z = t.buffers.take(t.layouts[node.output], "activations");
    const plan = stageUnit(b, arena, { call, tail, z, slots, param });
    const make = (to: Placed): Task[] => affineTasks(b, { tail, plan, z, output: to });
    // The output can lie where an input was.
    readsEnd();
    b.stage(make(values.place(node.output)));
    pass.units.set(node, { z, plan });
    pass.remake.set(node.output, make);
  };
  graph.nodes.forEach((node, i) => {
    const readsEnd = (): void => {
      for (const id of t.dead[i]) values.free(id);
    };
    b.label("forward", node.name);
    if (node.kind === "conv") stageConv(node, readsEnd);
    else if (node.kind === "maxpool") {
      const [fine, coarse] = [values.at(node.inputs[0]), values.place(node.output)];
      b.stage(maxPoolTasks(b, { fine, coarse, factor: node.factor, batch }));
    } else {
      const make = (output: Placed): Task[] =>
        upconvTasks(b, { ...upconvCall(t, weights, node, values.at(node.inputs[0])), output });
      b.stage(make(values.place(node.output)));
      pass.remake.set(node.output, make);
    }
    readsEnd();
  });
  return pass;
}

/** A node's convolution with the weights in the form that its kernel reads. */
export function convCall(t: TrainingContext, weights: PreparedWeights, node: ConvNode, inputs: Placed[]): ConvCall {
  const { packed, slots } = t.parameters.conv(node);
  return {
    kernel: node.kernel,
    inputs,
    vectors: packed.vectors,
    V: packed.V,
    weights: weights.forward.get(node) ?? t.param + slots.weight.offset,
    batch: t.graph.batch,
  };
}

export function upconvCall(t: TrainingContext, weights: PreparedWeights, node: UpconvNode, input: Placed): UpconvCall {
  const { packed, slots } = t.parameters.upconv(node);
  return {
    packed,
    input,
    weights: t.param + slots.weight.offset,
    bias: weights.upconvBias.get(node)!,
    batch: t.graph.batch,
  };
}
