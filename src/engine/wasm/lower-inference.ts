import type { ConvNode, Graph, UpconvNode } from "../graph.ts";
import { type Arena, createPool } from "./arena.ts";
import { type Layout, layoutKey } from "./layout.ts";
import { convTasks, type Placed, upconvTasks } from "./lower-conv.ts";
import { affineTasks, layoutsOf, maxPoolTasks, stageUnit, takeControl } from "./lower-forward.ts";
import { transformWeights, winogradTile } from "./lower-winograd.ts";
import { type ParameterBlock, placeParameters } from "./parameters.ts";
import type { ProgramBuilder, Task } from "./program.ts";
import { slabStart, slabsOf } from "./slabs.ts";

/** A norm folded into the convolution: float [3][padded] bias, a, b at `address`. */
export interface FoldedNorm {
  node: ConvNode;
  address: number;
  padded: number;
}

export interface InferenceLayout {
  parameters: ParameterBlock;
  param: number;
  control: number;
  input: Placed;
  /** Logits [N, K, D, H, W]. */
  output: { address: number; floats: number };
  folded: FoldedNorm[];
  /** Transposed convolutions' biases, repeated along W: filled when parameters are set. */
  repeatedBias: { node: UpconvNode; address: number; padded: number; times: number }[];
  /** Dropout factors that stay 1 (instance norm shares the trainer's op). */
  ones: { address: number; floats: number }[];
  /** Stages [0, prepareStages) run after the parameters are set, the rest for each input. */
  prepareStages: number;
  endStage: number;
}

/** Turns a graph into the stages of one forward pass: norms folded, buffers reused as soon as their last reader is done. */
export function lowerInference(b: ProgramBuilder, graph: Graph, arena: Arena): InferenceLayout {
  const batch = graph.batch;
  const layouts = layoutsOf(graph);
  const parameters = placeParameters(graph, layouts, b.tiles);
  const control = takeControl(arena, graph);
  const param = arena.for("weights").take(parameters.bytes);
  const transformed = stageWeights(b, graph, layouts, parameters, param, arena.for("preparedWeights"));
  const prepareStages = b.stageCount();
  const pool = createPool(arena.for("activations"));
  const folded: FoldedNorm[] = [];
  const repeatedBias: InferenceLayout["repeatedBias"] = [];
  const ones: InferenceLayout["ones"] = [];

  const lastReader = new Map<number, number>();
  graph.nodes.forEach((node, i) => {
    for (const id of node.inputs) lastReader.set(id, i);
  });
  const placed = new Map<number, Placed>();
  const place = (id: number): Placed => {
    const layout = layouts[id];
    const tensor = { layout, address: pool.take(layoutKey(layout), batch * layout.sampleBytes) };
    placed.set(id, tensor);
    return tensor;
  };
  const at = (id: number): Placed => placed.get(id)!;
  // The input keeps a buffer of its own: its layout may be unpadded.
  const input = {
    layout: layouts[graph.input],
    address: arena.for("batch").take(batch * layouts[graph.input].sampleBytes),
  };
  placed.set(graph.input, input);

  const conv = (node: ConvNode): void => {
    const { packed, slots } = parameters.conv(node);
    const { tail } = node;
    const output = place(node.output);
    const { padded } = output.layout;
    const call = {
      kernel: node.kernel,
      inputs: node.inputs.map(at),
      vectors: packed.vectors,
      V: packed.V,
      weights: transformed.get(node) ?? param + slots.weight.offset,
      batch,
    };
    if (tail?.norm === "instance") {
      const plan = stageUnit(b, arena, { call, tail, z: output, slots, param });
      b.stage(affineTasks(b, { tail, plan, z: output, output }));
      ones.push({ address: plan.dropout, floats: batch * padded });
      return;
    }
    const bias = arena.take(3 * padded * 4);
    folded.push({ node, address: bias, padded });
    const affine = tail !== null && tail.norm === "batch" && tail.order === "conv-act-norm";
    b.stage(convTasks(b, { ...call, output, epilogue: { bias, slope: tail?.slope ?? null, affine, stats: null } }));
  };

  const upconv = (node: UpconvNode): void => {
    const { packed, slots } = parameters.upconv(node);
    const bias = arena.take(packed.vectors * 16);
    repeatedBias.push({ node, address: bias, padded: packed.outPadded, times: packed.factor[2] });
    const [from, output] = [at(node.inputs[0]), place(node.output)];
    b.stage(upconvTasks(b, { packed, input: from, output, weights: param + slots.weight.offset, bias, batch }));
  };

  graph.nodes.forEach((node, i) => {
    b.label("forward", node.name);
    if (node.kind === "conv") conv(node);
    else if (node.kind === "upconv") upconv(node);
    else {
      const [fine, coarse] = [at(node.inputs[0]), place(node.output)];
      b.stage(maxPoolTasks(b, { fine, coarse, factor: node.factor, batch }));
    }
    for (const id of new Set(node.inputs)) {
      if (lastReader.get(id) !== i || id === graph.input) continue;
      const tensor = at(id);
      pool.give(layoutKey(tensor.layout), tensor.address);
    }
  });
  b.label("output");
  const output = lowerGather(b, at(graph.output), batch, arena.for("batch"));
  return {
    parameters,
    param,
    control,
    input,
    output,
    folded,
    repeatedBias,
    ones,
    prepareStages,
    endStage: b.stageCount(),
  };
}

/** Winograd's form of the weights where it fits: byte addresses by node. Made once, when the parameters are set. */
function stageWeights(
  b: ProgramBuilder,
  graph: Graph,
  layouts: Layout[],
  parameters: ParameterBlock,
  param: number,
  arena: Arena,
): Map<ConvNode, number> {
  const transformed = new Map<ConvNode, number>();
  b.label("weights");
  const stage: Task[] = [];
  for (const node of graph.nodes) {
    if (node.kind !== "conv") continue;
    const inputs = node.inputs.map((id) => layouts[id]);
    const m = winogradTile(b, node.kernel, inputs, layouts[node.output]);
    if (!m) continue;
    const { packed, slots } = parameters.conv(node);
    const { address, tasks } = transformWeights(b, m, packed, param + slots.weight.offset, arena);
    transformed.set(node, address);
    stage.push(...tasks);
  }
  b.stage(stage);
  return transformed;
}

/** Copies the logits into planar order, shared among the threads. */
function lowerGather(
  b: ProgramBuilder,
  { layout, address }: Placed,
  batch: number,
  arena: Arena,
): InferenceLayout["output"] {
  const [D, H, W] = layout.shape;
  const floats = batch * layout.channels * D * H * W;
  const planar = arena.take(floats * 4);
  const { channels, padded, planeBytes, rowBytes } = layout;
  const channelBytes = D * H * W * 4;
  b.stage(
    slabsOf(layout.shape, batch).map((slab) => [
      b.op({
        op: "gather",
        from: address + slabStart(slab, layout),
        to: planar + slab.n * channels * channelBytes + (slab.d * H + slab.h) * W * 4,
        planes: slab.planes,
        rows: slab.rows,
        width: W,
        channels,
        padded,
        planeBytes,
        rowBytes,
        channelBytes,
      }),
    ]),
  );
  return { address: planar, floats };
}
