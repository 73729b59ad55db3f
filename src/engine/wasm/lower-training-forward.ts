import type { ConvNode } from "../graph.ts";
import { type ConvCall, convTasks, type Placed, upconvTasks } from "./lower-conv.ts";
import { maxPoolTasks, stageUnit } from "./lower-forward.ts";
import type { TrainingContext } from "./lower-training.ts";
import type { PreparedWeights } from "./lower-training-weights.ts";
import type { NormPlan } from "./norm-steps.ts";

/** What a convolution with a tail keeps for the backward pass. */
export interface KeptUnit {
  /** The convolution's output (after the activation when that comes first). */
  z: Placed;
  plan: NormPlan;
}

/** Stages of the forward pass: every tensor stays for the backward pass. */
export function stageForward(t: TrainingContext, weights: PreparedWeights): Map<ConvNode, KeptUnit> {
  const { b, graph, arena, param, outputs } = t;
  const batch = graph.batch;
  const units = new Map<ConvNode, KeptUnit>();
  for (const node of graph.nodes) {
    b.label("forward", node.name);
    const output = outputs[node.output];
    if (node.kind === "maxpool") {
      b.stage(maxPoolTasks(b, { fine: outputs[node.inputs[0]], coarse: output, factor: node.factor, batch }));
      continue;
    }
    if (node.kind === "upconv") {
      const { packed, slots } = t.parameters.upconv(node);
      const input = outputs[node.inputs[0]];
      const bias = weights.upconvBias.get(node)!;
      b.stage(upconvTasks(b, { packed, input, output, weights: param + slots.weight.offset, bias, batch }));
      continue;
    }
    const { slots } = t.parameters.conv(node);
    const call = convCall(t, weights, node);
    if (!node.tail) {
      const bias = param + slots.bias.offset;
      b.stage(convTasks(b, { ...call, output, epilogue: { bias, slope: null, affine: false, stats: null } }));
      continue;
    }
    const z = { layout: output.layout, address: arena.take(batch * output.layout.sampleBytes) };
    units.set(node, { z, plan: stageUnit(b, arena, { call, tail: node.tail, z, output, slots, param }) });
  }
  return units;
}

/** A node's convolution with the weights in the form that its kernel reads. */
export function convCall(t: TrainingContext, weights: PreparedWeights, node: ConvNode): ConvCall {
  const { packed, slots } = t.parameters.conv(node);
  return {
    kernel: node.kernel,
    inputs: node.inputs.map((id) => t.outputs[id]),
    vectors: packed.vectors,
    V: packed.V,
    weights: weights.forward.get(node) ?? t.param + slots.weight.offset,
    batch: t.graph.batch,
  };
}
