import { describe, expect, it } from "vitest";
import { buildGraph } from "../net/build.ts";
import { parseNet } from "../net/make.ts";
import { dropoutFactors } from "./dropout.ts";

const net = parseNet("lean:50", { levels: 2, convs: 2, inputChannels: 1, outputChannels: 2 });
const graph = buildGraph(net, { batch: 4, shape: [2, 2, 2] });

describe("channel dropout", () => {
  it("draws 0 or 1 / (1 - p) for every unit but the head, from (seed, step) alone", () => {
    const factors = dropoutFactors(graph, 0.2, { seed: 1, step: 7 })!;
    expect([...factors.keys()]).toEqual([
      "encoder.0.0",
      "encoder.0.1",
      "bottleneck.0",
      "bottleneck.1",
      "decoder.0.0",
      "decoder.0.1",
    ]);
    const values = [...factors.values()].flatMap((unit) => [...unit]);
    expect(values).toHaveLength(6 * 4 * 50);
    expect(new Set(values)).toEqual(new Set([0, 1.25]));
    // 1,200 draws: 0.2 within 4 standard deviations of 0.0115
    expect(values.filter((v) => v === 0).length / 1200).toBeCloseTo(0.2, 1);
    expect(dropoutFactors(graph, 0.2, { seed: 1, step: 7 })).toEqual(factors);
    expect(dropoutFactors(graph, 0.2, { seed: 1, step: 8 })).not.toEqual(factors);
    expect(factors.get("encoder.0.0")).not.toEqual(factors.get("encoder.0.1"));
  });

  it("takes a rate per unit, and gives nothing where all are 0", () => {
    const rates = new Map([
      ["bottleneck.1", 0.5],
      ["encoder.0.0", 0],
    ]);
    expect([...dropoutFactors(graph, rates, { seed: 1, step: 0 })!.keys()]).toEqual(["bottleneck.1"]);
    expect(dropoutFactors(graph, 0, { seed: 1, step: 0 })).toBeUndefined();
  });
});
