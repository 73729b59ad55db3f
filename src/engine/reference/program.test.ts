import { describe, expect, test } from "vitest";
import { random } from "../../util/random.ts";
import {
  conformanceCases,
  conformanceLosses,
  randomBatch,
  randomParams,
  randomSoft,
  smallGraph,
} from "../conformance-cases.ts";
import type { Graph } from "../graph.ts";
import { gradientError, normals } from "./finite-differences.ts";
import { forward, lossAndGradients, lossOfLogits, lossOfPass, type Values } from "./program.ts";

describe("losses", () => {
  const kinds: Graph["outputKind"][] = ["softmax", "sigmoid"];
  for (const kind of kinds) {
    test.each(conformanceLosses)(`${kind}: gradient of %j`, (spec) => {
      const generator = random(5);
      const classes = 3;
      const logits = normals(2 * classes * 5, generator).map((z) => 2 * z);
      const target = Uint8Array.from({ length: 10 }, () => generator.int(kind === "softmax" ? 3 : 8));
      const soft = randomSoft(kind, { batch: 2, classes, voxels: 5 }, generator);
      const value = () => lossOfLogits(kind, logits, classes, { target, soft }, spec, 2);
      expect(gradientError(() => value().loss, logits, value().gradient)).toBeLessThan(1e-8);
    });
  }
});

describe("whole nets in float64 against finite differences", () => {
  // Every case with a small enough net, but for the planes: they are there for the fast kernels' tiles. Float64 parameters, the case's
  // own loss and dropout.
  const cases = conformanceCases().filter(
    ({ name }) => !/^(width (8|13|16|24|64)|flat 8|batch 3|doubling|random (7|8|12)$)|plane|heads.*flat/.test(name),
  );
  test.each(cases)("$name", ({ graph, params, batches, spec, dropout }) => {
    const wide: Values = new Map([...params].map(([name, data]) => [name, Float64Array.from(data)]));
    const factors = dropout?.[0];
    const [batch] = batches;
    const { gradients } = lossAndGradients(graph, wide, batch, spec.loss, factors);
    const loss = (): number => {
      const pass = forward(graph, wide, batch.input, { training: true, dropout: factors });
      return lossOfPass(graph, pass, batch, spec.loss).loss;
    };
    const trained = graph.params.filter((p) => p.trained);
    expect([...gradients.keys()].sort()).toEqual(trained.map((p) => p.name).sort());
    const largest = Math.max(...[...gradients.values()].map((g) => Math.max(...g.map(Math.abs))));
    for (const { name } of trained) {
      // Small steps keep clear of the kinks of ReLU and max pool; a bias before a norm has gradient 0, hence the scale.
      const options = { step: 1e-6, entries: 3, scale: largest * 1e-2 };
      const error = gradientError(loss, wide.get(name)!, gradients.get(name)!, options);
      expect(error, name).toBeLessThan(1e-5);
    }
  });
});

describe("forward", () => {
  const net = {
    batch: 1,
    shape: [1, 1, 2] as [number, number, number],
    inputChannels: 1,
    widths: [[1]],
    decoder: [],
    kernels: [[1, 1, 1] as [number, number, number]],
    pools: [],
    skips: [],
    outputChannels: 2,
    output: "softmax" as const,
  };
  const values: Values = new Map(
    Object.entries({
      "bottleneck.0.weight": [2],
      "bottleneck.0.bias": [-1],
      "bottleneck.0.norm.weight": [3],
      "bottleneck.0.norm.bias": [0.5],
      "bottleneck.0.norm.running_mean": [1],
      "bottleneck.0.norm.running_var": [4],
      "head.weight": [1, -1],
      "head.bias": [0, 10],
    }).map(([name, list]) => [name, Float64Array.from(list)]),
  );
  const tail = { norm: "batch" as const, slope: 0, eps: 0, momentum: 0.1 };
  // Convolution 2x - 1 of (0, 3): (-1, 5).
  const logits = (order: "conv-act-norm" | "conv-norm-act", training: boolean): number[] => [
    ...forward(smallGraph({ ...net, tail: { ...tail, order } }), values, [0, 3], {
      training,
      dropout: new Map([["bottleneck.0", [2]]]),
    }).logits,
  ];
  test("inference by hand, both orders; dropout stays out", () => {
    // ReLU (0, 5), then 3 (y - 1) / 2 + 0.5 = (-1, 6.5).
    expect(logits("conv-act-norm", false)).toEqual([-1, 6.5, 11, 3.5]);
    // Norm (-2.5, 6.5), then ReLU (0, 6.5).
    expect(logits("conv-norm-act", false)).toEqual([0, 6.5, 10, 3.5]);
  });
  test("training by hand: batch statistics, dropout last", () => {
    // Two values normalise to (-1, 1): 3 n + 0.5 = (-2.5, 3.5), times 2.
    expect(logits("conv-act-norm", true)).toEqual([-5, 7, 15, 3]);
    expect(logits("conv-norm-act", true)).toEqual([0, 7, 10, 3]);
  });
  test("a skip's encoder output gets the gradients of both its readers", () => {
    const graph = smallGraph({
      ...net,
      shape: [1, 2, 2],
      widths: [[2], [2]],
      decoder: [{ up: 2, convs: [2] }],
      kernels: [
        [1, 1, 1],
        [1, 1, 1],
      ],
      pools: [[1, 2, 2]],
      skips: [true],
      tail: { ...tail, norm: "none", order: "conv-act-norm", slope: 0.01 },
    });
    const params = randomParams(graph, random(6));
    const wide: Values = new Map([...params].map(([name, data]) => [name, Float64Array.from(data)]));
    const batch = randomBatch(graph, random(7));
    const value = () => lossAndGradients(graph, wide, batch, conformanceLosses[0]);
    const weight = wide.get("encoder.0.0.weight")!;
    expect(gradientError(() => value().loss, weight, value().gradients.get("encoder.0.0.weight")!)).toBeLessThan(1e-7);
  });
  test("wrong sizes are named", () => {
    const graph = smallGraph({ ...net, tail: { ...tail, order: "conv-act-norm" } });
    expect(() => forward(graph, values, [1], { training: false })).toThrow("Expected an input of 2 values");
    const batch = { input: Float32Array.of(1, 2), target: Uint8Array.of(0) };
    expect(() => lossAndGradients(graph, values, batch, conformanceLosses[0])).toThrow("Expected a target of 2 voxels");
    const classes = { input: Float32Array.of(1, 2), target: Uint8Array.of(0, 2) };
    expect(() => lossAndGradients(graph, values, classes, conformanceLosses[0])).toThrow("a voxel has class 2");
  });
});
