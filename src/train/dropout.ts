import type { Graph } from "../engine/graph.ts";
import type { TensorMap } from "../engine/types.ts";
import { random } from "../util/random.ts";

/** Probability for every unit, or one per conv node name (targeted dropout; a missing name means 0). */
export type DropoutRates = number | ReadonlyMap<string, number>;

/** Keeps this stream apart from others keyed by (seed, step). */
const streamTag = 0xd201;

/**
 * Channel dropout factors of one step: per conv unit [N * Cout], 0 with probability p, else 1 / (1 - p). They depend on
 * (seed, step, unit) alone, so a resumed run draws the same. Undefined where every rate is 0.
 */
export function dropoutFactors(
  graph: Graph,
  rates: DropoutRates,
  key: { seed: number; step: number },
): TensorMap | undefined {
  const out: TensorMap = new Map();
  graph.nodes.forEach((node, index) => {
    if (node.kind !== "conv" || node.tail === null) return;
    const p = typeof rates === "number" ? rates : (rates.get(node.name) ?? 0);
    if (p <= 0) return;
    const generator = random(key.seed, key.step, index, streamTag);
    const factors = new Float32Array(graph.batch * graph.tensors[node.output].channels);
    for (let i = 0; i < factors.length; i++) factors[i] = generator.chance(p) ? 0 : 1 / (1 - p);
    out.set(node.name, factors);
  });
  return out.size > 0 ? out : undefined;
}
