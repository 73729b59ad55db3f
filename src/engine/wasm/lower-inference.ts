import type { ConvNode, Graph, PoolNode, UpconvNode } from "../graph.ts";
import { type Arena, createPool } from "./arena.ts";
import { statsBytes } from "./conv.ts";
import { emitAffine } from "./elementwise.ts";
import { type Layout, layoutKey, layoutOf } from "./layout.ts";
import { convSlabCount, convTasks, type Placed, upconvTasks } from "./lower-conv.ts";
import { transformWeights, winogradFits } from "./lower-winograd.ts";
import { CONTROL } from "./ops.ts";
import { haloDepth } from "./packing.ts";
import { type ParameterBlock, placeParameters } from "./parameters.ts";
import { emitMaxPool } from "./pool.ts";
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
  const N = graph.batch;
  const haloD = haloDepth(graph);
  const layouts = graph.tensors.map((t, id) => layoutOf(t.channels, t.shape, haloD, id === graph.input));
  const parameters = placeParameters(graph, layouts, b.tiles);
  const control = arena.take((CONTROL.dice + 64) * 8);
  const param = arena.take(parameters.bytes);
  const pool = createPool(arena);
  const folded: FoldedNorm[] = [];
  const repeatedBias: InferenceLayout["repeatedBias"] = [];

  // Transformed weights are made once, when the parameters are set.
  const transformed = new Map<ConvNode, number>();
  const preparing: Task[] = [];
  for (const [node, found] of parameters.nodes) {
    if (node.kind !== "conv" || found.kind !== "conv") continue;
    const inputs = node.inputs.map((id) => layouts[id]);
    if (!winogradFits(b, node.kernel, inputs, layouts[node.output])) continue;
    const { address, tasks } = transformWeights(b, found.packed, param + found.slots.weight.offset, arena);
    transformed.set(node, address);
    preparing.push(...tasks);
  }
  b.stage(preparing);
  const prepareStages = b.stageCount();

  const lastReader = new Map<number, number>();
  graph.nodes.forEach((node, i) => {
    for (const id of node.inputs) lastReader.set(id, i);
  });
  const bytesOf = (layout: Layout): number => N * layout.sampleBytes;
  const placed = new Map<number, Placed>();
  const place = (id: number): Placed => {
    const layout = layouts[id];
    const tensor = { layout, address: pool.take(layoutKey(layout), bytesOf(layout)) };
    placed.set(id, tensor);
    return tensor;
  };
  const at = (id: number): Placed => placed.get(id)!;
  // The input keeps a buffer of its own: its layout is not padded.
  const input = { layout: layouts[graph.input], address: arena.take(bytesOf(layouts[graph.input])) };
  placed.set(graph.input, input);

  const conv = (node: ConvNode): void => {
    const found = parameters.nodes.get(node)!;
    if (found.kind !== "conv") return;
    const { packed, slots } = found;
    const { tail } = node;
    const output = place(node.output);
    const { padded } = output.layout;
    const packedAt = param + slots.weight.offset;
    const common = {
      kernel: node.kernel,
      inputs: node.inputs.map(at),
      output,
      vectors: packed.vectors,
      V: packed.V,
      weights: transformed.get(node) ?? packedAt,
      batch: N,
    };
    if (tail?.norm === "instance") {
      instanceNorm(node, common, param + slots.bias.offset, {
        scale: param + slots.scale.offset,
        shift: param + slots.shift.offset,
      });
      return;
    }
    const address = arena.take(3 * padded * 4);
    folded.push({ node, address, padded });
    const affine = tail !== null && tail.norm === "batch" && tail.order === "conv-act-norm";
    b.stage(convTasks(b, { ...common, epilogue: { bias: address, slope: tail?.slope ?? null, affine, stats: null } }));
  };

  /** Statistics of the input itself: the convolution leaves sums, then one pass over the output in place. */
  const instanceNorm = (
    node: ConvNode,
    common: Omit<Parameters<typeof convTasks>[1], "epilogue">,
    bias: number,
    norm: { scale: number; shift: number },
  ): void => {
    const { tail } = node;
    if (!tail) return;
    const { output } = common;
    const { layout } = output;
    const before = tail.order === "conv-act-norm";
    const slabCount = convSlabCount(
      b,
      { kernel: common.kernel, inputs: common.inputs.map((x) => x.layout), output: layout, V: common.V },
      N,
    );
    const stride = Math.ceil(statsBytes(common.vectors) / 64) * 64;
    const stats = arena.take(stride * slabCount);
    const coefficients = arena.take(N * layout.padded * 8);
    const dropout = arena.take(N * layout.padded * 4);
    b.stage(
      convTasks(b, {
        ...common,
        epilogue: { bias, slope: before ? tail.slope : null, affine: false, stats: { address: stats, stride } },
      }),
    );
    b.stage([
      [
        b.op({
          op: "normForward",
          norm: "instance",
          batch: N,
          slabsPerSample: slabCount / N,
          stats,
          stride,
          channels: layout.channels,
          padded: layout.padded,
          voxels: layout.shape[0] * layout.shape[1] * layout.shape[2],
          eps: tail.eps,
          momentum: tail.momentum,
          bias,
          slope: before ? tail.slope : null,
          ...norm,
          runningMean: 0,
          runningVariance: 0,
          dropout,
          coefficients,
          saved: arena.take(N * layout.padded * 16),
        }),
      ],
    ]);
    ones.push({ address: dropout, floats: N * layout.padded });
    const slope = before ? null : tail.slope;
    const kernel = b.kernel(["affine", layout, slope], 6, (f) => emitAffine(f, layout, slope));
    b.stage(
      slabsOf(layout.shape, N).map((slab) => {
        const start = output.address + slabStart(slab, layout);
        return [{ kernel, args: [start, start, coefficients + slab.n * layout.padded * 8, 0, slab.planes, slab.rows] }];
      }),
    );
  };

  const upconv = (node: UpconvNode): void => {
    const found = parameters.nodes.get(node)!;
    if (found.kind !== "upconv") return;
    const { packed, slots } = found;
    const address = arena.take(packed.vectors * 16);
    repeatedBias.push({ node, address, padded: packed.outPadded, times: packed.factor[2] });
    b.stage(
      upconvTasks(b, {
        packed,
        input: at(node.inputs[0]),
        output: place(node.output),
        weights: param + slots.weight.offset,
        bias: address,
        batch: N,
      }),
    );
  };

  const maxpool = (node: PoolNode): void => {
    const fine = at(node.inputs[0]);
    const coarse = place(node.output);
    const kernel = b.kernel(["maxpool", fine.layout, coarse.layout, node.factor], 4, (f) =>
      emitMaxPool(f, fine.layout, coarse.layout, node.factor),
    );
    b.stage(
      slabsOf(coarse.layout.shape, N).map((slab) => [
        {
          kernel,
          args: [
            fine.address + slabStart(slab, fine.layout, node.factor),
            coarse.address + slabStart(slab, coarse.layout),
            slab.planes,
            slab.rows,
          ],
        },
      ]),
    );
  };

  const ones: InferenceLayout["ones"] = [];
  graph.nodes.forEach((node, i) => {
    if (node.kind === "conv") conv(node);
    else if (node.kind === "upconv") upconv(node);
    else maxpool(node);
    for (const id of node.inputs) {
      if (lastReader.get(id) === i && id !== graph.input) {
        const tensor = at(id);
        pool.give(layoutKey(tensor.layout), tensor.address);
      }
    }
  });
  const output = lowerGather(b, at(graph.output), N, arena);
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
  const planeBytes = D * H * W * 4;
  b.stage(
    slabsOf(layout.shape, batch).map((slab) => {
      const rows: { from: number; to: number }[] = [];
      for (let d = slab.d; d < slab.d + slab.planes; d++) {
        for (let h = slab.h; h < slab.h + slab.rows; h++) {
          rows.push({
            from: address + slabStart({ ...slab, d, h }, layout),
            to: planar + slab.n * layout.channels * planeBytes + (d * H + h) * W * 4,
          });
        }
      }
      return [b.op({ op: "gather", rows, width: W, channels: layout.channels, padded: layout.padded, planeBytes })];
    }),
  );
  return { address: planar, floats };
}
