import { buildGraph, initialise, strideOf } from "../net/build.ts";
import type { NetSpec } from "../net/spec.ts";
import { random } from "../util/random.ts";
import type { Model } from "./types.ts";

/** A model of random numbers for tests: also biases, norm scales, shifts and statistics differ from their start values. */
export function sampleModel(net: NetSpec, seed = 1): Model {
  const graph = buildGraph(net, { batch: 1, shape: strideOf(net) });
  const tensors = initialise(graph, seed);
  const generator = random(seed, 99);
  for (const { name, role } of graph.params) {
    if (role === "weight") continue;
    const data = tensors.get(name)!;
    const around = role === "scale" || role === "variance" ? 1 : 0;
    for (let i = 0; i < data.length; i++) data[i] = around + generator.uniform(-0.5, 0.5);
  }
  const names = Array.from({ length: net.outputChannels }, (_, value) => ({ value, name: `class ${value}` }));
  return {
    net,
    tensors,
    plan: {
      version: 1,
      dataset: "sample",
      dimensions: net.kernels[0][0] === 1 ? 2 : 3,
      channels: Array.from({ length: net.inputChannels }, (_, i) => ({
        name: `channel ${i}`,
        normalisation: { kind: "zscore", percentiles: [0.5, 99.5] },
      })),
      labels: names,
      spacing: [1, 1, 1],
      patch: strideOf(net),
      batch: 2,
      pools: net.pools,
      kernels: net.kernels,
      mirrorAxes: [],
      reasons: ["A sample."],
    },
    provenance: {
      lunet: "0.1.0",
      created: "2026-01-01T00:00:00.000Z",
      seed,
      preset: "strong",
      fold: null,
      steps: 10,
      trainingCases: ["a", "b"],
      validationCases: [],
      validationDice: null,
    },
  };
}
