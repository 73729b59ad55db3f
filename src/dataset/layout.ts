import { existsSync } from "node:fs";
import { readdir } from "node:fs/promises";
import { join, resolve } from "node:path";
import { fail } from "../util/errors.ts";
import { listSome } from "../util/list-some.ts";
import { scanExtension, scanExtensions } from "../volume/extensions.ts";
import { channelSuffix, stemOf } from "./names.ts";
import { isScanFolder, isSegmentationFile } from "./scan.ts";
import type { DatasetCase } from "./types.ts";

/** Where the cases of one part (training or test) lie. */
export interface CaseFolders {
  images: string;
  /** Absent: a part without labels. */
  labels?: string;
  /** Only files with this ending count (dataset.json `file_ending`). */
  ending?: string;
  /** Number of channels where dataset.json states it: files of a case then end in `_0000`, `_0001`, ... */
  channels?: number;
  /** Keep cases whose image or label is missing instead of throwing (verify reports them one by one). */
  allowIncomplete?: boolean;
}

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
 * Pairs the images of a folder with its labels. A case's images are `ID.ext` or `ID_0000.ext`, `ID_0001.ext`, ...; its label is
 * `ID.ext`. Throws UserError for an empty folder and, unless `allowIncomplete`, for an image without label or the reverse.
 */
export async function findCases(folders: CaseFolders): Promise<DatasetCase[]> {
  const images = await scanFiles(folders.images, folders.ending);
  if (images.size === 0) {
    fail(
      `Expected scans (${folders.ending ?? scanExtensions.join(", ")}) in ${folders.images}, but the folder holds none; check the path and the file endings.`,
    );
  }
  const labels = folders.labels ? await scanFiles(folders.labels, folders.ending) : undefined;
  const suffixed = useSuffixes([...images.keys()], labels, folders.channels);
  const cases = new Map<string, DatasetCase>();
  for (const [stem, path] of images) {
    const split = suffixed ? channelSuffix(stem) : undefined;
    const id = split?.id ?? stem;
    const entry = cases.get(id) ?? { id, images: [] };
    // Names are sorted, so channel files arrive in channel order; one that is missing keeps its place, by its name.
    while (split && entry.images.length < split.channel) {
      const missing = `${id}_${String(entry.images.length).padStart(4, "0")}${scanExtension(path) ?? ""}`;
      entry.images.push(resolve(join(folders.images, missing)));
    }
    entry.images.push(path);
    cases.set(id, entry);
  }
  if (!labels) return [...cases.values()];
  for (const entry of cases.values()) entry.label = labels.get(entry.id);
  const lonely = [...labels.keys()].filter((id) => !cases.has(id));
  const unlabelled = [...cases.values()].filter((entry) => !entry.label).map((entry) => entry.id);
  if (!folders.allowIncomplete) {
    if (unlabelled.length > 0) {
      fail(
        `Expected a label in ${folders.labels} for every image, but ${unlabelled.length} of ${cases.size} cases have none (${listSome(unlabelled)}); add the labels or move those images to imagesTs.`,
      );
    }
    if (lonely.length > 0) {
      fail(
        `Expected an image in ${folders.images} for every label, but ${lonely.length} labels have none (${listSome(lonely)}); add the images or remove those labels.`,
      );
    }
  }
  for (const id of lonely) cases.set(id, { id, images: [], label: labels.get(id) });
  for (const entry of cases.values()) {
    if (!entry.label) entry.label = resolve(folders.labels!, `${entry.id}${scanExtension(entry.images[0]) ?? ""}`);
  }
  return [...cases.values()].sort((a, b) => (a.id < b.id ? -1 : 1));
}

/**
 * Whether `_0000` is a channel number or part of the case's name (MSD has names like `scan_0001` without channels). Labels decide
 * where there are any; without them every file must carry a suffix and there must be a channel 0.
 */
function useSuffixes(stems: string[], labels: Map<string, string> | undefined, channels: number | undefined): boolean {
  const splits = stems.map(channelSuffix);
  if (labels) {
    const asIs = stems.filter((stem) => labels.has(stem)).length;
    const asChannels = splits.filter((split) => split && labels.has(split.id)).length;
    return asChannels > asIs;
  }
  if (splits.some((split) => !split || (channels !== undefined && split.channel >= channels))) return false;
  return splits.some((split) => split!.channel === 0);
}
