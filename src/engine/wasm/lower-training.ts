import { type Vec3, voxelCount } from "../../volume/volume.ts";
import type { Graph } from "../graph.ts";
import { distils } from "../loss.ts";
import { usesSecondMoment } from "../optimiser.ts";
import { supervisedOutputs } from "../supervision.ts";
import type { TrainSpec } from "../types.ts";
import type { Arena } from "./arena.ts";
import type { Layout } from "./layout.ts";
import type { Placed } from "./lower-conv.ts";
import { layoutsOf, takeControl } from "./lower-forward.ts";
import { type LossOptions, stageLoss } from "./lower-loss.ts";
import { type GradientReader, stageBackward } from "./lower-training-backward.ts";
import { stageForward } from "./lower-training-forward.ts";
import { type Buffers, createBuffers, createValues, deadAfter, type Values } from "./lower-training-values.ts";
import { type PreparedWeights, stageWeights } from "./lower-training-weights.ts";
import { type ParameterCopies, stageUpdate } from "./lower-update.ts";
import { type ParameterBlock, placeParameters } from "./parameters.ts";
import type { ProgramBuilder } from "./program.ts";

/** What those who run a forward and a backward pass need to know. */
export interface PassLayout {
  parameters: ParameterBlock;
  /** Byte addresses of the parameter block and of its gradient. */
  param: number;
  gradient: number;
  control: number;
  input: Placed;
  /** Of the targets of all outputs, from fine to coarse. */
  targets: { address: number; shape: Vec3 }[];
  /** Of a teacher's probabilities, float [N][K][D][H][W]; null where the loss does not distil. */
  soft: number | null;
  /** Dropout factors, float [N][padded], by conv node name. */
  dropout: Map<string, { address: number; channels: number; padded: number }>;
}

/** The trainer's copies of the parameters, and where its stages divide. */
export interface TrainingLayout extends PassLayout, ParameterCopies {
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
  buffers: Buffers;
  values: Values;
  /** By visit, forward then backward: see {@link deadAfter}. */
  dead: number[][];
  recompute: boolean;
  parameters: ParameterBlock;
  /** Byte addresses of the parameter block and of its gradient. */
  param: number;
  gradient: number;
}

/** Turns a graph into the stages of one training step, and lays out all memory for it. */
export function lowerTraining(b: ProgramBuilder, graph: Graph, spec: TrainSpec, arena: Arena): TrainingLayout {
  const passes = lowerPasses(b, graph, spec, arena);
  const { parameters, param, gradient } = passes;
  const gradientStages = b.stageCount();
  const copies: ParameterCopies = {
    param,
    gradient,
    m: arena.for("moments").take(parameters.bytes),
    v: usesSecondMoment(spec.optimiser) ? arena.for("moments").take(parameters.bytes) : 0,
    average: spec.ema > 0 ? arena.for("average").take(parameters.bytes) : 0,
  };
  b.label("update");
  stageUpdate(b, arena, { spec, parameters, at: copies });
  return { ...passes, ...copies, gradientStages, endStage: b.stageCount() };
}

/** Stages of a forward pass, the loss and a backward pass: for the parameters' gradients, or for what `reader` makes of it. */
export function lowerPasses(
  b: ProgramBuilder,
  graph: Graph,
  { loss, recompute = false }: Pick<TrainSpec, "loss" | "recompute">,
  arena: Arena,
  reader?: (t: TrainingContext, weights: PreparedWeights) => GradientReader,
): PassLayout {
  const layouts = layoutsOf(graph);
  const parameters = placeParameters(graph, layouts, b.tiles);
  const control = takeControl(arena, graph);
  const param = arena.for("weights").take(parameters.bytes);
  const gradient = arena.for("weightGradients").take(parameters.bytes);
  const outputs = supervisedOutputs(graph, loss);
  const targets = outputs.map(({ id }) => {
    const { shape } = graph.tensors[id];
    return { shape, address: arena.for("batch").take(graph.batch * voxelCount(shape)) };
  });
  const finest = graph.tensors[graph.output];
  const softBytes = graph.batch * finest.channels * voxelCount(finest.shape) * 4;
  const soft = distils(loss) ? arena.for("batch").take(softBytes) : null;
  const layout = layouts[graph.input];
  const input = { layout, address: arena.for("batch").take(graph.batch * layout.sampleBytes) };
  const buffers = createBuffers(arena, graph.batch);
  const values = createValues(buffers, layouts, { id: graph.input, tensor: input });
  const dead = deadAfter(graph, recompute);
  const context = { b, graph, arena, layouts, buffers, values, dead, recompute, parameters, param, gradient };
  b.label("weights");
  const weights = stageWeights(context);
  const forward = stageForward(context, weights);
  b.label("loss");
  const losses = outputs.map((output, i): LossOptions => {
    const { address } = targets[i];
    return { graph, loss: output.loss, logits: values.at(output.id), target: address, soft: i === 0 ? soft : null };
  });
  stageLoss(b, arena, losses);
  stageBackward(context, weights, forward, reader?.(context, weights));
  const dropout: PassLayout["dropout"] = new Map();
  for (const [{ name }, { plan }] of forward.units) {
    dropout.set(name, { address: plan.dropout, channels: plan.channels, padded: plan.padded });
  }
  return { parameters, param, gradient, control, input, targets, soft, dropout };
}
