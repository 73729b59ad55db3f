import type { Graph } from "../engine/graph.ts";
import type { Backend, LossSpec, TensorMap } from "../engine/types.ts";
import { prunableLayers } from "../net/remove.ts";
import type { NetSpec } from "../net/spec.ts";
import type { BatchSource } from "../train/loop.ts";
import { pause } from "../util/pause.ts";
import type { Random } from "../util/random.ts";
import { batchScores, normaliseByLayer, randomScores, type Scores, weightScores } from "./importance.ts";
import type { Criterion } from "./types.ts";

export interface RankOptions {
  criterion: Criterion;
  net: NetSpec;
  /** Of a training batch. */
  graph: Graph;
  /** Parameters by name. */
  tensors: TensorMap;
  backend: Pick<Backend, "meter">;
  /** As TrainSpec.recompute. */
  lowMemory?: boolean;
  loss: LossSpec;
  batches: BatchSource;
  /** The batches to rank on: those of training steps `from` to `from + count - 1`. */
  from: number;
  count: number;
  draw: Random;
  onBatch?: (done: number) => void;
  /** Asked after each batch; true ends the ranking. */
  stop?: () => boolean;
}

/**
 * The importance of every channel, comparable between layers; null when it was stopped. Measured criteria see all batches in
 * one mode: norms by the batch's own statistics, no dropout, nothing updated.
 */
export async function rankChannels(options: RankOptions): Promise<Scores | null> {
  const { criterion, net, graph, tensors } = options;
  if (criterion === "random") return randomScores(prunableLayers(net), options.draw);
  if (criterion === "weight" || criterion === "bn-scale") {
    return normaliseByLayer(weightScores(criterion, graph, tensors));
  }
  const scores: Scores = new Map(prunableLayers(net).map(({ name, width }) => [name, new Float64Array(width)]));
  const meter = await options.backend.meter(graph, options.loss, options.lowMemory);
  try {
    meter.setParameters(tensors);
    for (let done = 0; done < options.count; done++) {
      const { channels } = await meter.measure(await options.batches.next(options.from + done));
      for (const [layer, sums] of scores) {
        batchScores(criterion, channels.get(layer)!).forEach((value, c) => {
          sums[c] += value;
        });
      }
      options.onBatch?.(done + 1);
      await pause(); // lets a signal in
      if (options.stop?.()) return null;
    }
  } finally {
    meter.close();
  }
  return normaliseByLayer(scores);
}
