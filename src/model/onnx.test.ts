import onnxProto from "onnx-proto";
import { describe, expect, test } from "vitest";
import { createReferenceBackend } from "../engine/reference/backend.ts";
import { buildGraph } from "../net/build.ts";
import { doubling, flat, type MakeOptions } from "../net/make.ts";
import { removeChannels } from "../net/remove.ts";
import type { NetSpec } from "../net/spec.ts";
import { random } from "../util/random.ts";
import { type Vec3, voxelCount } from "../volume/volume.ts";
import { normsOf, type OnnxOptions, toOnnx } from "./onnx.ts";
import { roundWeights, type WeightType } from "./onnx-weights.ts";
import { sampleModel } from "./sample.ts";

const base: MakeOptions = { levels: 3, convs: 2, inputChannels: 2, outputChannels: 3 };

describe("the file, read by onnx-proto", () => {
  const decode = (net: NetSpec, options?: OnnxOptions) =>
    onnxProto.onnx.ModelProto.toObject(onnxProto.onnx.ModelProto.decode(toOnnx(sampleModel(net), options)), {
      longs: Number,
      defaults: false,
    });

  test("header, interface and metadata", () => {
    const model = decode(flat(2, base), { metadata: { lunet: "ü" } });
    expect([model.irVersion, model.producerName, model.opsetImport]).toEqual([
      8,
      "lunet",
      [{ domain: "", version: 17 }],
    ]);
    expect(model.metadataProps).toEqual([{ key: "lunet", value: "ü" }]);
    const dims = (value: { type: { tensorType: { shape: { dim: object[] } } } }) => value.type.tensorType.shape.dim;
    const open = [{ dimParam: "D" }, { dimParam: "H" }, { dimParam: "W" }];
    expect(dims(model.graph.input[0])).toEqual([{ dimParam: "N" }, { dimValue: 2 }, ...open]);
    expect(dims(model.graph.output[0])).toEqual([{ dimParam: "N" }, { dimValue: 3 }, ...open]);
    const fixed = decode(flat(2, base), { shape: [4, 8, 12], batch: 5, probabilities: true });
    expect(dims(fixed.graph.input[0]).map((d) => Object.values(d)[0])).toEqual([5, 2, 4, 8, 12]);
    expect(fixed.graph.output[0].name).toBe("probabilities");
  });

  test("operators of a unit by order and norm; batch norm before the activation is folded", () => {
    const ops = (unit: MakeOptions["unit"]) =>
      decode(flat(2, { ...base, unit }))
        .graph.node.slice(0, 3)
        .map((n: { opType: string }) => n.opType);
    expect(ops({})).toEqual(["Conv", "Relu", "BatchNormalization"]);
    expect(ops({ order: "conv-norm-act", slope: 0.01 })).toEqual(["Conv", "LeakyRelu", "Conv"]);
    expect(ops({ order: "conv-norm-act", norm: "instance" })).toEqual(["Conv", "InstanceNormalization", "Relu"]);
    expect(ops({ norm: "none" })).toEqual(["Conv", "Relu", "Conv"]);
  });

  test("norm goes ahead into what has no padding: the head, and transposed convolutions that are pointwise", () => {
    const net = flat(2, base);
    const placed = (options: OnnxOptions) =>
      [...normsOf(net, options)].flatMap(([name, place]) => (place === "next" ? [name] : []));
    expect(placed({})).toEqual(["decoder.0.1"]);
    expect(placed({ upconv: "pointwise" })).toEqual(["bottleneck.1", "decoder.1.1", "decoder.0.1"]);
    expect(placed({ upconv: "pointwise", weights: "int8" })).toEqual([]);
    const before = flat(2, { ...base, unit: { order: "conv-norm-act" } });
    expect([...new Set(normsOf(before).values())]).toEqual(["own"]);
    const norms = (options: OnnxOptions) =>
      decode(net, options).graph.node.filter((n: { opType: string }) => n.opType === "BatchNormalization").length;
    expect([norms({}), norms({ upconv: "pointwise" }), norms({ weights: "float16" })]).toEqual([9, 7, 10]);
  });

  test("pointwise transposed convolutions, and weights of two bytes and one", () => {
    const { graph } = decode(flat(2, { ...base, levels: 2 }), { upconv: "pointwise", weights: "int8" });
    const ops = graph.node.map((n: { opType: string }) => n.opType);
    expect(ops).not.toContain("ConvTranspose");
    expect(ops.filter((op: string) => op === "Reshape").length).toBe(3); // one for each axis
    const find = (name: string) => graph.initializer.find((t: { name: string }) => t.name === name);
    expect(find("decoder.0.up.weight.int8")).toMatchObject({ dims: [16, 2, 1, 1, 1], dataType: 3 });
    expect(find("decoder.0.up.weight.scale").dims).toEqual([16]);
    const half = decode(flat(2, base), { weights: "float16" }).graph;
    expect(half.initializer[0]).toMatchObject({
      name: "encoder.0.0.weight.float16",
      dims: [2, 2, 3, 3, 3],
      dataType: 10,
    });
    expect(half.initializer[0].rawData.length).toBe(2 * 108);
    expect(half.node[0]).toMatchObject({ opType: "Cast", output: ["encoder.0.0.weight"] });
  });

  test("a 2D net has 2D operators", () => {
    const { graph } = decode(flat(2, { ...base, dimensions: 2 }));
    expect(graph.input[0].type.tensorType.shape.dim.length).toBe(4);
    const pool = graph.node.find((n: { opType: string }) => n.opType === "MaxPool");
    expect(pool.attribute[0]).toMatchObject({ name: "kernel_shape", ints: [2, 2] });
    expect(graph.initializer[0].dims).toEqual([2, 2, 3, 3]);
  });
});

/** onnxruntime-node has a native part that is not there on every machine. */
const runtime = await import("onnxruntime-node").catch((error: Error) => error);
const missing = runtime instanceof Error ? runtime.message : undefined;
if (missing) console.warn(`onnxruntime-node does not load, so exported nets are not run: ${missing}`);

const largestDifference = (a: Float32Array, b: Float32Array): number =>
  a.reduce((most, value, i) => Math.max(most, Math.abs(value - b[i])), 0);

const free: NetSpec = {
  ...doubling(1, base),
  encoder: [
    [1, 3],
    [5, 2],
  ],
  bottleneck: [13, 1],
  decoder: [
    { up: 3, convs: [1, 4] },
    { up: 2, convs: [5, 3] },
  ],
  skips: [true, false],
};

const pruned = removeChannels(
  doubling(2, { ...base, levels: 2 }),
  ["encoder.0.0", "bottleneck.1", "decoder.0.up", "decoder.0.0"].map((layer) => ({ layer, channels: [0] })),
).net;

describe.skipIf(missing !== undefined)("onnxruntime gives what the reference backend gives", () => {
  test.each<[string, NetSpec, Vec3, number]>([
    ["batch norm after ReLU", flat(3, base), [4, 8, 8], 2],
    [
      "batch norm before leaky ReLU, folded",
      flat(3, { ...base, unit: { order: "conv-norm-act", slope: 0.01 } }),
      [8, 4, 8],
      1,
    ],
    [
      "instance norm before",
      doubling(2, { ...base, unit: { order: "conv-norm-act", norm: "instance" } }),
      [8, 8, 8],
      1,
    ],
    ["instance norm after", doubling(2, { ...base, unit: { norm: "instance", slope: 0.2 } }), [8, 8, 8], 2],
    ["no norm, 3 convolutions", flat(2, { ...base, convs: 3, unit: { norm: "none" } }), [4, 4, 12], 1],
    ["free widths, one skip off", free, [4, 4, 8], 2],
    ["pruned", pruned, [4, 8, 4], 1],
    ["2D", doubling(3, { ...base, dimensions: 2 }), [1, 12, 8], 2],
    [
      "anisotropic, sigmoid",
      flat(2, {
        ...base,
        output: "sigmoid",
        pools: [
          [1, 2, 2],
          [2, 2, 2],
        ],
        kernels: [
          [1, 3, 3],
          [3, 3, 3],
          [3, 3, 3],
        ],
      }),
      [2, 8, 4],
      1,
    ],
  ])("%s", async (_, net, shape, batch) => {
    if (runtime instanceof Error) throw runtime;
    const temperature = 1.5;
    const record = { eceBefore: 0, eceAfter: 0, nllBefore: 0, nllAfter: 0, cases: 1, voxels: 1 };
    const model = { ...sampleModel(net), calibration: { temperature, ...record } };
    const generator = random(5);
    const input = Float32Array.from({ length: batch * net.inputChannels * voxelCount(shape) }, () =>
      generator.normal(),
    );
    const graph = buildGraph(net, { batch, shape });
    const program = await createReferenceBackend().inference(graph);
    const reference = (weights: WeightType): Float32Array => {
      program.setParameters(roundWeights(graph, model.tensors, weights));
      return program.logits(input);
    };
    const expected = reference("float32");
    const size = net.kernels.every((k) => k[0] === 1) ? shape.slice(1) : shape;
    const run = async (options: OnnxOptions): Promise<Float32Array> => {
      const session = await runtime.InferenceSession.create(toOnnx(model, options));
      const feed = new runtime.Tensor("float32", input, [batch, net.inputChannels, ...size]);
      const result = (await session.run({ image: feed }))[session.outputNames[0]];
      expect(result.dims).toEqual([batch, net.outputChannels, ...size]);
      return result.data as Float32Array;
    };
    const logits = await run({});
    const fixed = await run({ shape, batch, upconv: "pointwise" });
    for (const weights of ["float16", "int8"] as const) {
      // Rounding as the file does it, not how far it is from the model's own weights.
      const rounded = reference(weights);
      const upconv = weights === "int8" ? "pointwise" : "transposed";
      expect(largestDifference(await run({ weights, upconv }), rounded)).toBeLessThan(1e-4);
      expect(largestDifference(expected, rounded)).toBeGreaterThan(1e-6);
      if (weights === "int8") expect(largestDifference(await run({ weights }), rounded)).toBeLessThan(1e-4);
    }
    expect(largestDifference(await run({ upconv: "pointwise" }), expected)).toBeLessThan(1e-4);
    const probabilities = await run({ probabilities: true });
    let [error, spread, probabilityError] = [0, 0, 0];
    const per = voxelCount(shape);
    const item = net.outputChannels * per;
    for (let i = 0; i < expected.length; i++) {
      error = Math.max(error, Math.abs(logits[i] - expected[i]), Math.abs(fixed[i] - expected[i]));
      spread = Math.max(spread, Math.abs(expected[i]));
      const first = Math.floor(i / item) * item + (i % per);
      // Logits are as the net gives them; probabilities are calibrated.
      const e = (at: number): number => Math.exp(expected[at] / temperature);
      const all = Array.from({ length: net.outputChannels }, (_, k) => e(first + k * per));
      const total = net.output === "softmax" ? all.reduce((a, b) => a + b) : 1 + e(i);
      probabilityError = Math.max(probabilityError, Math.abs(probabilities[i] - e(i) / total));
    }
    expect(spread).toBeGreaterThan(0.1); // the comparison is not of zeros
    expect(error).toBeLessThan(1e-4);
    expect(probabilityError).toBeLessThan(1e-4);
  });
});
