import { voxelCount } from "../../volume/volume.ts";
import type { Graph } from "../graph.ts";
import type { ChannelMeter, ChannelSums, LossSpec } from "../types.ts";
import type { Observer } from "./backward.ts";
import type { Gpu } from "./device.ts";
import { emitSums } from "./emit.ts";
import type { Lowering } from "./forward.ts";
import { gatherParameters } from "./parameters.ts";
import { loadProgram, type Range } from "./program.ts";
import type { ReduceKernel } from "./reduce.ts";
import { createLoader, lowerPasses } from "./training.ts";

const meterSums: ReduceKernel = {
  label: "channel sums",
  params: { uAt: "u32", slopeAt: "u32" },
  bindings: { u: { type: "array<vec4f>" }, slope: { type: "array<vec4f>" } },
  value: `let value = u[i - P.uAt];
t0 += abs(value);
t1 += value * value;
t2 += value * slope[i - P.slopeAt];`,
  sums: 3,
};

interface Metered {
  name: string;
  channels: number;
  rows: number;
  voxels: number;
  total: Range;
}

export async function createMeter(graph: Graph, loss: LossSpec, gpu: Gpu): Promise<ChannelMeter> {
  const metered: Metered[] = [];
  const observe =
    ({ builder }: Lowering): Observer =>
    (node, u, gradient) => {
      if (node.kind === "conv" && !node.tail) return;
      const size = 48 * u.batch * u.rows;
      const total = { slot: builder.memory.keep(`${node.name} sums`, size), size };
      emitSums(builder, meterSums, u, { u: { field: u }, slope: { field: gradient } }, { total });
      metered.unshift({ name: node.name, channels: u.channels, rows: u.rows, voxels: voxelCount(u.shape), total });
    };
  const passes = lowerPasses(graph, loss, gpu, observe);
  const { builder, placement } = passes.lowering;
  const end = builder.mark();
  const program = await loadProgram(builder, gpu);
  const load = createLoader(program, passes);
  const sumsOf = (data: Float32Array, { channels, rows, voxels }: Metered): ChannelSums => {
    const { batch } = graph;
    const [l1, l2, taylor] = [0, 1, 2].map((k) => {
      const at = (i: number): number => {
        const c = i % channels;
        return ((Math.floor(i / channels) * rows + Math.floor(c / 4)) * 3 + k) * 4 + (c % 4);
      };
      return Float64Array.from({ length: batch * channels }, (_, i) => data[at(i)]);
    });
    return { voxels, batch, channels, l1, l2, taylor };
  };
  return {
    graph,
    bytes: program.bytes,
    setParameters: (values) => program.write(passes.params, gatherParameters(placement, placement.all, values)),
    async measure(batch, options) {
      load(batch, options?.dropout);
      const ranges = [{ slot: passes.loss.result, size: 16 }, ...metered.map(({ total }) => total)];
      const [head, ...found] = await program.run([[0, end]], ranges);
      const sums = metered.map((node, i) => [node.name, sumsOf(new Float32Array(found[i]), node)] as const);
      return { loss: new Float32Array(head)[0], channels: new Map(sums) };
    },
    close: () => program.close(),
  };
}
