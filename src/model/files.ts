import { existsSync } from "node:fs";
import { readdir, stat } from "node:fs/promises";
import { join } from "node:path";
import { fail } from "../util/errors.ts";
import { explainFileError, readBytes, readJson, writeFileAtomic } from "../util/files.ts";
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
    const fold = existsSync(join(foldFolder(path, 0), modelFileName)) ? `, such as ${foldFolder(path, 0)}` : "";
    fail(`Expected ${modelFileName} in the folder ${path}, but ${found}: give a run folder or a model file${fold}.`);
  }
  const file = join(path, modelFileName);
  return readModel(await readBytes(file), file);
}

/** The models that a path stands for; see {@link modelFiles}. Throws UserError where there is none. */
export async function loadModels(path: string): Promise<Model[]> {
  return Promise.all((await modelFiles(path)).map(loadModel));
}

/**
 * The files of the models that a path stands for: that of a run folder, or, of a folder with fold0, fold1, ..., those of all folds; else
 * the path itself, whatever it is. Throws UserError where one of the folds is missing.
 */
export async function modelFiles(path: string): Promise<string[]> {
  const names = await readdir(path).catch((): string[] => []);
  if (names.includes(modelFileName)) return [join(path, modelFileName)];
  const here = names.flatMap((name) => (/^fold\d+$/.test(name) ? [Number(name.slice(4))] : []));
  if (here.length === 0) return [path];
  const record = names.includes(foldsFileName) ? await readJson(join(path, foldsFileName)) : null;
  const cases = (record as { cases?: unknown } | null)?.cases;
  const count = Math.max(Array.isArray(cases) ? cases.length : 0, ...here.map((fold) => fold + 1));
  const files = Array.from({ length: count }, (_, fold) => join(foldFolder(path, fold), modelFileName));
  const missing = files.flatMap((file, fold) => (existsSync(file) ? [] : [fold]));
  if (missing.length > 0) {
    fail(
      `Expected a model of each of the ${count} folds in ${path}, but fold ${missing.join(", ")} has none; finish it with lunet train ` +
        `--resume --out ${path}, or name the folds to use one by one.`,
    );
  }
  return files;
}

/** Writes a model file whole or not at all. */
export async function saveModel(path: string, model: Model): Promise<void> {
  await writeFileAtomic(path, modelToBytes(model));
}
