import { checkBatch } from "../check.ts";
import type { Graph } from "../graph.ts";
import { coarseTarget } from "../supervision.ts";
import type { Batch, TensorMap } from "../types.ts";
import type { OpContext } from "./control.ts";
import { scatter } from "./layout.ts";
import type { PassLayout } from "./lower-training.ts";

/** Checks a batch and puts it and the dropout factors (all 1 where there are none) where the passes read them. */
export function loadBatch(
  { f32, u8 }: OpContext,
  graph: Graph,
  to: PassLayout,
  batch: Batch,
  dropout: TensorMap | undefined,
): void {
  checkBatch(graph, batch, to.soft !== null, dropout);
  scatter(f32, to.input.address, to.input.layout, graph.batch, batch.input);
  const { shape } = graph.tensors[graph.output];
  to.targets.forEach((target, i) => {
    u8.set(i === 0 ? batch.target : coarseTarget(batch.target, graph.batch, shape, target.shape), target.address);
  });
  if (to.soft !== null) f32.set(batch.soft!, to.soft / 4);
  for (const [name, { address, channels, padded }] of to.dropout) {
    const factors = dropout?.get(name);
    const at = address / 4;
    f32.fill(1, at, at + graph.batch * padded);
    if (!factors) continue;
    for (let n = 0; n < graph.batch; n++) {
      f32.set(factors.subarray(n * channels, (n + 1) * channels), at + n * padded);
    }
  }
}
