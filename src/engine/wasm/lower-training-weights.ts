import type { ConvNode, UpconvNode } from "../graph.ts";
import type { TrainingContext } from "./lower-training.ts";
import { transformWeights, winogradTile } from "./lower-winograd.ts";
import { walkedChannels } from "./packing.ts";
import type { Task } from "./program.ts";
import { blockVectors } from "./tiles.ts";

/** Byte addresses of the forms of the weights that the passes read besides the packed form itself. */
export interface PreparedWeights {
  /** Winograd's form for the forward pass, where it fits. */
  forward: Map<ConvNode, number>;
  /** For the data gradients, one address a source (0 for the graph's input). */
  transposed: Map<ConvNode | UpconvNode, number[]>;
  /** Biases of transposed convolutions, repeated along W. */
  upconvBias: Map<UpconvNode, number>;
}

/** The step's first stage: everything that depends on the parameters alone. */
export function stageWeights(t: TrainingContext): PreparedWeights {
  const prepared: PreparedWeights = { forward: new Map(), transposed: new Map(), upconvBias: new Map() };
  const tasks: Task[] = [];
  for (const node of t.graph.nodes) {
    if (node.kind === "conv") tasks.push(...prepareConv(t, node, prepared));
    if (node.kind === "upconv") tasks.push(...prepareUpconv(t, node, prepared));
  }
  t.b.stage(tasks);
  return prepared;
}

function prepareConv({ b, ...t }: TrainingContext, node: ConvNode, prepared: PreparedWeights): Task[] {
  const arena = t.arena.for("preparedWeights");
  const { packed, slots } = t.parameters.conv(node);
  const from = t.param + slots.weight.offset;
  const output = t.layouts[node.output];
  const outWalked = walkedChannels(output, node.kernel[2]);
  const taps = node.kernel[0] * node.kernel[1] * node.kernel[2];
  const inputs = node.inputs.map((id) => t.layouts[id]);
  const tasks: Task[] = [];
  const m = winogradTile(b, node.kernel, inputs, output);
  if (m) {
    const transformed = transformWeights(b, m, packed, from, arena);
    prepared.forward.set(node, transformed.address);
    tasks.push(...transformed.tasks);
  }
  const addresses = node.inputs.map((id, s) => {
    if (id === t.graph.input) return 0;
    const vectors = t.layouts[id].padded / 4;
    const back = winogradTile(b, node.kernel, [output], t.layouts[id]);
    const bytes = taps * outWalked * vectors * 16;
    const to = back ? b.scratch(bytes) : arena.take(bytes);
    const source = packed.sources[s];
    const V = blockVectors(vectors, b.tiles);
    const plan = {
      kernel: node.kernel,
      lanes: 4 * packed.V,
      blockFloats: packed.blockFloats,
      sourceOffset: source.offset,
      walked: source.walked,
      inChannels: source.channels,
      outChannels: packed.outChannels,
      outWalked,
      vectors,
      V,
    };
    const transpose: Task = [b.op({ op: "transposeConv", from, to, plan })];
    if (!back) {
      tasks.push(transpose);
      return to;
    }
    const flipped = {
      kernel: node.kernel,
      vectors,
      V,
      blockFloats: taps * outWalked * 4 * V,
      sources: [{ offset: 0, walked: outWalked }],
    };
    const transformed = transformWeights(b, back, flipped, to, arena);
    tasks.push([...transpose, ...transformed.tasks.flat()]);
    return transformed.address;
  });
  prepared.transposed.set(node, addresses);
  return tasks;
}

function prepareUpconv({ b, ...t }: TrainingContext, node: UpconvNode, prepared: PreparedWeights): Task[] {
  const arena = t.arena.for("preparedWeights");
  const { packed, slots } = t.parameters.upconv(node);
  const bias = arena.take(packed.vectors * 16);
  prepared.upconvBias.set(node, bias);
  const vectors = t.layouts[node.inputs[0]].padded / 4;
  const taps = packed.factor[0] * packed.factor[1] * packed.factor[2];
  const to = arena.take(taps * packed.outPadded * vectors * 16);
  prepared.transposed.set(node, [to]);
  return [
    [
      b.op({
        op: "repeatBias",
        from: t.param + slots.bias.offset,
        to: bias,
        padded: packed.outPadded,
        times: packed.factor[2],
      }),
    ],
    [
      b.op({
        op: "transposeUpconv",
        from: t.param + slots.weight.offset,
        to,
        packed,
        gradient: { vectors, V: blockVectors(vectors, b.tiles) },
      }),
    ],
  ];
}
