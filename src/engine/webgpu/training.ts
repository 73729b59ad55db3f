import { fail } from "../../util/errors.ts";
import { checkBatch, checkShapes, checkTargets } from "../check.ts";
import type { Graph } from "../graph.ts";
import { coarseTarget } from "../supervision.ts";
import type { Batch, LossSpec, TensorMap } from "../types.ts";
import { lowerBackward, type Observer } from "./backward.ts";
import type { Gpu } from "./device.ts";
import { emitSmall } from "./emit.ts";
import { groupsOf } from "./field.ts";
import { type ForwardLayout, type Lowering, lowerForward } from "./forward.ts";
import { type LossLayout, lowerLoss } from "./lower-loss.ts";
import type { Slot } from "./memory.ts";
import { createPacking, packingTable } from "./packing.ts";
import { placeParameters } from "./parameters.ts";
import { createProgramBuilder, type Program } from "./program.ts";
import { swapPlanes } from "./transfer.ts";
import { packKernel } from "./update-kernels.ts";

/** Packing, forward pass, loss and backward pass: what a training step and a meter have in common. */
export interface Passes {
  lowering: Lowering;
  forward: ForwardLayout;
  loss: LossLayout;
  params: Slot;
  gradients: Slot;
}

export function lowerPasses(
  graph: Graph,
  spec: LossSpec,
  gpu: Gpu,
  observe?: (lowering: Lowering) => Observer,
): Passes {
  checkShapes(graph);
  checkTargets(graph);
  const builder = createProgramBuilder(gpu);
  const placement = placeParameters(graph);
  if (4 * placement.all > gpu.bindingLimit) {
    fail(
      `This net has ${placement.all} parameters, more than the graphics device binds at once: use a narrower net, or the wasm engine.`,
    );
  }
  const packing = createPacking(builder);
  const lowering = { builder, graph, placement, packing };
  const params = builder.memory.keep("parameters", 4 * placement.all);
  const gradients = builder.memory.keep("gradients", 4 * placement.trained);
  const table = builder.memory.keep("packing table", 0);
  // Packing comes first but is known last: how much there is to pack shows when all kernels are there.
  const start = builder.mark();
  const forward = lowerForward(lowering, true);
  const tail = graph.nodes.find((node) => [graph.output, ...(graph.auxiliary ?? [])].includes(node.output));
  if (tail?.kind === "conv" && tail.tail) {
    fail(
      `Expected logits without norm and activation, but node "${tail.name}" has them: end the net in a bare convolution.`,
    );
  }
  const loss = lowerLoss(builder, graph, forward.values, spec);
  lowerBackward(lowering, forward, loss.gradients, gradients, observe?.(lowering));
  builder.insert(start, () => {
    const data = packingTable(packing);
    table.bytes = data.byteLength;
    builder.constants.push({ slot: table, data });
    const run = Math.floor(gpu.bindingLimit / 1024) * 256;
    for (let at = 0; at < data.length; at += run) {
      const count = Math.min(run, data.length - at);
      const part = { offset: 4 * at, size: 4 * count };
      emitSmall(
        builder,
        packKernel,
        count,
        {},
        {
          table: { slot: table, ...part },
          packed: { slot: packing.slot, ...part },
          params: { slot: params },
        },
      );
    }
  });
  return { lowering, forward, loss, params, gradients };
}

/** Writes batches: checks them, puts input, targets and dropout factors where the passes read them. */
export function createLoader(
  program: Program,
  { lowering: { graph }, forward, loss }: Passes,
): (batch: Batch, dropout: TensorMap | undefined) => void {
  const { batch: items } = graph;
  const fine = graph.tensors[graph.output];
  /** Nodes whose factors are not all 1. */
  const dropped = new Set<string>();
  const writeFactors = (name: string, slot: Slot, factors: Float32Array | undefined, channels: number): void => {
    if (!factors && !dropped.has(name)) return;
    const padded = new Float32Array(slot.bytes / 4).fill(1);
    if (factors) {
      const width = 4 * groupsOf(channels);
      for (let n = 0; n < items; n++) padded.set(factors.subarray(n * channels, (n + 1) * channels), n * width);
      dropped.add(name);
    } else dropped.delete(name);
    program.write(slot, padded);
  };
  for (const name of forward.tapes.keys()) dropped.add(name);
  return (batch, dropout) => {
    checkBatch(graph, batch, loss.soft !== null, dropout);
    const input = batch.input as Float32Array<ArrayBuffer>;
    program.write(forward.input.slot, swapPlanes(input, { batch: items, ...graph.tensors[graph.input] }));
    loss.targets.forEach(({ slot, shape }, i) => {
      const target = i === 0 ? batch.target : coarseTarget(batch.target, items, fine.shape, shape);
      const padded = new Uint8Array(slot.bytes);
      padded.set(target);
      program.write(slot, padded);
    });
    if (loss.soft) {
      const soft = batch.soft as Float32Array<ArrayBuffer>;
      program.write(loss.soft.slot, swapPlanes(soft, { batch: items, ...fine }));
    }
    for (const node of graph.nodes) {
      const factors = forward.tapes.get(node.name)?.factors;
      if (factors) writeFactors(node.name, factors, dropout?.get(node.name), graph.tensors[node.output].channels);
    }
  };
}
