import { describe, expect, it } from "vitest";
import { countParameters } from "../net/count.ts";
import { doubling, flat } from "../net/make.ts";
import { prunableLayers, removeChannels } from "../net/remove.ts";
import { random } from "../util/random.ts";
import type { Scores } from "./importance.ts";
import { asRemovals, lowestChannels, parsePick, randomAtLargest, randomAtLayers } from "./pick.ts";

const scores: Scores = new Map([
  ["a", Float64Array.of(0.1, 0.9, 0.2)],
  ["b", Float64Array.of(0.15, 0.05)],
  ["c", Float64Array.of(0.01)],
]);

describe("the lowest channels", () => {
  it("go over layers in order of their scores", () => {
    expect(lowestChannels(scores, 3)).toEqual([
      { layer: "b", channel: 1 },
      { layer: "a", channel: 0 },
      { layer: "a", channel: 2 },
    ]);
  });

  it("leave every layer its last one, and stop when no other is left", () => {
    const all = lowestChannels(scores, 100);
    expect(all).toHaveLength(3);
    expect(asRemovals(all)).toEqual([
      { layer: "b", channels: [1] },
      { layer: "a", channels: [0, 2] },
    ]);
  });

  it("cannot be told by values that are not numbers", () => {
    expect(() => lowestChannels(new Map([["a", Float64Array.of(1, Number.NaN)]]), 1)).toThrow(
      "importance of channel 1 of layer a became NaN",
    );
  });
});

it("random at the ranked layers: as many of each layer, any of its channels, none twice", () => {
  const seen = new Set<number>();
  for (let i = 0; i < 60; i++) {
    const chosen = randomAtLayers(scores, 3, random(2, i));
    expect(chosen.map(({ layer }) => layer)).toEqual(["b", "a", "a"]);
    expect(chosen[1].channel).not.toBe(chosen[2].channel);
    seen.add(chosen[1].channel);
  }
  expect(seen).toEqual(new Set([0, 1, 2]));
});

const options = { convs: 2, inputChannels: 1, outputChannels: 1 };
const widths = (net: Parameters<typeof prunableLayers>[0]): number[] => prunableLayers(net).map(({ width }) => width);

describe("random at the largest layer", () => {
  it("takes the widest; of equal ones the one at the lowest resolution, then the last", () => {
    const net = doubling(2, { ...options, levels: 3 });
    const chosen = randomAtLargest(net, 12, "width", random(3));
    expect(chosen.map(({ layer }) => layer)).toEqual([
      ...["bottleneck.1", "bottleneck.0", "bottleneck.1", "bottleneck.0", "bottleneck.1", "bottleneck.0"],
      ...["bottleneck.1", "bottleneck.0", "bottleneck.1", "bottleneck.0", "decoder.1.1", "decoder.1.0"],
    ]);
    expect(new Set(chosen.map(({ layer, channel }) => `${layer} ${channel}`)).size).toBe(12);
  });

  it("by parameters: the largest weights first", () => {
    const net = doubling(2, { ...options, levels: 3 });
    const [{ layer }] = randomAtLargest(net, 1, "parameters", random(3));
    // 8 x 8 x 27 of bottleneck.1 against 4 x 8 x 27 of decoder.1.0
    expect(layer).toBe("bottleneck.1");
  });

  it("makes a doubling net flat: f = 4 with 4 pools comes to 4 channels everywhere, one step or many", () => {
    const start = doubling(4, { ...options, levels: 5 });
    const channels = (of: typeof start): number => widths(of).reduce((sum, w) => sum + w, 0);
    const target = flat(4, { ...options, levels: 5 });
    let net = start;
    let step = 0;
    while (channels(net) > channels(target)) {
      const count = Math.min(7, channels(net) - channels(target));
      net = removeChannels(net, asRemovals(randomAtLargest(net, count, "width", random(4, step++)))).net;
    }
    expect(net).toEqual(target);
    expect(countParameters(net).parameters).toBe(9929);
    const ones = removeChannels(net, asRemovals(randomAtLargest(net, 1000, "width", random(5)))).net;
    expect(ones).toEqual(flat(1, { ...options, levels: 5 }));
    expect(randomAtLargest(ones, 1, "width", random(6))).toEqual([]);
  });
});

it("names the rule that was meant", () => {
  expect(parsePick("random-at-largest")).toBe("random-at-largest");
  expect(() => parsePick("random-largest")).toThrow("did you mean random-at-largest?");
});
