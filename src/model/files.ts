import { readdir, stat } from "node:fs/promises";
import { join } from "node:path";
import { fail } from "../util/errors.ts";
import { explainFileError, readBytes, writeFileAtomic } from "../util/files.ts";
import { modelToBytes, readModel } from "./file.ts";
import type { Model } from "./types.ts";

/** The model's name inside a run folder. */
export const modelFileName = "model.safetensors";

/** The record of a cross-validation in its folder, beside {@link foldFolder}s. */
export const foldsFileName = "cross-validation.json";

/** The run folder of a fold in the folder of a cross-validation. */
export function foldFolder(folder: string, fold: number): string {
  return join(folder, `fold${fold}`);
}

/** Reads a model from a file, or from a run folder that holds one. Throws UserError where there is none. */
export async function loadModel(path: string): Promise<Model> {
  const info = await stat(path).catch((error) => {
    throw explainFileError(error, path) ?? error;
  });
  if (!info.isDirectory()) return readModel(await readBytes(path), path);
  const names = (await readdir(path)).filter((name) => name.endsWith(".safetensors"));
  if (!names.includes(modelFileName)) {
    const found = names.length > 0 ? `it holds ${names.sort().join(", ")}` : "it holds no .safetensors file";
    fail(`Expected ${modelFileName} in the folder ${path}, but ${found}: give a run folder or a model file.`);
  }
  const file = join(path, modelFileName);
  return readModel(await readBytes(file), file);
}

/** Writes a model file whole or not at all. */
export async function saveModel(path: string, model: Model): Promise<void> {
  await writeFileAtomic(path, modelToBytes(model));
}
