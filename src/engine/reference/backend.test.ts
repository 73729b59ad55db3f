import { expect, test } from "vitest";
import { conformanceCases } from "../conformance-cases.ts";
import type { TensorMap } from "../types.ts";
import { createReferenceBackend } from "./backend.ts";

const backend = createReferenceBackend();
const [example] = conformanceCases();
const { graph, params, batches } = example;
const spec = { ...example.spec, ema: 0.5, clip: 0 };

test("a step moves the average half way and the running mean by its momentum", async () => {
  const trainer = await backend.trainer(graph, spec);
  trainer.setParameters(params);
  trainer.step(batches[0], { learningRate: 0.1 });
  const [now, average] = [trainer.getParameters(), trainer.getAverage()];
  for (const [name, data] of average) {
    for (const [i, value] of data.entries())
      expect(value).toBeCloseTo((params.get(name)![i] + now.get(name)![i]) / 2, 6);
  }
  // Learning rate 0 still takes up statistics, with the same batch and parameters: one more step is 0.9 old + 0.1 fresh.
  const still = await backend.trainer(graph, spec);
  still.setParameters(params);
  const name = "bottleneck.0.norm.running_mean";
  const values = [params.get(name)![0]];
  for (let i = 0; i < 2; i++) {
    still.step(batches[0], { learningRate: 0 });
    values.push(still.getParameters().get(name)![0]);
  }
  expect(values[2] - values[1]).toBeCloseTo(0.9 * (values[1] - values[0]), 6);
});

test("training lowers the loss of one batch", async () => {
  const trainer = await backend.trainer(graph, spec);
  trainer.setParameters(params);
  const losses = Array.from({ length: 15 }, () => trainer.step(batches[0], { learningRate: 0.05 }).loss);
  expect(losses.at(-1)).toBeLessThan(0.95 * losses[0]);
});

test("the state names moments, average and step", async () => {
  const trainer = await backend.trainer(graph, spec);
  trainer.setParameters(params);
  trainer.step(batches[0], { learningRate: 0.1 });
  const trained = graph.params.filter((p) => p.trained).map((p) => p.name);
  const expected = [
    "step",
    ...trained.map((name) => `m.${name}`),
    ...trained.map((name) => `v.${name}`),
    ...graph.params.map((p) => `ema.${p.name}`),
  ];
  expect([...trainer.getState().keys()].sort()).toEqual(expected.sort());
  expect(trainer.getState().get("step")).toEqual(Float32Array.of(1));
});

test("missing or wrong tensors and shapes are errors in words", async () => {
  const program = await backend.inference(graph);
  const change = (name: string, data: Float32Array | null): TensorMap => {
    const values = new Map(params);
    if (data) values.set(name, data);
    else values.delete(name);
    return values;
  };
  expect(() => program.setParameters(change("head.bias", null))).toThrow('Expected a tensor named "head.bias"');
  expect(() => program.setParameters(change("head.bias", Float32Array.of(1)))).toThrow("Expected 2 values");
  const trainer = await backend.trainer(graph, spec);
  expect(() => trainer.setState(new Map())).toThrow('Expected a tensor named "step"');
  const pooled = {
    ...graph,
    tensors: [...graph.tensors, { name: "pool", channels: 1, shape: [2, 3, 3] as [number, number, number] }],
    nodes: [
      {
        kind: "maxpool" as const,
        name: "pool",
        inputs: [0],
        output: graph.tensors.length,
        factor: [2, 2, 2] as [number, number, number],
      },
    ],
  };
  await expect(backend.inference(pooled)).rejects.toThrow(/Node "pool" \(maxpool\).*1 x 5x6x7 -> 1 x 2x3x3/);
});
