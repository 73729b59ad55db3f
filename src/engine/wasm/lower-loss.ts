import type { Graph } from "../graph.ts";
import { distilShare, voxelTerms } from "../loss.ts";
import type { LossSpec } from "../types.ts";
import type { Arena } from "./arena.ts";
import type { Layout } from "./layout.ts";
import {
  emitLossBackward,
  emitLossForward,
  type KernelTerms,
  type LossWalk,
  lossCoefficientFloats,
  lossKernelFits,
  lossSumBytes,
} from "./loss-kernels.ts";
import type { Placed } from "./lower-conv.ts";
import type { LossTotal } from "./ops.ts";
import type { ProgramBuilder, Task } from "./program.ts";
import { type Slab, slabStart, slabsOf } from "./slabs.ts";

/** One output of the graph. */
export interface LossOptions {
  graph: Graph;
  loss: LossSpec;
  logits: Placed;
  /** Byte address of [N, D, H, W]. */
  target: number;
  /** Byte address of a teacher's probabilities [N, K, D, H, W]; null where the loss does not distil. */
  soft: number | null;
}

/** Stages of the loss of all outputs, of which the first gives the Dice values, in place: logits -> probabilities -> gradient. */
export function stageLoss(b: ProgramBuilder, arena: Arena, outputs: readonly LossOptions[]): void {
  const parts = outputs.map((options, i) => lossParts(b, arena, options, i === 0));
  b.stage(parts.flatMap(({ forward }) => forward));
  // One task, so that the losses are added in order.
  b.stage([parts.map(({ total }) => b.op(total))]);
  b.stage(parts.flatMap(({ backward }) => backward));
}

function lossParts(b: ProgramBuilder, arena: Arena, options: LossOptions, first: boolean) {
  const { graph, loss, logits } = options;
  const { channels: classes, shape } = logits.layout;
  const vectors = graph.outputKind === "softmax" && !loss.focal?.weight && lossKernelFits({ classes, width: shape[2] });
  const coefficients = arena.take(vectors ? lossCoefficientFloats(classes) * 4 : 4 * classes * 8);
  const { forward, backward, sums } = (vectors ? vectorTasks : plainTasks)(b, arena, options, coefficients);
  const total: LossTotal = {
    op: "lossTotal",
    spec: loss,
    kind: graph.outputKind,
    classes,
    voxels: graph.batch * shape[0] * shape[1] * shape[2],
    sums,
    coefficients,
    lanes: vectors ? 4 : 1,
    first,
  };
  return { forward, total, backward };
}

interface LossTasks {
  forward: Task[];
  backward: Task[];
  /** Address of each slab's sums. */
  sums: number[];
}

/** Four voxels at a time. */
function vectorTasks(b: ProgramBuilder, arena: Arena, options: LossOptions, coefficients: number): LossTasks {
  const { graph, loss, logits, target, soft } = options;
  const { layout } = logits;
  const [D, H, W] = layout.shape;
  const voxels = D * H * W;
  const walk: LossWalk = {
    classes: layout.channels,
    vectors: layout.padded / 4,
    width: W,
    rowBytes: layout.rowBytes,
    planeBytes: layout.planeBytes,
  };
  const { smoothing, temperature } = voxelTerms(loss);
  const share = distilShare(loss, "softmax", graph.batch * voxels, walk.classes);
  const distil = soft === null ? null : { temperature, share, planeBytes: voxels * 4 };
  const terms: KernelTerms = { crossEntropy: Boolean(loss.crossEntropy), smoothing, distil };
  const forward = b.kernel(["lossForward", walk, terms], 6, (f) => emitLossForward(f, walk, terms));
  const backward = b.kernel(["lossBackward", walk, terms], 6, (f) => emitLossBackward(f, walk, terms));
  const bytes = lossSumBytes(walk.classes);
  const slabs = slabsOf(layout.shape, graph.batch).map((slab) => ({
    slab,
    from: logits.address + slabStart(slab, layout),
    truth: target + ((slab.n * D + slab.d) * H + slab.h) * W,
    teacher: soft === null ? 0 : softOf(soft, slab, layout),
    sums: arena.take(bytes),
  }));
  return {
    forward: slabs.map(({ slab, from, truth, teacher, sums }) => [
      b.op({ op: "zero", address: sums, bytes }),
      { kernel: forward, args: [from, truth, sums, slab.planes, slab.rows, teacher] },
    ]),
    backward: slabs.map(({ slab, from, truth, teacher }) => [
      { kernel: backward, args: [from, truth, coefficients, slab.planes, slab.rows, teacher] },
    ]),
    sums: slabs.map(({ sums }) => sums),
  };
}

/** Byte address of the first class's probability at a slab's first voxel. */
function softOf(soft: number, { n, d, h }: Slab, { channels, shape: [D, H, W] }: Layout): number {
  return soft + (n * channels * D * H * W + (d * H + h) * W) * 4;
}

/** One voxel after the other: for regions, focal terms, many classes, odd widths. */
function plainTasks(b: ProgramBuilder, arena: Arena, options: LossOptions, coefficients: number): LossTasks {
  const { graph, loss, logits, target, soft } = options;
  const { layout } = logits;
  const K = layout.channels;
  const [D, H, W] = layout.shape;
  const slabs = slabsOf(layout.shape, graph.batch).map((slab) => ({
    kind: graph.outputKind,
    classes: K,
    logits: logits.address + slabStart(slab, layout),
    target: target + ((slab.n * D + slab.d) * H + slab.h) * W,
    planes: slab.planes,
    rows: slab.rows,
    width: W,
    planeBytes: layout.planeBytes,
    rowBytes: layout.rowBytes,
    pixelBytes: layout.pixelBytes,
    soft: soft === null ? null : softOf(soft, slab, layout),
    softStride: D * H * W,
    distil: distilShare(loss, graph.outputKind, graph.batch * D * H * W, K),
    sums: arena.take((5 * K + 1) * 8),
    coefficients,
    crossEntropy: Boolean(loss.crossEntropy),
    focal: Boolean(loss.focal?.weight),
    ...voxelTerms(loss),
  }));
  return {
    forward: slabs.map((slab) => [b.op({ op: "lossForward", ...slab })]),
    backward: slabs.map((slab) => [b.op({ op: "lossBackward", ...slab })]),
    sums: slabs.map((slab) => slab.sums),
  };
}
