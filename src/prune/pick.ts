import { type PrunableLayer, prunableLayers, type Removal, removeChannels } from "../net/remove.ts";
import type { NetSpec } from "../net/spec.ts";
import { fail } from "../util/errors.ts";
import { nearest } from "../util/nearest.ts";
import type { Random } from "../util/random.ts";
import type { Scores } from "./importance.ts";
import type { ChannelRef, PickRule } from "./types.ts";

/** What each rule does, in the order of `--help`. */
export const pickRules: Record<PickRule, string> = {
  stamp: "the lowest ranked channels",
  "random-at-stamp-layer": "random channels of the layers that hold the lowest ranked ones",
  "random-at-largest": "random channels of the largest layer; nothing is ranked",
};

export function parsePick(text: string): PickRule {
  if (Object.hasOwn(pickRules, text)) return text as PickRule;
  const names = Object.keys(pickRules);
  return fail(`Unknown --pick "${text}": expected ${names.join(", ")}; did you mean ${nearest(text, names)}?`);
}

/** The `count` channels with the lowest scores; every layer keeps one. Fewer where no more can go. */
export function lowestChannels(scores: Scores, count: number): ChannelRef[] {
  const all = [...scores].flatMap(([layer, values]) =>
    Array.from(values, (score, channel) => ({ layer, channel, score })),
  );
  const wrong = all.find(({ score }) => !Number.isFinite(score));
  if (wrong) {
    fail(
      `The importance of channel ${wrong.channel} of layer ${wrong.layer} became ${wrong.score}; prune again with a ` +
        `smaller --lr, and check the images for values that are not numbers.`,
    );
  }
  const left = new Map([...scores].map(([layer, values]) => [layer, values.length]));
  const chosen: ChannelRef[] = [];
  for (const { layer, channel } of all.sort((a, b) => a.score - b.score)) {
    if (chosen.length === count) break;
    const width = left.get(layer)!;
    if (width === 1) continue;
    left.set(layer, width - 1);
    chosen.push({ layer, channel });
  }
  return chosen;
}

/** As many channels of each layer as {@link lowestChannels} takes there, drawn by chance. */
export function randomAtLayers(scores: Scores, count: number, draw: Random): ChannelRef[] {
  const ranked = lowestChannels(scores, count);
  const bags = new Map<string, number[]>();
  for (const { layer } of ranked) {
    if (!bags.has(layer)) bags.set(layer, draw.shuffle(Array.from(scores.get(layer)!, (_, channel) => channel)));
  }
  return ranked.map(({ layer }) => ({ layer, channel: bags.get(layer)!.pop()! }));
}

/**
 * One channel after another from the layer that is the largest then, drawn by chance; of equal layers from the one at the
 * lowest resolution, and there from the last in the forward pass. Fewer than `count` where no more can go.
 */
export function randomAtLargest(net: NetSpec, count: number, by: "width" | "parameters", draw: Random): ChannelRef[] {
  const alive = new Map(
    prunableLayers(net).map(({ name, width }) => [name, Array.from({ length: width }, (_, c) => c)]),
  );
  const chosen: ChannelRef[] = [];
  let left = net;
  while (chosen.length < count) {
    const layer = largestLayer(prunableLayers(left), by);
    if (!layer) break;
    const at = draw.int(layer.width);
    const [channel] = alive.get(layer.name)!.splice(at, 1);
    chosen.push({ layer: layer.name, channel });
    left = removeChannels(left, [{ layer: layer.name, channels: [at] }]).net;
  }
  return chosen;
}

function largestLayer(layers: readonly PrunableLayer[], by: "width" | "parameters"): PrunableLayer | undefined {
  return layers
    .filter(({ width }) => width > 1)
    .reduce<PrunableLayer | undefined>((best, layer) => {
      if (!best || layer[by] > best[by]) return layer;
      return layer[by] === best[by] && layer.level >= best.level ? layer : best;
    }, undefined);
}

/** Channels gathered by layer. */
export function asRemovals(chosen: readonly ChannelRef[]): Removal[] {
  const byLayer = Map.groupBy(chosen, ({ layer }) => layer);
  return [...byLayer].map(([layer, refs]) => ({ layer, channels: refs.map(({ channel }) => channel) }));
}
