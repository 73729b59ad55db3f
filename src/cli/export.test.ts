import { mkdtemp, readFile, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import onnxProto from "onnx-proto";
import { afterEach, beforeEach, expect, test, vi } from "vitest";
import { saveModel } from "../model/files.ts";
import { sampleModel } from "../model/sample.ts";
import { flat } from "../net/make.ts";
import { exportCommand } from "./export.ts";

let folder: string;
beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), "lunet-export-"));
});
afterEach(async () => {
  vi.restoreAllMocks();
  await rm(folder, { recursive: true });
});

test("a model file becomes an ONNX file with the plan inside", async () => {
  const model = sampleModel(flat(3, { levels: 2, convs: 1, inputChannels: 1, outputChannels: 2 }));
  const path = join(folder, "model.safetensors");
  await saveModel(path, model);
  const print = vi.spyOn(process.stdout, "write").mockReturnValue(true);
  const out = join(folder, "net.onnx");
  const args = [path, "--onnx", out, "--shape", "8x8x16", "--batch", "2", "--probabilities"];
  await exportCommand.parseAsync(args, { from: "user" });
  const bytes = await readFile(out);
  expect(print).toHaveBeenCalledWith(`Wrote ${out} (${(bytes.length / 1000).toFixed(1)} kB).\n`);
  const { graph, metadataProps } = onnxProto.onnx.ModelProto.decode(bytes);
  const dims = graph!.output![0].type!.tensorType!.shape!.dim!.map((d) => Number(d.dimValue));
  expect([graph!.output![0].name, dims]).toEqual(["probabilities", [2, 2, 8, 8, 16]]);
  const { net, plan } = JSON.parse(metadataProps![0].value!);
  expect([net, plan]).toEqual([model.net, model.plan]);
});
