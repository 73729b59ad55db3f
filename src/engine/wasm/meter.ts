import { checkShapes, checkTargets } from "../check.ts";
import type { Graph } from "../graph.ts";
import type { ChannelMeter, ChannelSums, Immediate } from "../types.ts";
import { createArena } from "./arena.ts";
import { CONTROL } from "./control.ts";
import { loadBatch } from "./load-batch.ts";
import { lowerMeter, type MeteredNode, type MeterSpec } from "./lower-meter.ts";
import { writeParameters } from "./parameters.ts";
import { createProgramBuilder } from "./program.ts";
import { loadProgram } from "./runtime.ts";
import type { Team } from "./team.ts";
import type { Placing, TileChoice } from "./tiles.ts";

/** The program and its memory, before either exists. */
export function placeMeter(graph: Graph, spec: MeterSpec, { tiles, threads }: Placing) {
  checkShapes(graph);
  checkTargets(graph);
  const arena = createArena();
  const builder = createProgramBuilder(tiles, arena);
  const layout = lowerMeter(builder, graph, spec, arena);
  builder.reserveScratch(threads);
  return { arena, builder, layout };
}

export async function createMeter(
  graph: Graph,
  spec: MeterSpec,
  team: Team,
  tiles: TileChoice,
): Promise<Immediate<ChannelMeter>> {
  const { arena, builder, layout } = placeMeter(graph, spec, { tiles, threads: team.threads });
  const stages = builder.stageCount();
  const program = await loadProgram(builder, arena, layout.control, team);
  const { context } = program.executor;
  return {
    graph,
    bytes: arena.plan().total,
    setParameters: (values) => writeParameters(context.f32, layout.param, layout.parameters.slots, values),
    measure(batch, options) {
      loadBatch(context, graph, layout, batch, options?.dropout);
      // The control area starts as zeros: running statistics stay as they are.
      program.run(0, stages);
      return {
        loss: context.f64[layout.control / 8 + CONTROL.loss],
        channels: new Map(layout.nodes.map((node) => [node.name, mergeSlabs(context.f64, graph.batch, node)])),
      };
    },
    close: () => program.close(),
  };
}

/** Adds the slabs in their order, so that the sums do not depend on which thread made which. */
function mergeSlabs(f64: Float64Array, batch: number, { channels, padded, voxels, slabs }: MeteredNode): ChannelSums {
  const sums = [0, 1, 2].map(() => new Float64Array(batch * channels));
  for (const { n, address } of slabs) {
    sums.forEach((sum, k) => {
      const from = address / 8 + k * padded;
      for (let c = 0; c < channels; c++) sum[n * channels + c] += f64[from + c];
    });
  }
  const [l1, l2, taylor] = sums;
  return { voxels, batch, channels, l1, l2, taylor };
}
