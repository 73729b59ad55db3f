import { checkInput, checkShapes } from "../check.ts";
import type { Graph } from "../graph.ts";
import type { Immediate, Inference, TensorMap } from "../types.ts";
import { createArena } from "./arena.ts";
import { scatter } from "./layout.ts";
import { type InferenceLayout, lowerInference } from "./lower-inference.ts";
import { writeParameters } from "./parameters.ts";
import { createProgramBuilder } from "./program.ts";
import { loadProgram, type Staged } from "./runtime.ts";
import type { Team } from "./team.ts";
import type { Placing, TileChoice } from "./tiles.ts";

/** The program and its memory, before either exists. */
export function placeInference(graph: Graph, { tiles, threads }: Placing) {
  checkShapes(graph);
  const arena = createArena();
  const builder = createProgramBuilder(tiles, arena);
  const layout = lowerInference(builder, graph, arena);
  builder.reserveScratch(threads);
  return { arena, builder, layout };
}

export async function createInference(
  graph: Graph,
  team: Team,
  tiles: TileChoice,
): Promise<Immediate<Inference> & Staged> {
  const { arena, builder, layout } = placeInference(graph, { tiles, threads: team.threads });
  const program = await loadProgram(builder, arena, layout.control, team);
  const { f32 } = program.executor.context;
  for (const { address, floats } of layout.ones) f32.fill(1, address / 4, address / 4 + floats);
  return {
    ...program.staged,
    graph,
    bytes: arena.plan().total,
    setParameters(values) {
      writeParameters(f32, layout.param, layout.parameters.slots, values);
      foldNorms(f32, layout, values);
      program.run(0, layout.prepareStages);
    },
    logits(input) {
      checkInput(graph, input);
      scatter(f32, layout.input.address, layout.input.layout, graph.batch, input);
      program.run(layout.prepareStages, layout.endStage);
      const { address, floats } = layout.output;
      return f32.slice(address / 4, address / 4 + floats);
    },
    close: () => program.close(),
  };
}

/**
 * Batch norm with running statistics is y = a x + b. After an activation it follows in the kernel; straight after the convolution it
 * goes into the weights and the bias.
 */
function foldNorms(f32: Float32Array, layout: InferenceLayout, values: TensorMap): void {
  const rewritten: TensorMap = new Map();
  for (const { node, address, padded } of layout.folded) {
    const bias = values.get(`${node.name}.bias`)!;
    const at = address / 4;
    f32.fill(0, at, at + 3 * padded);
    f32.set(bias, at);
    if (node.tail?.norm !== "batch") continue;
    const [scale, shift, mean, variance] = ["weight", "bias", "running_mean", "running_var"].map(
      (name) => values.get(`${node.name}.norm.${name}`)!,
    );
    const weights = values.get(`${node.name}.weight`)!;
    const folded = node.tail.order === "conv-norm-act" ? Float32Array.from(weights) : null;
    const perChannel = weights.length / bias.length;
    for (let c = 0; c < bias.length; c++) {
      const a = scale[c] / Math.sqrt(variance[c] + node.tail.eps);
      const b = shift[c] - mean[c] * a;
      if (folded) {
        for (let i = c * perChannel; i < (c + 1) * perChannel; i++) folded[i] *= a;
        f32[at + c] = bias[c] * a + b;
      } else {
        f32[at + padded + c] = a;
        f32[at + 2 * padded + c] = b;
      }
    }
    if (folded) rewritten.set(`${node.name}.weight`, folded);
  }
  const slots = layout.parameters.slots.filter((slot) => rewritten.has(slot.info.name));
  writeParameters(f32, layout.param, slots, rewritten);
  for (const { node, address, padded, times } of layout.repeatedBias) {
    for (let k = 0; k < times; k++) f32.set(values.get(`${node.name}.bias`)!, address / 4 + k * padded);
  }
}
