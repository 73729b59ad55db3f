import { type Graph, paramsOf } from "../engine/graph.ts";
import type { ChannelSums, TensorMap } from "../engine/types.ts";
import { fail } from "../util/errors.ts";
import { nearest } from "../util/nearest.ts";
import type { Random } from "../util/random.ts";
import { voxelCount } from "../volume/volume.ts";
import type { Criterion } from "./types.ts";

/** A value per channel, by layer; a layer without an entry is not ranked. */
export type Scores = Map<string, Float64Array>;

/** What each criterion means, in the order of `--help`. u is a convolution's output before activation and norm. */
export const criteria: Record<Criterion, string> = {
  l2: "L2 norm of u over space, mean over the batch",
  l1: "L1 norm of u over space, mean over the batch",
  "l1-sd": "standard deviation of the L1 norm of u over the batch",
  taylor: "absolute mean of u times its gradient over batch and space",
  weight: "L2 norm of the filter",
  "bn-scale": "absolute scale of the norm; transposed convolutions have none and keep their channels",
  random: "a random number for every channel",
};

export function parseCriterion(text: string): Criterion {
  if (Object.hasOwn(criteria, text)) return text as Criterion;
  const names = Object.keys(criteria);
  return fail(`Unknown --criterion "${text}": expected ${names.join(", ")}; did you mean ${nearest(text, names)}?`);
}

/** Whether a criterion looks at activations, so that batches have to run. */
export function isMeasured(criterion: Criterion): boolean {
  return criterion === "l1" || criterion === "l2" || criterion === "l1-sd" || criterion === "taylor";
}

/**
 * Importance of a layer's channels in one batch: Dinsdale et al. 2022 (STAMP) and Molchanov et al. 2017 for `taylor`. Over
 * batches the values add up. Throws UserError where l1-sd gets a batch of one.
 */
export function batchScores(criterion: Criterion, sums: ChannelSums): Float64Array {
  const { batch, channels, voxels, l1, l2, taylor } = sums;
  const mean = (c: number, value: (i: number) => number): number => {
    let sum = 0;
    for (let n = 0; n < batch; n++) sum += value(n * channels + c);
    return sum / batch;
  };
  const score = (c: number): number => {
    if (criterion === "l1") return mean(c, (i) => l1[i]);
    if (criterion === "l2") return mean(c, (i) => Math.sqrt(l2[i]));
    if (criterion === "taylor") return Math.abs(mean(c, (i) => taylor[i])) / voxels;
    const centre = mean(c, (i) => l1[i]);
    return Math.sqrt(mean(c, (i) => (l1[i] - centre) ** 2));
  };
  if (criterion === "l1-sd" && batch < 2) {
    fail("Expected a --batch of 2 or more for --criterion l1-sd, which compares the items of a batch, but it is 1.");
  }
  return Float64Array.from({ length: channels }, (_, c) => score(c));
}

/** Importance by the parameters alone: `weight` or `bn-scale`. Throws UserError for bn-scale on a net without norms. */
export function weightScores(criterion: "weight" | "bn-scale", graph: Graph, tensors: TensorMap): Scores {
  const scores: Scores = new Map();
  for (const node of graph.nodes) {
    if (node.kind === "maxpool" || node.output === graph.output) continue;
    for (const { name, shape, role } of paramsOf(graph, node)) {
      const values = tensors.get(name) ?? fail(`Expected tensor ${name} to rank channels by, but there is none.`);
      if (criterion === "bn-scale" && role === "scale") scores.set(node.name, Float64Array.from(values, Math.abs));
      if (criterion === "weight" && role === "weight") {
        scores.set(node.name, filterNorms(values, shape, node.kind === "conv" ? 0 : 1));
      }
    }
  }
  if (scores.size === 0) {
    fail("Expected a net with norms for --criterion bn-scale, but this one has none; choose another criterion.");
  }
  return scores;
}

/** L2 norm of the weights of every output channel, which lies along `axis` (0 or 1). */
function filterNorms(weight: Float32Array, shape: readonly number[], axis: 0 | 1): Float64Array {
  const [rows, columns, ...inner] = shape;
  const run = voxelCount(inner);
  const squares = new Float64Array(shape[axis]);
  for (let at = 0; at < rows * columns; at++) {
    const channel = axis === 0 ? Math.floor(at / columns) : at % columns;
    for (let i = at * run; i < (at + 1) * run; i++) squares[channel] += weight[i] ** 2;
  }
  return squares.map(Math.sqrt);
}

/** Uniform over all channels of the net: not to be normalised, which would favour narrow layers. */
export function randomScores(layers: readonly { name: string; width: number }[], draw: Random): Scores {
  return new Map(layers.map(({ name, width }) => [name, Float64Array.from({ length: width }, draw.next)]));
}

/** Divides the values of every layer by their L2 norm (STAMP), so that layers can be compared; a layer of zeros stays so. */
export function normaliseByLayer(scores: Scores): Scores {
  return new Map(
    [...scores].map(([layer, values]) => {
      const norm = Math.sqrt(values.reduce((sum, v) => sum + v * v, 0));
      return [layer, norm > 0 ? values.map((v) => v / norm) : values.slice()];
    }),
  );
}
