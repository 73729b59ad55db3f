import type { Graph } from "../graph.ts";
import type { TrainSpec } from "../types.ts";
import type { Arena } from "./arena.ts";
import { emitChannelSums } from "./elementwise.ts";
import { convTasks, type Placed, upconvTasks } from "./lower-conv.ts";
import { layoutsOf } from "./lower-forward.ts";
import { lowerPasses, type PassLayout } from "./lower-training.ts";
import { convCall, upconvCall } from "./lower-training-forward.ts";
import type { ProgramBuilder, Task } from "./program.ts";
import { slabStart, slabsOf } from "./slabs.ts";

/** What a meter depends on beside its graph. */
export type MeterSpec = Pick<TrainSpec, "loss" | "recompute">;

/** Where the sums of one node lie: double [3][padded] (|u|, u^2, u g) at each slab's address. */
export interface MeteredNode {
  name: string;
  channels: number;
  padded: number;
  /** D H W. */
  voxels: number;
  /** In slab order, with the batch item that each belongs to. */
  slabs: { n: number; address: number }[];
}

export interface MeterLayout extends PassLayout {
  /** In the graph's order. */
  nodes: MeteredNode[];
}

/**
 * Stages of a training step's passes without the parameters' gradients. What a convolution puts out is not kept (after the
 * activation at best), so each is convolved once more when its gradient is known.
 */
export function lowerMeter(b: ProgramBuilder, graph: Graph, spec: MeterSpec, arena: Arena): MeterLayout {
  const nodes: MeteredNode[] = [];
  // One area for all nodes: halos are neither written nor read.
  const layouts = layoutsOf(graph);
  const sizes = graph.nodes.map((node) => graph.batch * layouts[node.output].sampleBytes);
  const scratch = arena.for("scratch").take(Math.max(...sizes));
  const passes = lowerPasses(b, graph, spec, arena, (t, weights) => (node, inputs, grad) => {
    if (node.kind === "conv" && !node.tail) return [];
    const u = { layout: grad.layout, address: scratch };
    if (node.kind === "upconv") b.stage(upconvTasks(b, { ...upconvCall(t, weights, node, inputs[0]), output: u }));
    else {
      const bias = t.param + t.parameters.conv(node).slots.bias.offset;
      const epilogue = { bias, slope: null, affine: false, stats: null };
      b.stage(convTasks(b, { ...convCall(t, weights, node, inputs), output: u, epilogue }));
    }
    const { metered, tasks } = sumTasks(b, arena, graph.batch, { name: node.name, u, grad });
    nodes.unshift(metered);
    return tasks;
  });
  return { ...passes, nodes };
}

function sumTasks(
  b: ProgramBuilder,
  arena: Arena,
  batch: number,
  { name, u, grad }: { name: string; u: Placed; grad: Placed },
): { metered: MeteredNode; tasks: Task[] } {
  const { layout } = grad;
  const { channels, padded, shape } = layout;
  const bytes = 3 * padded * 8;
  const kernel = b.kernel(["channelSums", layout], 6, (f) => emitChannelSums(f, layout));
  const cut = slabsOf(shape, batch);
  const slabs = cut.map(({ n }) => ({ n, address: arena.take(bytes) }));
  const tasks = cut.map((slab, i): Task => {
    const start = slabStart(slab, layout);
    const to = slabs[i].address;
    return [
      b.op({ op: "zero", address: to, bytes }),
      { kernel, args: [u.address + start, grad.address + start, 0, to, slab.planes, slab.rows] },
    ];
  });
  return { metered: { name, channels, padded, voxels: shape[0] * shape[1] * shape[2], slabs }, tasks };
}
