import { existsSync } from "node:fs";
import { readdir } from "node:fs/promises";
import { join, resolve } from "node:path";
import { fail } from "../util/errors.ts";
import { scanExtension, scanExtensions } from "../volume/extensions.ts";
import { stemOf } from "./names.ts";
import { type CaseFolders, pairCases } from "./pair-cases.ts";
import { isScanFolder, isSegmentationFile } from "./scan.ts";
import type { DatasetCase } from "./types.ts";

/**
 * Scans of a folder: stem -> absolute path, in name order: its scan files and DICOM segmentations, or where it has none the folders of
 * slices (PNG or DICOM) in it. Two
 * files with one stem are a UserError.
 */
export async function scanFiles(folder: string, ending?: string): Promise<Map<string, string>> {
  if (!existsSync(folder)) fail(`Expected a folder of scans at ${folder}, but there is none; check the path.`);
  const files = new Map<string, string>();
  const entries = (await readdir(folder)).filter((name) => !name.startsWith(".")).sort();
  const names = entries.filter((name) => scanExtension(name) && (!ending || name.endsWith(ending)));
  for (const name of entries) if (await isSegmentationFile(join(folder, name))) names.push(name);
  if (names.length === 0 && (!ending || ending === ".png")) {
    for (const name of entries) if (await isScanFolder(join(folder, name))) names.push(name);
  }
  for (const name of names) {
    const stem = stemOf(name);
    const other = files.get(stem);
    if (other) fail(`Expected one file for ${stem} in ${folder}, but ${other} and ${name} both claim it; remove one.`);
    files.set(stem, resolve(join(folder, name)));
  }
  return files;
}

/**
 * Pairs the images of a folder with its labels by their names, see {@link pairCases}. Throws UserError for an empty folder and, unless
 * `allowIncomplete`, for an image without label or the reverse.
 */
export async function findCases(folders: CaseFolders): Promise<DatasetCase[]> {
  const images = await scanFiles(folders.images, folders.ending);
  if (images.size === 0) {
    fail(
      `Expected scans (${folders.ending ?? scanExtensions.join(", ")}) in ${folders.images}, but the folder holds none; check the path and the file endings.`,
    );
  }
  const labels = folders.labels ? await scanFiles(folders.labels, folders.ending) : undefined;
  return pairCases(images, labels, { ...folders, at: (folder, name) => resolve(folder, name) });
}
