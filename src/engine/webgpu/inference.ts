import { voxelCount } from "../../volume/volume.ts";
import { checkInput, checkShapes } from "../check.ts";
import type { Graph } from "../graph.ts";
import type { Inference, TensorMap } from "../types.ts";
import type { Gpu } from "./device.ts";
import { emitFrom } from "./emit.ts";
import { type FoldedUnit, lowerForward } from "./forward.ts";
import { createPacking, packingTable, packWith } from "./packing.ts";
import { gatherParameters, placeParameters } from "./parameters.ts";
import { createProgramBuilder, loadProgram } from "./program.ts";
import { exportKernel, numbers, swapPlanes } from "./transfer.ts";

export async function createInference(graph: Graph, gpu: Gpu): Promise<Inference> {
  checkShapes(graph);
  const { batch } = graph;
  const builder = createProgramBuilder(gpu);
  const placement = placeParameters(graph);
  const packing = createPacking(builder);
  const { input, values, folded } = lowerForward({ builder, graph, placement, packing }, false);
  const { channels, shape } = graph.tensors[graph.output];
  const size = 4 * batch * channels * voxelCount(shape);
  const output = numbers(builder.memory.take("output", size), batch, channels, shape);
  const logits = values[graph.output];
  const [D, H, W] = shape;
  const params = { rows: channels, groups: logits.field.rows, HW: H * W, D };
  emitFrom(builder, exportKernel, output, { source: logits }, { y: { field: output } }, { params });
  const table = packingTable(packing);
  const end = builder.mark();
  const program = await loadProgram(builder, gpu);
  return {
    graph,
    bytes: program.bytes,
    setParameters(given) {
      const flat = gatherParameters(placement, placement.all, given);
      const packed = packWith(table, flat);
      for (const unit of folded) fold(packed, unit, given);
      program.write(packing.slot, packed);
    },
    async logits(values) {
      checkInput(graph, values);
      const source = graph.tensors[graph.input];
      const numbersIn = values as Float32Array<ArrayBuffer>;
      program.write(input.slot, swapPlanes(numbersIn, { batch, ...source }));
      const [found] = await program.run([[0, end]], [{ slot: output.slot, size }]);
      return swapPlanes(new Float32Array(found), { batch, channels, shape }, true);
    },
    close: () => program.close(),
  };
}

/** Bias, and A and B: a batch norm by its running statistics; without norm 1 and 0. */
function fold(packed: Float32Array, { node, section }: FoldedUnit, values: TensorMap): void {
  const tail = node.tail!;
  const bias = values.get(`${node.name}.bias`)!;
  const normed = tail.norm === "batch";
  const of = (name: string): Float32Array => values.get(`${node.name}.norm.${name}`)!;
  for (let c = 0; c < bias.length; c++) {
    const at = section.offset + 12 * Math.floor(c / 4) + (c % 4);
    const a = normed ? of("weight")[c] / Math.sqrt(of("running_var")[c] + tail.eps) : 1;
    packed[at] = bias[c];
    packed[at + 4] = a;
    packed[at + 8] = normed ? of("bias")[c] - of("running_mean")[c] * a : 0;
  }
}
