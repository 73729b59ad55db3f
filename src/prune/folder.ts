import { mkdir, readdir, rm } from "node:fs/promises";
import { join } from "node:path";
import { clearRunFolder, type FolderPaths, openFolder } from "../train/run-folder.ts";
import { fail } from "../util/errors.ts";
import { explainFileError, readJson, removeLeftovers, writeFileAtomic } from "../util/files.ts";
import type { PruneFile } from "./types.ts";

export interface PrunePaths extends FolderPaths {
  plan: string;
  curve: string;
  chart: string;
  checkpoint: string;
  best: string;
  /** Folder of a model per size. */
  sizes: string;
}

export function prunePaths(folder: string): PrunePaths {
  return {
    folder,
    run: join(folder, "prune.json"),
    plan: join(folder, "plan.json"),
    curve: join(folder, "curve.jsonl"),
    chart: join(folder, "curve.svg"),
    checkpoint: join(folder, "checkpoint.safetensors"),
    best: join(folder, "model.safetensors"),
    sizes: join(folder, "sizes"),
  };
}

/** Path of a size's model inside the folder. */
export function sizeName(step: number): string {
  return `sizes/step-${String(step).padStart(4, "0")}.safetensors`;
}

const isSize = (name: string): boolean => /^step-\d+\.safetensors$/.test(name);

/** The run to resume, or null for a new one; see {@link openFolder}. */
export async function openPruneFolder(
  paths: PrunePaths,
  mode: { resume?: boolean; force?: boolean },
): Promise<PruneFile | null> {
  const { sizes, ...files } = paths;
  const resumed = await openFolder(files, mode);
  try {
    await mkdir(sizes, { recursive: true });
    const cut = (await readdir(sizes)).filter((name) => name.endsWith(".tmp")).map((name) => name.slice(1, -13));
    await removeLeftovers(cut.filter(isSize).map((name) => join(sizes, name)));
  } catch (error) {
    throw explainFileError(error, sizes) ?? error;
  }
  return resumed ? readPruneFile(paths.run) : null;
}

/** Takes away a run's files, or what is left of one; other files stay. */
export async function clearPruneFolder({ sizes, ...files }: PrunePaths): Promise<void> {
  await clearRunFolder(files);
  for (const name of (await readdir(sizes)).filter(isSize)) await rm(join(sizes, name), { force: true });
}

async function readPruneFile(path: string): Promise<PruneFile> {
  const value = (await readJson(path)) as Partial<PruneFile> | null;
  if (value?.version !== 1 || !value.settings || !value.pruning) {
    fail(`Expected ${path} to be the record of a prune run, version 1, but it is not; prune again with --force.`);
  }
  return value as PruneFile;
}

export async function writePruneFile(path: string, run: PruneFile): Promise<void> {
  await writeFileAtomic(path, `${JSON.stringify(run, null, 2)}\n`);
}
