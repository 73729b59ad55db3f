import { readdir, stat } from "node:fs/promises";
import { basename, join } from "node:path";
import { lockHolder } from "../study/lock.ts";
import { fail } from "../util/errors.ts";
import { explainFileError } from "../util/files.ts";
import { listSome } from "../util/list-some.ts";
import type { ListedFile, Listing } from "./types.ts";

/** How deep folders are looked into, and how many of their entries, so that a wrong path does not mean the whole disk. */
const mostLevels = 6;
const mostEntries = 50_000;

/** Files whose presence makes a folder worth showing. */
const records = ["run.json", "prune.json", "cross-validation.json", "study.json"];

/** Files that the page reads: records, logs, evaluations, reports with their figures, label maps. */
const shown = /\.(json|jsonl|csv|svg|png|html|nii|nii\.gz|nrrd|mha)$/i;

export const isShown = (name: string): boolean => !name.startsWith(".") && shown.test(name);

/** Media types of what is shown. */
export const mediaTypes: Record<string, string> = {
  csv: "text/csv; charset=utf-8",
  html: "text/html; charset=utf-8",
  json: "application/json",
  jsonl: "application/x-ndjson",
  png: "image/png",
  svg: "image/svg+xml",
};

/**
 * Lists what the page reads of a folder. Links are not followed, hidden files and folders and data sets are left out. The lock of a study's
 * run is listed only where a living process holds it.
 */
export async function listFolder(root: string): Promise<Listing> {
  const files: ListedFile[] = [];
  let entries = 0;
  let truncated = false;
  const walk = async (folder: string, prefix: string, level: number): Promise<void> => {
    const found = await readdir(folder, { withFileTypes: true }).catch(() => []);
    if (found.some((entry) => entry.name === "dataset.json") && level > 0) return;
    for (const entry of found.sort((a, b) => (a.name < b.name ? -1 : 1))) {
      if (entries++ >= mostEntries) {
        truncated = true;
        return;
      }
      const { name } = entry;
      if (name.startsWith(".") || name === "node_modules") continue;
      const path = join(folder, name);
      if (entry.isDirectory()) {
        if (level < mostLevels) await walk(path, `${prefix}${name}/`, level + 1);
        else truncated = true;
      } else if (entry.isFile() && (isShown(name) || isModel(name) || (name === "run.lock" && lockHolder(path)))) {
        // A file may go in between, as a temporary one does.
        const info = await stat(path).catch(() => null);
        if (info) files.push({ path: `${prefix}${name}`, size: info.size, modified: info.mtimeMs });
      }
    }
  };
  await walk(root, "", 0);
  return { name: basename(root), files, truncated };
}

/** Models are listed, so that the page knows of them, but not sent. */
const isModel = (name: string): boolean => name === "model.safetensors";

/** UserError for a folder that has nothing to show. */
export async function checkFolder(root: string, path: string): Promise<void> {
  const info = await stat(root).catch((error) => {
    throw explainFileError(error, path) ?? error;
  });
  const expected = "a run folder, a prune, cross-validation or study folder, or a folder that holds such";
  if (!info.isDirectory()) fail(`Expected ${expected}, but ${path} is a file; give its folder.`);
  const { files } = await listFolder(root);
  if (files.some((file) => records.includes(basename(file.path)))) return;
  const names = (await readdir(root)).filter((name) => !name.startsWith("."));
  const found =
    names.length === 0 ? "is empty" : `holds none of ${records.join(", ")} (it has ${listSome(names.sort())})`;
  fail(`Expected ${expected}, but ${path} ${found}; give the --out of lunet train, prune or study.`);
}
