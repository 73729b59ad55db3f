import { expect, test } from "vitest";
import { buildGraph, initialise, strideOf, supervisedLevels, withoutHeads } from "./build.ts";
import { doubling, flat } from "./make.ts";

const options = { levels: 3, convs: 2, inputChannels: 1, outputChannels: 3 };

test("nodes, wiring and sizes of a small net", () => {
  const graph = buildGraph(doubling(4, options), { batch: 2, shape: [8, 12, 16] });
  expect(graph.nodes.map((n) => n.name)).toEqual([
    ...["encoder.0.0", "encoder.0.1", "encoder.0.pool", "encoder.1.0", "encoder.1.1", "encoder.1.pool"],
    ...["bottleneck.0", "bottleneck.1", "decoder.1.up", "decoder.1.0", "decoder.1.1"],
    ...["decoder.0.up", "decoder.0.0", "decoder.0.1", "head"],
  ]);
  const names = (node: string) => graph.nodes.find((n) => n.name === node)!.inputs.map((id) => graph.tensors[id].name);
  expect(names("decoder.1.0")).toEqual(["decoder.1.up", "encoder.1.1"]);
  expect(names("encoder.0.pool")).toEqual(["encoder.0.1"]);
  expect(graph.tensors.find((t) => t.name === "bottleneck.1")).toEqual({
    name: "bottleneck.1",
    channels: 16,
    shape: [2, 3, 4],
  });
  expect(graph.tensors[graph.output]).toEqual({ name: "head", channels: 3, shape: [8, 12, 16] });
  const shape = (name: string) => graph.params.find((p) => p.name === name)?.shape;
  expect(shape("decoder.1.0.weight")).toEqual([8, 16, 3, 3, 3]);
  expect(shape("decoder.1.up.weight")).toEqual([16, 8, 2, 2, 2]);
  expect(shape("head.norm.weight")).toBeUndefined();
});

test("deep supervision adds heads to the levels between the finest and the coarsest, and changes nothing else", () => {
  const levels = (pools: number) => supervisedLevels(flat(4, { ...options, levels: pools + 1 }));
  expect([2, 3, 4, 5].map(levels)).toEqual([[1], [1], [1, 2], [1, 2, 3]]);
  expect(() => levels(1)).toThrow("Expected a net of 3 levels or more for deep supervision, but it has 2.");
  const net = doubling(4, { ...options, levels: 5 });
  const size = { batch: 1, shape: [16, 16, 32] as [number, number, number] };
  const plain = buildGraph(net, size);
  const graph = buildGraph(net, { ...size, deepSupervision: true });
  expect(graph.auxiliary?.map((id) => graph.tensors[id])).toEqual([
    { name: "head.1", channels: 3, shape: [8, 8, 16] },
    { name: "head.2", channels: 3, shape: [4, 4, 8] },
  ]);
  expect(plain.auxiliary).toBeUndefined();
  const names = graph.nodes.map(({ name }) => name);
  expect(names.filter((name) => !name.startsWith("head."))).toEqual(plain.nodes.map(({ name }) => name));
  expect(withoutHeads(initialise(graph, 3))).toEqual(initialise(plain, 3));
});

test("a level without its skip reads only the transposed convolution", () => {
  const graph = buildGraph(flat(4, { ...options, skips: [true, false] }), { batch: 1, shape: [4, 4, 4] });
  const inputs = (name: string) => graph.nodes.find((n) => n.name === name)!.inputs.length;
  expect([inputs("decoder.0.0"), inputs("decoder.1.0")]).toEqual([2, 1]);
});

test("a size that the pools do not divide is refused with its axis and the nearest sizes", () => {
  const net = flat(4, { ...options, dimensions: 2 });
  expect(strideOf(net)).toEqual([1, 4, 4]);
  expect(() => buildGraph(net, { batch: 1, shape: [1, 8, 10] })).toThrow(
    "Expected axis W of the input to be a multiple of 4 (the product of the net's pools), but it is 10: use 8 or 12.",
  );
  expect(() => buildGraph(net, { batch: 1, shape: [1, 3, 8] })).toThrow("axis H of the input to be a multiple of 4");
  expect(() => buildGraph(net, { batch: 0, shape: [1, 4, 8] })).toThrow("batch of 1 or more");
});

test("start values: variance by fan-in and slope, the rest fixed, one stream a tensor", () => {
  const graph = buildGraph(flat(24, { ...options, unit: { slope: 0.5 } }), { batch: 1, shape: [4, 4, 4] });
  const values = initialise(graph, 7);
  expect([...values.keys()]).toEqual(graph.params.map((p) => p.name));
  const variance = (name: string) => values.get(name)!.reduce((s, v) => s + v * v, 0) / values.get(name)!.length;
  // 15,552 and 4,608 normal values: 3 standard errors of the variance are 3.4 % and 6.3 %.
  expect(variance("encoder.0.1.weight") * 24 * 27).toBeCloseTo(2 / 1.25, 1);
  expect(Math.abs(variance("decoder.0.up.weight") * 24 - 1)).toBeLessThan(0.065);
  expect(values.get("encoder.0.0.norm.running_var")!.every((v) => v === 1)).toBe(true);
  expect(values.get("encoder.0.0.norm.weight")!.every((v) => v === 1)).toBe(true);
  expect(values.get("encoder.0.0.bias")!.every((v) => v === 0)).toBe(true);
  expect(initialise(graph, 7)).toEqual(values);
  expect(initialise(graph, 8).get("head.weight")).not.toEqual(values.get("head.weight"));
  expect(values.get("encoder.0.1.weight")).not.toEqual(values.get("bottleneck.1.weight"));
});
