import { existsSync } from "node:fs";
import { readdir, readFile, realpath, stat } from "node:fs/promises";
import { basename, dirname, join, relative, sep } from "node:path";
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

/**
 * Whether both are of the same scan. Its folder does not count, as another machine may see it at another place; but where both places are
 * here, the bytes decide: files of two patients may have one name, length and time.
 */
export async function sameScan(now: ScanState, then: ScanState, out: string): Promise<boolean> {
  const keys = ["files", "bytes", "modified"] as const;
  if (basename(now.path) !== basename(then.path) || keys.some((key) => now[key] !== then[key])) return false;
  if (now.path === then.path) return true;
  const [here, there] = [now.path, then.path].map((path) => splitChoice(path).path);
  if (!existsSync(there) || (await realpath(here)) === (await realpath(there))) return true;
  const [ours, theirs] = await Promise.all([here, there].map(async (place) => (await filesOf(place, out)).sort()));
  if (ours.length !== theirs.length) return false;
  for (const [i, file] of ours.entries()) {
    if (!(await readFile(file)).equals(await readFile(theirs[i]))) return false;
  }
  return true;
}

/** A scan's files: of a folder those that readers look at, so no hidden ones, and links to files but not to folders. */
async function filesOf(path: string, out: string): Promise<string[]> {
  if ((await stat(path)).isDirectory()) {
    const [root, own] = await Promise.all([path, out].map((folder) => realpath(folder).catch(() => folder)));
    const entries = await readdir(root, { withFileTypes: true, recursive: true });
    const files = entries
      .filter((entry) => !entry.isDirectory())
      .map((entry) => join(entry.parentPath, entry.name))
      .filter((file) => !file.startsWith(`${own}${sep}`))
      .filter(
        (file) =>
          !relative(root, file)
            .split(sep)
            .some((part) => part.startsWith(".")),
      );
    const plain = await Promise.all(files.map(async (file) => (await stat(file).catch(() => null))?.isFile()));
    return files.filter((_, i) => plain[i]);
  }
  const ending = scanExtension(path);
  if (ending === null || !detached.has(ending)) return [path];
  const start = basename(path).slice(0, 1 - ending.length);
  return (await readdir(dirname(path)))
    .filter((name) => name.startsWith(start))
    .map((name) => join(dirname(path), name));
}
