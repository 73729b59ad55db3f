import { createArena } from "./arena.ts";
import type { Placed } from "./lower-conv.ts";
import type { TrainingContext } from "./lower-training.ts";
import { convWeightGradient, upconvWeightGradient } from "./lower-weight-gradient.ts";
import { createProgramBuilder } from "./program.ts";

/** Memory for the parts of two nodes' weight gradients, as large as any node needs it: found by lowering each for nothing. */
export function partialAreas(t: TrainingContext): number[] {
  const dry = createProgramBuilder(t.b.tiles, createArena());
  const { batch, nodes } = t.graph;
  const tensor = (id: number): Placed => ({ layout: t.layouts[id], address: 0 });
  const memory = { gradient: 0, partials: 0 };
  const sizes = nodes.map((node) => {
    if (node.kind === "maxpool") return 0;
    const [inputs, grad] = [node.inputs.map(tensor), tensor(node.output)];
    if (node.kind === "conv") {
      const { packed } = t.parameters.conv(node);
      return convWeightGradient(dry, { packed, inputs, grad, batch }, memory).partialBytes;
    }
    const { packed } = t.parameters.upconv(node);
    return upconvWeightGradient(dry, { packed, input: inputs[0], grad, batch }, memory).partialBytes;
  });
  const bytes = Math.max(0, ...sizes);
  const arena = t.arena.for("partialSums");
  const area = arena.take(bytes);
  // To save memory a node's parts are merged before the next node makes its own.
  return [area, t.recompute ? area : arena.take(bytes)];
}
