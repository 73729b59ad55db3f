import { mkdir, mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, expect, test } from "vitest";
import { flat } from "../net/make.ts";
import { foldFolder, foldsFileName, loadModel, loadModels, modelFileName, saveModel } from "./files.ts";
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

test("a folder of folds stands for all of their models, in order, and a missing one is named", async () => {
  await saveModel(join(folder, modelFileName), model);
  expect(await loadModels(folder)).toEqual([model]);
  expect(await loadModels(join(folder, modelFileName))).toEqual([model]);
  await rm(join(folder, modelFileName));
  await expect(loadModels(folder)).rejects.toThrow("it holds no .safetensors file");
  await expect(loadModels(join(folder, "none"))).rejects.toThrow("none does not exist");
  const models = Array.from({ length: 11 }, (_, seed) => sampleModel(model.net, seed));
  for (const [fold, one] of models.entries()) await saveModel(join(foldFolder(folder, fold), modelFileName), one);
  expect(await loadModels(folder)).toEqual(models);
  await expect(loadModel(folder)).rejects.toThrow(`a model file, such as ${foldFolder(folder, 0)}`);
  await rm(join(foldFolder(folder, 3), modelFileName));
  await expect(loadModels(folder)).rejects.toThrow("each of the 11 folds");
  await expect(loadModels(folder)).rejects.toThrow("fold 3 has none; finish it with lunet train --resume");
  // The record knows of folds that were never started.
  const five = join(folder, "five");
  await mkdir(five);
  await writeFile(join(five, foldsFileName), JSON.stringify({ cases: [{}, {}] }));
  await saveModel(join(foldFolder(five, 0), modelFileName), model);
  await expect(loadModels(five)).rejects.toThrow("each of the 2 folds");
});
