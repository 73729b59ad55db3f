import { readdir, stat } from "node:fs/promises";
import { basename, dirname, join, sep } from "node:path";
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

/** `out`: a folder that does not count where it lies among slices, that of the predictions. UserError where a file is gone. */
export async function stateOfScan(path: string, out: string): Promise<ScanState> {
  const place = splitChoice(path).path;
  try {
    const found: ScanState = { path, files: 0, bytes: 0, modified: 0 };
    const infos = await Promise.all((await filesOf(place, out)).map((file) => stat(file)));
    for (const info of infos.filter((one) => one.isFile())) {
      found.files++;
      found.bytes += info.size;
      found.modified = Math.max(found.modified, info.mtimeMs);
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

async function filesOf(path: string, out: string): Promise<string[]> {
  if ((await stat(path)).isDirectory()) {
    const entries = await readdir(path, { withFileTypes: true, recursive: true });
    return entries
      .filter((entry) => !entry.isDirectory())
      .map((entry) => join(entry.parentPath, entry.name))
      .filter((file) => !file.startsWith(`${out}${sep}`));
  }
  const ending = scanExtension(path);
  if (ending === null || !detached.has(ending)) return [path];
  const start = basename(path).slice(0, 1 - ending.length);
  return (await readdir(dirname(path)))
    .filter((name) => name.startsWith(start))
    .map((name) => join(dirname(path), name));
}
