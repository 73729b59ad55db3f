import type { OptimiserSpec, TrainSpec } from "../types.ts";
import { emitSmall } from "./emit.ts";
import type { ForwardLayout, Lowering } from "./forward.ts";
import type { Slot } from "./memory.ts";
import {
  averageKernel,
  clipKernel,
  HYPER,
  runningKernel,
  SQUARES,
  squaresKernel,
  updateKernel,
} from "./update-kernels.ts";

/** The parameters and what goes with them, floats in the order of the placement. */
export interface State {
  params: Slot;
  gradients: Slot;
  m: Slot;
  /** None for sgd. */
  v: Slot | null;
  /** None without a moving average. */
  average: Slot | null;
  /** See {@link HYPER}. */
  hyper: Slot;
}

/** Norm, clip, update, running statistics and moving average. */
export function lowerUpdate(
  { builder, graph, placement }: Lowering,
  forward: ForwardLayout,
  state: State,
  result: Slot,
  { optimiser, clip, ema }: TrainSpec,
): void {
  const { trained, all, decayed, byName } = placement;
  const [gradients, params] = [{ slot: state.gradients }, { slot: state.params }];
  const count = Math.ceil(trained / SQUARES);
  const partial = { slot: builder.memory.scratch(0, 4 * count), size: 4 * count };
  builder.dispatch(squaresKernel, { count: trained }, { gradients, partial }, [count, 1, 1]);
  builder.dispatch(clipKernel, { count, clip }, { partial, result: { slot: result } }, [1, 1, 1]);
  emitSmall(
    builder,
    updateKernel(optimiser),
    trained,
    { decayed, ...constantsOf(optimiser) },
    {
      ...{ gradients, params, result: { slot: result }, hyper: { slot: state.hyper }, m: { slot: state.m } },
      ...(state.v ? { v: { slot: state.v } } : {}),
    },
  );
  for (const node of graph.nodes) {
    if (node.kind !== "conv" || node.tail?.norm !== "batch") continue;
    const [meanAt, varianceAt] = ["mean", "var"].map((kind) => byName.get(`${node.name}.norm.running_${kind}`)!.offset);
    const fresh = { slot: forward.tapes.get(node.name)!.fresh! };
    const { channels } = graph.tensors[node.output];
    emitSmall(
      builder,
      runningKernel,
      channels,
      { meanAt, varianceAt, momentum: node.tail.momentum },
      { fresh, params },
    );
  }
  if (state.average) {
    emitSmall(builder, averageKernel, all, { decay: ema, rest: 1 - ema }, { params, average: { slot: state.average } });
  }
}

function constantsOf(optimiser: OptimiserSpec): Record<string, number> {
  const { weightDecay: decay } = optimiser;
  if (optimiser.kind === "sgd") {
    return { decay, momentum: optimiser.momentum, nesterov: optimiser.nesterov ? 1 : 0 };
  }
  const { beta1, beta2, eps } = optimiser;
  return { decay, beta1, rest1: 1 - beta1, beta2, rest2: 1 - beta2, eps };
}

/** The numbers of step number `step` (from 1). */
export function hyperOf(optimiser: OptimiserSpec, learningRate: number, step: number): Float32Array<ArrayBuffer> {
  const hyper = new Float32Array(HYPER.floats);
  hyper[HYPER.learningRate] = learningRate;
  if (optimiser.kind !== "sgd") {
    hyper[HYPER.rate] = learningRate / (1 - optimiser.beta1 ** step);
    hyper[HYPER.root] = Math.sqrt(1 - optimiser.beta2 ** step);
  }
  return hyper;
}
