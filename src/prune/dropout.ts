import type { Graph } from "../engine/graph.ts";
import type { Scores } from "./importance.ts";

/** STAMP's channel dropout before the first removal, everywhere. */
export const startRate = 0.005;
/** And the rate of the least important layer afterwards. */
const highestRate = 0.1;

/**
 * STAMP's targeted dropout (Dinsdale et al. 2022): the N channels of all units are sorted by importance, the least important
 * gets N - 1, the most important 0. A layer's value is the mean over its channels; its rate is that value over the largest one,
 * times 0.1. One rate per conv unit of the graph, by node name.
 */
export function targetedRates(graph: Graph, scores: Scores): Map<string, number> {
  const units = graph.nodes.filter((node) => node.kind === "conv" && node.tail !== null).map(({ name }) => name);
  const ranked = units
    .flatMap((layer) => Array.from(scores.get(layer) ?? [], (score) => ({ layer, score })))
    .sort((a, b) => b.score - a.score);
  const values = new Map(units.map((layer) => [layer, 0]));
  ranked.forEach(({ layer }, place) => {
    values.set(layer, values.get(layer)! + place / scores.get(layer)!.length);
  });
  const most = Math.max(...values.values());
  return new Map([...values].map(([layer, value]) => [layer, most > 0 ? highestRate * (value / most) : 0]));
}

/** The scores of the channels that stay, under their new numbers. */
export function scoresLeft(scores: Scores, removed: readonly { layer: string; channel: number }[]): Scores {
  const gone = new Set(removed.map(({ layer, channel }) => `${layer} ${channel}`));
  return new Map(
    [...scores].map(([layer, values]) => [layer, values.filter((_, channel) => !gone.has(`${layer} ${channel}`))]),
  );
}
