import { voxelCount } from "../../volume/volume.ts";
import type { Graph } from "../graph.ts";
import { distilShare, distils, voxelTerms } from "../loss.ts";
import { type SupervisedOutput, supervisedOutputs } from "../supervision.ts";
import type { LossSpec } from "../types.ts";
import { activationBytes, activationField, emitLinear, emitSums } from "./emit.ts";
import type { Field, Operand } from "./field.ts";
import { lossGradientKernel, lossKernel, lossSums, probabilitiesKernel } from "./loss-kernels.ts";
import type { Slot } from "./memory.ts";
import type { ProgramBuilder } from "./program.ts";
import type { Value } from "./source.ts";
import { numbers } from "./transfer.ts";

export interface LossLayout {
  /** Bytes of the targets of each supervised output. */
  targets: Field[];
  /** A teacher's probabilities. */
  soft: Field | null;
  /** Gradients by the logits, by tensor id. */
  gradients: Map<number, Field>;
  /** Numbers: the loss, the gradient's norm, its clip factor, 1 unused; then Dice of each class. */
  result: Slot;
}

/** Floats of a result before the Dice values. */
export const RESULT_HEAD = 4;

export function lowerLoss(builder: ProgramBuilder, graph: Graph, values: Value[], loss: LossSpec): LossLayout {
  const { channels, shape } = graph.tensors[graph.output];
  const { memory } = builder;
  const softBytes = 4 * graph.batch * channels * voxelCount(shape);
  const soft = distils(loss) ? numbers(memory.keep("soft targets", softBytes), graph.batch, channels, shape) : null;
  const result = memory.keep("result", 4 * (RESULT_HEAD + channels));
  const layout: LossLayout = { targets: [], soft, gradients: new Map(), result };
  const weights = Float32Array.from({ length: channels }, (_, c) => loss.classWeights?.[c] ?? 1);
  const classWeights = builder.constant("class weights", weights);
  for (const output of supervisedOutputs(graph, loss)) {
    lowerOutput(builder, graph, values[output.id], output, layout, classWeights);
  }
  return layout;
}

function lowerOutput(
  builder: ProgramBuilder,
  graph: Graph,
  { field }: Value,
  { id, loss }: SupervisedOutput,
  layout: LossLayout,
  classWeights: Slot,
): void {
  const { memory } = builder;
  const { batch, outputKind: kind } = graph;
  const { channels, shape, rows } = field;
  const voxels = batch * voxelCount(shape);
  const distil = distils(loss);
  const voxelField = (label: string, elementBytes: 1 | 16): Field => {
    const bytes = voxels * elementBytes;
    const slot = elementBytes === 1 ? memory.keep(label, bytes) : memory.take(label, bytes);
    return { slot, batch, channels: 1, rows: 1, shape, elementBytes };
  };
  const target = voxelField("target", 1);
  const terms = voxelField("loss terms", 16);
  const bytes = activationBytes(batch, channels, shape);
  const gradient = activationField(memory.take("gradient of logits", bytes), batch, channels, shape);
  layout.targets.push(target);
  layout.gradients.set(id, gradient);

  const { gamma, smoothing, temperature } = voxelTerms(loss);
  const sizes = { K: channels, G: rows, HW: shape[1] * shape[2], gamma, smoothing, temperature };
  const operands: Record<string, Operand> = {
    z: { field },
    truths: { field: target },
    ...(distil ? { soft: { field: layout.soft! } } : {}),
    probabilities: { field: gradient },
  };
  const withTerms: Record<string, Operand> = { ...operands, terms: { field: terms } };
  emitLinear(builder, probabilitiesKernel(kind, distil), terms, withTerms, { params: sizes });
  const { soft: _, ...summed } = withTerms;
  const total = emitSums(builder, lossSums(kind), field, summed, { params: { gamma, smoothing } });
  memory.release(terms.slot);

  const finest = id === graph.output;
  const coefficients = { slot: memory.scratch(2, 16 * channels), size: 16 * channels };
  const { tversky } = loss;
  const share = distilShare(loss, kind, voxels, channels);
  builder.dispatch(
    lossKernel(finest),
    {
      ...{ N: batch, K: channels, G: rows, eps: loss.eps },
      // A softmax over one class has nothing but background: it stays, so that the mean is over something.
      firstClass: kind === "softmax" && !loss.includeBackground && channels > 1 ? 1 : 0,
      dice: loss.dice ?? 0,
      ...{ tversky: tversky?.weight ?? 0, alpha: tversky?.alpha ?? 0, beta: tversky?.beta ?? 0 },
      ...{ crossEntropy: loss.crossEntropy ?? 0, focal: loss.focal?.weight ?? 0 },
      mean: 1 / (kind === "softmax" ? voxels : voxels * channels),
      distil: share,
    },
    { total, classWeights: { slot: classWeights }, coefficients, result: { slot: layout.result } },
    [1, 1, 1],
  );
  emitLinear(builder, lossGradientKernel(kind, distil), { ...field, rows: 1 }, operands, {
    params: { ...sizes, distil: share },
    buffers: { coefficients },
  });
}
