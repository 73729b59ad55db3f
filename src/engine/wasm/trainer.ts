import { fail } from "../../util/errors.ts";
import { checkShapes, checkTargets } from "../check.ts";
import type { Graph } from "../graph.ts";
import { usesSecondMoment } from "../optimiser.ts";
import type { Batch, Immediate, StepOptions, TensorMap, Trainer, TrainSpec } from "../types.ts";
import { createArena } from "./arena.ts";
import { CONTROL } from "./control.ts";
import { loadBatch } from "./load-batch.ts";
import { lowerTraining } from "./lower-training.ts";
import { readParameters, writeParameters } from "./parameters.ts";
import { createProgramBuilder } from "./program.ts";
import { loadProgram, type Staged } from "./runtime.ts";
import type { Team } from "./team.ts";
import type { Placing, TileChoice } from "./tiles.ts";

/** The program and its memory, before either exists. */
export function placeTraining(graph: Graph, spec: TrainSpec, { tiles, threads }: Placing) {
  checkShapes(graph);
  checkTargets(graph);
  const arena = createArena();
  const builder = createProgramBuilder(tiles, arena);
  const layout = lowerTraining(builder, graph, spec, arena);
  builder.reserveScratch(threads);
  return { arena, builder, layout };
}

export async function createTrainer(
  graph: Graph,
  spec: TrainSpec,
  team: Team,
  tiles: TileChoice,
): Promise<Immediate<Trainer> & Staged> {
  const { arena, builder, layout } = placeTraining(graph, spec, { tiles, threads: team.threads });
  const program = await loadProgram(builder, arena, layout.control, team);
  const { context } = program.executor;
  const { f32, f64 } = context;
  const control = layout.control / 8;
  const { slots } = layout.parameters;
  const trained = slots.filter((slot) => slot.info.trained);
  const classes = graph.tensors[graph.output].channels;
  let stepsDone = 0;

  const loss = (): { loss: number; dice: number[] } => ({
    loss: f64[control + CONTROL.loss],
    dice: Array.from(f64.subarray(control + CONTROL.dice, control + CONTROL.dice + classes)),
  });

  return {
    ...program.staged,
    graph,
    bytes: arena.plan().total,
    setParameters(values) {
      writeParameters(f32, layout.param, slots, values);
      if (spec.ema > 0) writeParameters(f32, layout.average, slots, values);
    },
    getParameters: () => readParameters(f32, layout.param, slots),
    getAverage: () => readParameters(f32, spec.ema > 0 ? layout.average : layout.param, slots),
    getState() {
      const state: TensorMap = new Map([["step", Float32Array.of(stepsDone)]]);
      readParameters(f32, layout.m, trained, "m.", state);
      if (usesSecondMoment(spec.optimiser)) readParameters(f32, layout.v, trained, "v.", state);
      if (spec.ema > 0) readParameters(f32, layout.average, slots, "ema.", state);
      return state;
    },
    setState(state) {
      const step = state.get("step") ?? fail("Expected a tensor named step in the optimiser state, but there is none.");
      stepsDone = step[0];
      writeParameters(f32, layout.m, trained, state, "m.");
      if (usesSecondMoment(spec.optimiser)) writeParameters(f32, layout.v, trained, state, "v.");
      if (spec.ema > 0) writeParameters(f32, layout.average, slots, state, "ema.");
    },
    step(batch: Batch, options: StepOptions) {
      loadBatch(context, graph, layout, batch, options.dropout);
      stepsDone++;
      f64[control + CONTROL.learningRate] = options.learningRate;
      f64[control + CONTROL.step] = stepsDone;
      f64[control + CONTROL.updateRunning] = 1;
      program.run(0, layout.endStage);
      return { ...loss(), gradientNorm: f64[control + CONTROL.gradientNorm] };
    },
    gradients(batch, options) {
      loadBatch(context, graph, layout, batch, options?.dropout);
      f64[control + CONTROL.updateRunning] = 0;
      program.run(0, layout.gradientStages);
      return { loss: loss().loss, gradients: readParameters(f32, layout.gradient, trained) };
    },
    close: () => program.close(),
  };
}
