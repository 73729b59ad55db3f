import { expect, test } from "vitest";
import { doubling, flat } from "../net/make.ts";
import { formatVersion, modelToBytes, readModel } from "./file.ts";
import { readSafetensors, type TensorFile, writeSafetensors } from "./safetensors.ts";
import { sampleModel } from "./sample.ts";

const net = doubling(2, { levels: 3, convs: 2, inputChannels: 1, outputChannels: 3 });
const model = sampleModel(net);
const bytes = modelToBytes(model);

test("a model survives, and a lean one is small", () => {
  expect(readModel(bytes, "m")).toEqual(model);
  const lean = sampleModel(flat(8, { levels: 5, convs: 2, inputChannels: 1, outputChannels: 2 }));
  // 39,034 trained and 18 x 16 running numbers of 4 bytes, and a header of some kB.
  const values = 4 * (39_034 + 288);
  expect(modelToBytes(lean).length - values).toBeLessThan(16_000);
});

test("a class without a validation score survives", () => {
  const provenance = { ...model.provenance, validationDice: [Number.NaN, 0.5] };
  expect(readModel(modelToBytes({ ...model, provenance }), "m").provenance).toEqual(provenance);
});

test("regions survive, and their number is that of the sigmoid outputs", () => {
  const two = sampleModel(flat(2, { levels: 2, convs: 1, inputChannels: 1, outputChannels: 2, output: "sigmoid" }));
  const regions = [
    { name: "whole", values: [1, 2], paint: 1 },
    { name: "core", values: [2], paint: 2 },
  ];
  const plan = { ...two.plan, regions };
  expect(readModel(modelToBytes({ ...two, plan }), "m").plan).toEqual(plan);
  const one = { ...two, plan: { ...plan, regions: regions.slice(1) } };
  expect(() => readModel(modelToBytes(one), "m")).toThrow(
    "a sigmoid output for each of the 1 regions in the plan of m, but it has 2 sigmoid outputs",
  );
  expect(() => readModel(modelToBytes({ ...model, plan: { ...model.plan, regions } }), "m")).toThrow(
    "3 softmax outputs",
  );
  const none = { ...two, plan: { ...plan, regions: [{ name: "whole", values: [], paint: 1 }] } };
  expect(() => readModel(modelToBytes(none), "m")).toThrow("a list of 1 to 8 regions");
});

test("post-processing and averaging survive; a file without them has none", () => {
  const evidence = { cases: 3, before: 0.8, after: 0.81, classes: [{ name: "class 1", before: 0.8, after: 0.81 }] };
  const choices = {
    postprocessing: { keepLargest: [[1, 2], [2]], connectivity: 26 as const, evidence },
    testTime: { mirror: true, shifts: 3 },
  };
  expect(readModel(modelToBytes({ ...model, ...choices }), "m")).toEqual({ ...model, ...choices });
  expect(Object.keys(readModel(bytes, "m")).sort()).toEqual(["net", "plan", "provenance", "tensors"]);
  const wrong = { ...choices.postprocessing, connectivity: 18 as never };
  expect(() => readModel(modelToBytes({ ...model, postprocessing: wrong }), "m")).toThrow(
    'm: Expected key "connectivity" of the post-processing to be 6 or 26',
  );
});

test("a calibration survives; a file without one has none", () => {
  const calibration = {
    temperature: 1.4,
    eceBefore: 0.05,
    eceAfter: 0.01,
    nllBefore: 0.3,
    nllAfter: 0.25,
    cases: 40,
    voxels: 1000,
  };
  expect(readModel(modelToBytes({ ...model, calibration }), "m").calibration).toEqual(calibration);
  expect(readModel(bytes, "m")).not.toHaveProperty("calibration");
});

test("the header is JSON in the metadata of an ordinary safetensors file", () => {
  const file = readSafetensors(bytes, "m");
  const header = JSON.parse(file.metadata.lunet);
  expect(header).toEqual({ version: formatVersion, net, plan: model.plan, provenance: model.provenance });
  expect(file.tensors.get("decoder.1.0.weight")!.shape).toEqual([4, 8, 3, 3, 3]);
  expect(file.tensors.get("bottleneck.1.norm.running_var")!.shape).toEqual([8]);
});

/** The sample file after a change of its parts. */
function changed(change: (file: TensorFile, header: Record<string, unknown>) => void): Uint8Array {
  const file = readSafetensors(bytes, "m");
  const header = JSON.parse(file.metadata.lunet);
  change(file, header);
  if (file.metadata.lunet) file.metadata.lunet = JSON.stringify(header);
  return writeSafetensors(file);
}

test.each<[string, Parameters<typeof changed>[0], string]>([
  ["newer format", (_, h) => (h.version = 2), "m has model format 2, but this lunet reads up to 1: update lunet."],
  ["no format", (_, h) => delete h.version, "Expected model format 1 in m, but got undefined"],
  ["another program", (f) => delete f.metadata.lunet, 'm has no key "lunet" in its metadata'],
  ["tensor missing", (f) => f.tensors.delete("head.bias"), "Expected tensor head.bias in m because its net has it"],
  ["tensor too many", (f) => f.tensors.set("x", { shape: [0], data: new Float32Array() }), "but it also has x."],
  [
    "tensor of another shape",
    (f) => f.tensors.set("head.bias", { shape: [2], data: new Float32Array(2) }),
    "Expected tensor head.bias of m to have shape [3] for its net, but it has [2].",
  ],
  ["wrong net", (_, h) => (h.net = { ...net, bottleneck: [0] }), 'm: Expected key "bottleneck.0" of the net'],
  ["wrong plan", (_, h) => (h.plan = { ...model.plan, batch: 0 }), 'm: Expected key "batch" of the plan to be'],
  ["no plan", (_, h) => delete h.plan, "m: Expected "],
  ["wrong provenance", (_, h) => (h.provenance = {}), 'm: Expected key "lunet" in the provenance, but it is missing'],
  [
    "wrong calibration",
    (_, h) => (h.calibration = { temperature: 0 }),
    'm: Expected key "temperature" of the calibration',
  ],
  [
    "labels of another net",
    (_, h) => (h.plan = { ...model.plan, labels: model.plan.labels.slice(1) }),
    "Expected as many labels in the plan of m as its net has outputs, 3, but the plan names 2.",
  ],
  [
    "channels of another net",
    (_, h) => (h.plan = { ...model.plan, channels: [...model.plan.channels, ...model.plan.channels] }),
    "Expected as many channels in the plan of m as its net reads, 1, but the plan names 2.",
  ],
])("a file that is no whole model is refused: %s", (_, change, message) => {
  expect(() => readModel(changed(change), "m")).toThrow(message);
});

test("a model that is cut short is refused", () => {
  expect(() => readModel(bytes.subarray(0, bytes.length - 1), "m")).toThrow("m is cut short");
});

test("tensors that do not fit the net are not written", () => {
  const tensors = new Map(model.tensors).set("head.bias", new Float32Array(4));
  expect(() => modelToBytes({ ...model, tensors })).toThrow("Expected 3 values in tensor head.bias of the model");
  tensors.delete("head.bias");
  expect(() => modelToBytes({ ...model, tensors })).toThrow("Expected tensor head.bias in the model");
});
