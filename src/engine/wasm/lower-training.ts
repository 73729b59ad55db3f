import type { Graph } from "../graph.ts";
import { usesSecondMoment } from "../optimiser.ts";
import type { TrainSpec } from "../types.ts";
import type { Arena } from "./arena.ts";
import type { Layout } from "./layout.ts";
import type { Placed } from "./lower-conv.ts";
import { layoutsOf, takeControl } from "./lower-forward.ts";
import { stageLoss } from "./lower-loss.ts";
import { stageBackward } from "./lower-training-backward.ts";
import { stageForward } from "./lower-training-forward.ts";
import { stageWeights } from "./lower-training-weights.ts";
import { type ParameterCopies, stageUpdate } from "./lower-update.ts";
import { type ParameterBlock, placeParameters } from "./parameters.ts";
import type { ProgramBuilder } from "./program.ts";

/** Addresses the trainer needs from outside, and where the stages divide. */
export interface TrainingLayout extends ParameterCopies {
  parameters: ParameterBlock;
  control: number;
  input: Placed;
  target: number;
  /** Dropout factors, float [N][padded], by conv node name. */
  dropout: Map<string, { address: number; channels: number; padded: number }>;
  /** Stages [0, gradients) leave the gradients; [gradients, end) update. */
  gradientStages: number;
  endStage: number;
}

/** What all parts of the lowering need. */
export interface TrainingContext {
  b: ProgramBuilder;
  graph: Graph;
  arena: Arena;
  /** By tensor id. */
  layouts: Layout[];
  outputs: Placed[];
  parameters: ParameterBlock;
  /** Byte addresses of the parameter block and of its gradient. */
  param: number;
  gradient: number;
}

/** Turns a graph into the stages of one training step, and lays out all memory for it. */
export function lowerTraining(b: ProgramBuilder, graph: Graph, spec: TrainSpec, arena: Arena): TrainingLayout {
  const layouts = layoutsOf(graph);
  const parameters = placeParameters(graph, layouts, b.tiles);
  const control = takeControl(arena, graph);
  const copies: ParameterCopies = {
    param: arena.take(parameters.bytes),
    gradient: arena.take(parameters.bytes),
    m: arena.take(parameters.bytes),
    v: usesSecondMoment(spec.optimiser) ? arena.take(parameters.bytes) : 0,
    average: spec.ema > 0 ? arena.take(parameters.bytes) : 0,
  };
  const outputs = layouts.map((layout) => ({ layout, address: arena.take(graph.batch * layout.sampleBytes) }));
  const [D, H, W] = graph.tensors[graph.input].shape;
  const target = arena.take(graph.batch * D * H * W);
  const { param, gradient } = copies;
  const context: TrainingContext = { b, graph, arena, layouts, outputs, parameters, param, gradient };
  b.label("weights");
  const weights = stageWeights(context);
  const units = stageForward(context, weights);
  b.label("loss");
  stageLoss(b, arena, { graph, loss: spec.loss, logits: outputs[graph.output], target });
  stageBackward(context, weights, units);
  const gradientStages = b.stageCount();
  b.label("update");
  stageUpdate(b, arena, { spec, parameters, at: copies });
  const dropout: TrainingLayout["dropout"] = new Map();
  for (const [{ name }, { plan }] of units) {
    dropout.set(name, { address: plan.dropout, channels: plan.channels, padded: plan.padded });
  }
  return {
    ...copies,
    parameters,
    control,
    input: outputs[graph.input],
    target,
    dropout,
    gradientStages,
    endStage: b.stageCount(),
  };
}
