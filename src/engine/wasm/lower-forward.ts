import type { Graph, UnitTail } from "../graph.ts";
import type { Arena } from "./arena.ts";
import { CONTROL } from "./control.ts";
import { statsBytes } from "./conv.ts";
import { emitAffine } from "./elementwise.ts";
import { type Layout, layoutOf } from "./layout.ts";
import { type ConvCall, convSlabCount, convTasks, type Placed } from "./lower-conv.ts";
import type { NormPlan } from "./norm-steps.ts";
import { haloDepth } from "./packing.ts";
import type { ParameterSlot } from "./parameters.ts";
import { emitMaxPool } from "./pool.ts";
import type { ProgramBuilder, Task } from "./program.ts";
import { slabStart, slabsOf } from "./slabs.ts";

/** Layouts of a graph's tensors by id. The input stays unpadded where only convolutions read it. */
export function layoutsOf(graph: Graph): Layout[] {
  const haloD = haloDepth(graph);
  const onlyConvs = graph.nodes.every((node) => node.kind === "conv" || !node.inputs.includes(graph.input));
  return graph.tensors.map((t, id) => layoutOf(t.channels, t.shape, haloD, id === graph.input && onlyConvs));
}

/** Memory for the numbers that callers set and read: {@link CONTROL} and a Dice value a class. */
export function takeControl(arena: Arena, graph: Graph): number {
  return arena.take((CONTROL.dice + graph.tensors[graph.output].channels) * 8);
}

export function maxPoolTasks(
  b: ProgramBuilder,
  options: { fine: Placed; coarse: Placed; factor: [number, number, number]; batch: number },
): Task[] {
  const { fine, coarse, factor } = options;
  const kernel = b.kernel(["maxpool", fine.layout, coarse.layout, factor], 4, (f) =>
    emitMaxPool(f, fine.layout, coarse.layout, factor),
  );
  return slabsOf(coarse.layout.shape, options.batch).map((slab) => [
    {
      kernel,
      args: [
        fine.address + slabStart(slab, fine.layout, factor),
        coarse.address + slabStart(slab, coarse.layout),
        slab.planes,
        slab.rows,
      ],
    },
  ]);
}

/**
 * Stages of a convolution whose norm needs the statistics of this pass: the convolution leaves sums, one task makes coefficients
 * of them. {@link affineTasks} are to follow.
 */
export function stageUnit(
  b: ProgramBuilder,
  arena: Arena,
  options: {
    call: ConvCall;
    tail: UnitTail;
    z: Placed;
    slots: Record<string, ParameterSlot>;
    /** Byte address of the parameter block. */
    param: number;
  },
): NormPlan {
  const { call, tail, z, slots, param } = options;
  const { layout } = z;
  const { padded } = layout;
  const N = call.batch;
  const slabCount = convSlabCount(b, call, layout);
  const stride = Math.ceil(statsBytes(call.vectors) / 64) * 64;
  const before = tail.order === "conv-act-norm";
  const at = (slot: ParameterSlot | undefined): number => (slot ? param + slot.offset : 0);
  const plan: NormPlan = {
    norm: tail.norm,
    batch: N,
    slabsPerSample: slabCount / N,
    stats: arena.take(stride * slabCount),
    stride,
    channels: layout.channels,
    padded,
    voxels: layout.shape[0] * layout.shape[1] * layout.shape[2],
    eps: tail.eps,
    momentum: tail.momentum,
    bias: at(slots.bias),
    slope: before ? tail.slope : null,
    scale: at(slots.scale),
    shift: at(slots.shift),
    runningMean: at(slots.mean),
    runningVariance: at(slots.variance),
    dropout: arena.take(N * padded * 4),
    coefficients: arena.take(N * padded * 8),
    saved: arena.take(N * padded * 16),
  };
  const stats = tail.norm === "none" ? null : { address: plan.stats, stride };
  b.stage(convTasks(b, { ...call, output: z, epilogue: { bias: plan.bias, slope: plan.slope, affine: false, stats } }));
  b.stage([[b.op({ op: "normForward", ...plan })]]);
  return plan;
}

/**
 * y = a z + b with the coefficients that the unit's norm left, through the activation where that comes after the norm. `z` and
 * `output` may be one tensor.
 */
export function affineTasks(
  b: ProgramBuilder,
  { tail, plan, z, output }: { tail: UnitTail; plan: NormPlan; z: Placed; output: Placed },
): Task[] {
  const { layout } = output;
  const slope = tail.order === "conv-norm-act" ? tail.slope : null;
  const kernel = b.kernel(["affine", layout, slope], 6, (f) => emitAffine(f, layout, slope));
  return slabsOf(layout.shape, plan.batch).map((slab) => {
    const start = slabStart(slab, layout);
    const coefficients = plan.coefficients + slab.n * layout.padded * 8;
    return [{ kernel, args: [z.address + start, output.address + start, coefficients, 0, slab.planes, slab.rows] }];
  });
}
