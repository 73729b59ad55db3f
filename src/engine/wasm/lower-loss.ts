import type { Graph } from "../graph.ts";
import type { LossSpec } from "../types.ts";
import type { Arena } from "./arena.ts";
import type { Placed } from "./lower-conv.ts";
import type { ProgramBuilder } from "./program.ts";
import { slabStart, slabsOf } from "./slabs.ts";

/** Stages of the loss, in place: logits -> probabilities -> gradient. `target` is the byte address of [N, D, H, W]. */
export function stageLoss(
  b: ProgramBuilder,
  arena: Arena,
  options: { graph: Graph; loss: LossSpec; logits: Placed; target: number },
): void {
  const { graph, loss, logits, target } = options;
  const { layout } = logits;
  const K = layout.channels;
  const [D, H, W] = layout.shape;
  const coefficients = arena.take(4 * K * 8);
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
    sums: arena.take((5 * K + 1) * 8),
    coefficients,
    crossEntropy: Boolean(loss.crossEntropy),
    focal: Boolean(loss.focal?.weight),
    gamma: loss.focal?.gamma ?? 0,
  }));
  b.stage(slabs.map((slab) => [b.op({ op: "lossForward", ...slab })]));
  b.stage([
    [
      b.op({
        op: "lossTotal",
        spec: loss,
        kind: graph.outputKind,
        classes: K,
        sums: slabs.map((slab) => slab.sums),
        coefficients,
      }),
    ],
  ]);
  b.stage(slabs.map((slab) => [b.op({ op: "lossBackward", ...slab })]));
}
