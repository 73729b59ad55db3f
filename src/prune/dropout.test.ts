import { expect, it } from "vitest";
import { buildGraph } from "../net/build.ts";
import { flat } from "../net/make.ts";
import { scoresLeft, targetedRates } from "./dropout.ts";
import type { Scores } from "./importance.ts";

const net = flat(2, { levels: 2, convs: 1, inputChannels: 1, outputChannels: 2 });
const graph = buildGraph(net, { batch: 1, shape: [2, 2, 2] });

it("targeted dropout by hand: ranks summed over a layer, over its channels, over the largest, times 0.1", () => {
  const scores: Scores = new Map([
    ["encoder.0.0", Float64Array.of(0.9, 0.8)], // places 0 and 1: 1 / 2
    ["bottleneck.0", Float64Array.of(0.1, 0.2)], // places 5 and 4: 9 / 2
    ["decoder.0.up", Float64Array.of(0.05, 0.06)], // has no dropout and takes no place
    ["decoder.0.0", Float64Array.of(0.5, 0.3)], // places 2 and 3: 5 / 2
  ]);
  const rates = targetedRates(graph, scores);
  expect([...rates.keys()]).toEqual(["encoder.0.0", "bottleneck.0", "decoder.0.0"]);
  expect(rates.get("bottleneck.0")).toBe(0.1);
  expect(rates.get("encoder.0.0")).toBeCloseTo(0.1 / 9, 12);
  expect(rates.get("decoder.0.0")).toBeCloseTo(0.5 / 9, 12);
});

it("removed channels take no place", () => {
  const scores: Scores = new Map([
    ["encoder.0.0", Float64Array.of(0.9, 0.8)],
    ["bottleneck.0", Float64Array.of(0.1, 0.2)],
    ["decoder.0.0", Float64Array.of(0.5, 0.3)],
  ]);
  const left = scoresLeft(scores, [
    { layer: "bottleneck.0", channel: 0 },
    { layer: "encoder.0.0", channel: 0 },
  ]);
  expect([...left.values()].map((values) => [...values])).toEqual([[0.8], [0.2], [0.5, 0.3]]);
  // places: encoder 0, decoder 1 and 2, bottleneck 3
  const rates = targetedRates(graph, left);
  expect([...rates.values()]).toEqual([0, 0.1, 0.05]);
});
