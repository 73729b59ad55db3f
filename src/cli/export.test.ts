import { existsSync } from "node:fs";
import { mkdtemp, readFile, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import onnxProto from "onnx-proto";
import { afterAll, afterEach, beforeAll, beforeEach, expect, test, vi } from "vitest";
import { writePhantomDataset } from "../dataset/phantom-dataset.ts";
import { saveModel } from "../model/files.ts";
import { toOnnx } from "../model/onnx.ts";
import { sampleModel } from "../model/sample.ts";
import type { Model } from "../model/types.ts";
import { flat } from "../net/make.ts";
import { exportCommand } from "./export.ts";
import { checkOnnx, findOnnxRuntime, type OnnxRuntime } from "./export-check.ts";

let folder: string;
let path: string;
const model = sampleModel(flat(3, { levels: 2, convs: 1, inputChannels: 1, outputChannels: 2 }));
model.plan.patch = [4, 8, 8];
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), "lunet-export-"));
  path = join(folder, "model.safetensors");
  await saveModel(path, model);
});
afterAll(() => rm(folder, { recursive: true }));

let output: string;
beforeEach(() => {
  output = "";
  vi.spyOn(process.stdout, "write").mockImplementation((text) => {
    output += text;
    return true;
  });
});
afterEach(() => {
  vi.restoreAllMocks();
});
const run = (...args: string[]) => exportCommand.parseAsync(args, { from: "user" });

/** A native part that is not there on every machine; the check is then left out, in words. */
const found = await findOnnxRuntime();
const runtime = typeof found === "string" ? undefined : found;
if (!runtime) console.warn(`No exported file is run: ${found}`);

test("a model file becomes an ONNX file with the plan inside", async () => {
  const out = join(folder, "net.onnx");
  await run(path, "--onnx", out, "--shape", "8x8x16", "--batch", "2", "--probabilities", "--no-check");
  const bytes = await readFile(out);
  expect(output).toBe(
    `Wrote ${out} (opset 17, ${(bytes.length / 1000).toFixed(1)} kB).\nBatch norm: 1 folded into the next layer, 2 kept.\n`,
  );
  const { graph, metadataProps } = onnxProto.onnx.ModelProto.decode(bytes);
  const dims = graph!.output![0].type!.tensorType!.shape!.dim!.map((d) => Number(d.dimValue));
  expect([graph!.output![0].name, dims]).toEqual(["probabilities", [2, 2, 8, 8, 16]]);
  const { net, plan } = JSON.parse(metadataProps![0].value!);
  expect([net, plan]).toEqual([model.net, model.plan]);
});

test.skipIf(!runtime)("the file is run and compared before it is written", async () => {
  const out = join(folder, "checked.onnx");
  await run(path, "--onnx", out, "--weights", "int8", "--upconv", "pointwise", "--probabilities");
  expect(output).toMatch(/ kB with float32 instead of int8 weights\)\.\nBatch norm: 3 kept\.\nChecked in onnxruntime/);
  expect(output).toMatch(
    / on a random input of 4 x 8 x 8 voxels: largest difference from lunet's engine \d\.\de-[678] /,
  );
});

test("without onnxruntime, or with one that does not load, it is said what to do", async () => {
  const failing = (code: string, message: string) =>
    findOnnxRuntime(async () => Promise.reject(Object.assign(new Error(message), { code })));
  expect(await failing("ERR_MODULE_NOT_FOUND", "Cannot find package")).toMatch(
    /^onnxruntime-node is not installed; with it \(npm install onnxruntime-node\) the file is compared .*\.$/,
  );
  expect(await failing("ERR_DLOPEN_FAILED", "libc.so.6: version\nmore")).toBe(
    "onnxruntime-node is installed but does not load on this machine (libc.so.6: version).",
  );
});

/** Stands for an onnxruntime whose outputs are off by `error` in one place. */
const falseRuntime = (outputs: Float32Array, error: number): OnnxRuntime => ({
  InferenceSession: {
    create: async () => ({
      outputNames: ["logits"],
      run: async () => ({ logits: { data: outputs.map((value, i) => (i === 7 ? value + error : value)) } }),
      release: async () => {},
    }),
  },
  Tensor: class {},
});

test("outputs that differ are refused", async () => {
  // A net of zeros gives the head's bias everywhere.
  const zeros: Model = {
    ...model,
    tensors: new Map([...model.tensors].map(([name, data]) => [name, name.endsWith("var") ? data : data.map(() => 0)])),
  };
  zeros.tensors.set("head.bias", Float32Array.of(0.5, 8));
  const right = Float32Array.from({ length: 512 }, (_, i) => (i < 256 ? 0.5 : 8));
  const check = (error: number) => checkOnnx(falseRuntime(right, error), toOnnx(zeros), zeros, {});
  expect(await check(5e-4)).toEqual({ shape: [4, 8, 8], difference: expect.closeTo(5e-4, 6), largest: 8 });
  for (const [error, text] of [
    [1e-3, "1.0e-3"],
    [Number.NaN, "NaN"],
  ] as const) {
    await expect(check(error)).rejects.toThrow(
      `Expected onnxruntime to give what lunet gives within 0.0001, but on a random input of 4 x 8 x 8 voxels outputs differ by ${text} ` +
        "(largest output 8.00); nothing was written. Please report this; --no-check writes the file all the same.",
    );
  }
});

test("what rounding costs is measured on cases that the model has not seen", async () => {
  const data = join(folder, "data");
  await writePhantomDataset(data, { cases: 3, test: 1, shape: [12, 16, 12] });
  const { channels, labels } = {
    channels: model.plan.channels,
    labels: [0, 1, 2].map((v) => ({ value: v, name: `${v}` })),
  };
  const three = sampleModel({ ...model.net, outputChannels: 3 });
  const seen = join(folder, "three.safetensors");
  const write = (trainingCases: string[], validationCases: string[]) =>
    saveModel(seen, {
      ...three,
      plan: { ...three.plan, channels, labels, patch: [4, 8, 8] },
      provenance: { ...three.provenance, trainingCases, validationCases },
    });
  await write(["phantom_001", "phantom_002"], ["phantom_003"]);
  const out = join(folder, "int8.onnx");
  await run(seen, "--onnx", out, "--weights", "int8", "--data", data, "--no-check");
  expect(output).toMatch(
    /Dice of 1 case not trained on: 0\.\d{4} with float32 weights, 0\.\d{4} with int8 \([+-]\d\.\d{5}; the largest loss is -?\d\.\d{5}, in phantom_003\)\.\n$/,
  );

  await rm(out);
  await write([], ["phantom_009"]);
  await expect(run(seen, "--onnx", out, "--weights", "int8", "--data", data)).rejects.toThrow(
    `Expected the model's validation cases in ${data}, but phantom_009 are not there with a label.`,
  );
  await write(["phantom_001", "phantom_002", "phantom_003", "phantom_004"], []);
  await expect(run(seen, "--onnx", out, "--weights", "int8", "--data", data)).rejects.toThrow("leave --data out.");
  await expect(run(seen, "--onnx", out, "--data", data)).rejects.toThrow("Expected --weights float16 or int8");
  expect(existsSync(out)).toBe(false);
});
