import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, expect, test } from "vitest";
import { flat } from "../net/make.ts";
import { loadModel, modelFileName, saveModel } from "./files.ts";
import { sampleModel } from "./sample.ts";

let folder: string;
beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), "lunet-model-"));
});
afterEach(() => rm(folder, { recursive: true }));

const model = sampleModel(flat(2, { levels: 2, convs: 1, inputChannels: 1, outputChannels: 2 }));

test("a model from its file and from its folder", async () => {
  const path = join(folder, modelFileName);
  await saveModel(path, model);
  expect(await loadModel(path)).toEqual(model);
  expect(await loadModel(folder)).toEqual(model);
});

test("a path without a model is explained", async () => {
  await expect(loadModel(join(folder, "none.safetensors"))).rejects.toThrow("none.safetensors does not exist");
  await expect(loadModel(folder)).rejects.toThrow("it holds no .safetensors file: give a run folder");
  await writeFile(join(folder, "checkpoint.safetensors"), "");
  await expect(loadModel(folder)).rejects.toThrow("it holds checkpoint.safetensors");
});
