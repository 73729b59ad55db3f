import { readdir, stat } from "node:fs/promises";
import { basename, dirname, join } from "node:path";
import { splitChoice } from "../dicom/files.ts";
import { explainFileError } from "../util/files.ts";
import { scanExtension } from "../volume/extensions.ts";

/** How a scan lay on the disk when it was read: what changes when somebody changes it, told without reading its voxels. */
export interface ScanState {
  /** A file, or a folder or archive of slices. */
  path: string;
  files: number;
  /** Together. */
  bytes: number;
  /** Time of the latest change, in ms since 1970. */
  modified: number;
}

/** Headers whose voxels lie in another file of the same name. */
const detached = new Set([".hdr", ".img", ".nhdr", ".mhd"]);

/** UserError where a file is gone. */
export async function stateOfScan(path: string): Promise<ScanState> {
  const place = splitChoice(path).path;
  try {
    const found: ScanState = { path, files: 0, bytes: 0, modified: 0 };
    for await (const file of filesOf(place)) {
      const { size, mtimeMs } = await stat(file);
      found.files++;
      found.bytes += size;
      found.modified = Math.max(found.modified, mtimeMs);
    }
    return found;
  } catch (error) {
    throw explainFileError(error, place) ?? error;
  }
}

/** Whether both are of the same scan. Its folder does not count: another machine may see it at another place. */
export function sameScan(a: ScanState, b: ScanState): boolean {
  return (
    basename(a.path) === basename(b.path) && a.files === b.files && a.bytes === b.bytes && a.modified === b.modified
  );
}

async function* filesOf(path: string): AsyncGenerator<string> {
  if ((await stat(path)).isDirectory()) {
    for (const entry of await readdir(path, { withFileTypes: true, recursive: true })) {
      if (entry.isFile()) yield join(entry.parentPath, entry.name);
    }
    return;
  }
  const ending = scanExtension(path);
  if (ending === null || !detached.has(ending)) {
    yield path;
    return;
  }
  const stem = basename(path).slice(0, -ending.length);
  for (const name of await readdir(dirname(path))) {
    if (name.startsWith(`${stem}.`)) yield join(dirname(path), name);
  }
}
