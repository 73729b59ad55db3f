import * as fc from "fast-check";
import { expect, test } from "vitest";
import { buildGraph } from "../net/build.ts";
import { flat } from "../net/make.ts";
import { packWeight, roundWeights } from "./onnx-weights.ts";
import { sampleModel } from "./sample.ts";

test("int8 by hand: the largest value of an output channel is 127 steps", () => {
  const data = Float32Array.of(1, -0.25, 254, 2, 0, 0);
  const rows = packWeight({ name: "w", shape: [3, 2], data }, "int8", 0);
  expect(rows).toEqual({
    type: "int8",
    axis: 0,
    scale: Float32Array.of(1 / 127, 2, 1),
    data: Int8Array.of(127, -32, 127, 1, 0, 0),
  });
  const columns = packWeight({ name: "w", shape: [2, 3], data: Float32Array.of(0.5, 0, 4, -2, 0, 1) }, "int8", 1);
  expect(columns).toEqual({
    type: "int8",
    axis: 1,
    scale: Float32Array.of(2 / 127, 1, 4 / 127),
    data: Int8Array.of(32, 0, 127, -127, 0, 32),
  });
});

test("float16 holds values up to 65504", () => {
  const pack = (value: number) => packWeight({ name: "w", shape: [1], data: Float32Array.of(value) }, "float16", 0);
  expect(pack(65504).data).toEqual(Uint16Array.of(0x7bff));
  for (const [value, text] of [
    [65505, "65505"],
    [Number.NaN, "NaN"],
  ] as const) {
    expect(() => pack(value)).toThrow(
      `Expected weights within 65504 for float16, but w has ${text}; export with float32 weights.`,
    );
  }
});

test("rounding is off by half a step at most, and leaves all but weights alone", () => {
  const net = flat(2, { levels: 2, convs: 1, inputChannels: 1, outputChannels: 2 });
  const graph = buildGraph(net, { batch: 1, shape: [2, 2, 2] });
  fc.assert(
    fc.property(fc.integer({ min: 1, max: 99 }), (seed) => {
      const { tensors } = sampleModel(net, seed);
      const [half, byte] = [roundWeights(graph, tensors, "float16"), roundWeights(graph, tensors, "int8")];
      expect([...half.keys()]).toEqual([...tensors.keys()]);
      for (const { name, role } of graph.params) {
        const [own, h, b] = [tensors, half, byte].map((map) => map.get(name)!);
        if (role !== "weight") {
          expect([h, b]).toEqual([own, own]);
          continue;
        }
        const most = own.reduce((m, w) => Math.max(m, Math.abs(w)), 0);
        own.forEach((w, i) => {
          expect(Math.abs(h[i] - w)).toBeLessThanOrEqual(Math.max(Math.abs(w) * 2 ** -11, 2 ** -25));
          expect(Math.abs(b[i] - w)).toBeLessThanOrEqual(most / 253); // half of 1 / 127, and float32 rounding
        });
      }
    }),
    { numRuns: 10 },
  );
});
