import { afterAll, describe, expect, test } from "vitest";
import { createBackend } from "./backend.ts";
import { type ConformanceCase, conformanceCases } from "./conformance-cases.ts";
import type { Graph } from "./graph.ts";

const cases = conformanceCases();
const named = (name: string): ConformanceCase => cases.find((each) => each.name === name)!;
/** 2 classes, 5x6x7 voxels, 1 channel, widths 3. */
const plain = named("width 3");

describe.each(["reference", "wasm"] as const)("%s refuses in words", async (name) => {
  const backend = await createBackend({ name, threads: 1, tiles: "mul-add-128" });
  afterAll(() => backend.close());

  test.each([
    [9, "sigmoid", "Expected at most 8 sigmoid outputs for training"],
    [257, "softmax", "Expected at most 256 softmax outputs for training"],
  ] as const)("%i %s outputs", async (channels, outputKind, sentence) => {
    const tensors = plain.graph.tensors.map((t, id) => (id === plain.graph.output ? { ...t, channels } : t));
    await expect(backend.trainer({ ...plain.graph, tensors, outputKind }, plain.spec)).rejects.toThrow(sentence);
  });

  test("a kernel of 5", async () => {
    const nodes: Graph["nodes"] = plain.graph.nodes.map((node) =>
      node.kind === "conv" && node.name === "bottleneck.0" ? { ...node, kernel: [3, 5, 3] } : node,
    );
    const sentence = 'Node "bottleneck.0" (conv) expected a kernel of 1 or 3';
    await expect(backend.inference({ ...plain.graph, nodes })).rejects.toThrow(sentence);
    await expect(backend.trainer({ ...plain.graph, nodes }, plain.spec)).rejects.toThrow(sentence);
  });

  test("inputs, targets and dropout factors of another size", async () => {
    const { graph, spec, params, batches } = plain;
    const inference = await backend.inference(graph);
    inference.setParameters(params);
    expect(() => inference.logits(new Float32Array(209))).toThrow(
      "Expected an input of 210 values (N C D H W), but got 209.",
    );
    inference.close();
    const trainer = await backend.trainer(graph, spec);
    trainer.setParameters(params);
    const [batch] = batches;
    const step = (change: Partial<typeof batch>, dropout?: Map<string, Float32Array>) => () =>
      trainer.step({ ...batch, ...change }, { learningRate: 1, dropout });
    expect(step({ input: batch.input.subarray(1) })).toThrow("Expected an input of 210 values");
    expect(step({ target: new Uint8Array(211) })).toThrow("Expected a target of 210 voxels (N D H W), but got 211.");
    expect(step({ target: new Uint8Array(210).fill(2) })).toThrow(
      "Expected target values below 2 for 2 softmax outputs",
    );
    const factors = new Map([["bottleneck.0", new Float32Array(2)]]);
    expect(step({}, factors)).toThrow("Expected 3 dropout factors (N C) for bottleneck.0, but got 2.");
    expect(() => trainer.gradients({ ...batch, target: new Uint8Array(1) })).toThrow("Expected a target of 210 voxels");
    expect(trainer.getParameters()).toEqual(params);
    trainer.close();
  });

  test("parameters of another net", async () => {
    const inference = await backend.inference(plain.graph);
    expect(() => inference.setParameters(named("width 4").params)).toThrow("tensor");
    inference.close();
  });
});
