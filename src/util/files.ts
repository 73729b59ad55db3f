import { randomBytes } from "node:crypto";
import { type FileHandle, mkdir, open, readdir, readFile, rename, rm } from "node:fs/promises";
import { basename, dirname, join } from "node:path";
import { UserError } from "./errors.ts";

interface FileSystemError extends Error {
  code: string;
  path?: string;
}

const reasons: Record<string, (path: string) => string> = {
  ENOENT: (path) => `${path} does not exist; check the path.`,
  ENOTDIR: (path) => `${path} passes through something that is a file, not a folder; check the path.`,
  EISDIR: (path) => `${path} is a folder where a file was expected; give the path of a file.`,
  EEXIST: (path) => `${path} exists and is not a folder; choose another name or move it away.`,
  EACCES: (path) => `No permission for ${path}; choose another place or change its permissions.`,
  EPERM: (path) => `No permission for ${path}; choose another place or change its permissions.`,
  EROFS: (path) => `${path} lies on a read-only disk; choose another place.`,
  ENOSPC: (path) => `The disk is full: ${path} could not be written; free some space and run the command again.`,
  EDQUOT: (path) => `Your disk quota is used up: ${path} could not be written; free some space and run it again.`,
  EFBIG: (path) => `${path} would be larger than this disk or your limits (ulimit -f) allow; choose another place.`,
  EIO: (path) => `The disk failed at ${path}; check the disk or the network drive and run it again.`,
  EMFILE: (path) => `Too many open files while opening ${path}; raise the limit (ulimit -n) and run it again.`,
  ERR_FS_FILE_TOO_LARGE: (path) =>
    `${path} is larger than 2 GiB, too much to read at once; pack it (.nii.gz) or cut it.`,
  ENAMETOOLONG: (path) => `The name ${path} is too long for this disk; choose a shorter one.`,
};

/** A file system error as a sentence; undefined when `error` is something else. `path` replaces the error's own path. */
export function explainFileError(error: unknown, path?: string): UserError | undefined {
  if (!(error instanceof Error) || !("code" in error)) return undefined;
  const { code, path: own } = error as FileSystemError;
  const where = path ?? own ?? "the output";
  return code in reasons ? new UserError(reasons[code](where), { cause: error }) : undefined;
}

export interface WriteOptions {
  /** How the bytes get into the open temporary file; tests put a failing one here. */
  write?: (file: FileHandle, data: Uint8Array | string) => Promise<void>;
}

/**
 * Writes a file whole or not at all: the bytes go to a temporary name in the same folder, are flushed to the disk, and are
 * renamed over `path`. If anything fails the temporary file is removed and a file that stood at `path` is as before.
 * Missing folders are made. Errors: a {@link UserError} for a full disk, no permission, a read-only disk.
 */
export async function writeFileAtomic(
  path: string,
  data: Uint8Array | string,
  options: WriteOptions = {},
): Promise<void> {
  const write = options.write ?? ((file, bytes) => file.writeFile(bytes));
  const folder = dirname(path);
  const temporary = join(folder, `.${basename(path)}.${randomBytes(4).toString("hex")}.tmp`);
  await mkdir(folder, { recursive: true }).catch((error) => {
    throw explainFileError(error, folder) ?? error;
  });
  try {
    const file = await open(temporary, "wx");
    try {
      await write(file, data);
      await file.sync();
    } finally {
      await file.close();
    }
    await rename(temporary, path);
  } catch (error) {
    await rm(temporary, { force: true }).catch(() => {}); // the first error is the one to report
    throw explainFileError(error, path) ?? error;
  }
}

/** Removes what {@link writeFileAtomic} left under temporary names beside these files when it was killed. */
export async function removeLeftovers(paths: readonly string[]): Promise<void> {
  for (const folder of new Set(paths.map((path) => dirname(path)))) {
    const names = await readdir(folder);
    const ours = names.filter(
      (name) => /^\..+\.[0-9a-f]{8}\.tmp$/.test(name) && paths.includes(join(folder, name.slice(1, -13))),
    );
    for (const name of ours) await rm(join(folder, name), { force: true });
  }
}

/** A file's bytes, with a {@link UserError} when it cannot be read. */
export async function readBytes(path: string): Promise<Uint8Array> {
  try {
    return await readFile(path);
  } catch (error) {
    throw explainFileError(error, path) ?? error;
  }
}

/** The first `length` bytes of a file, or all of a shorter one; errors as {@link readBytes}. */
export async function readStart(path: string, length: number): Promise<Uint8Array> {
  try {
    const file = await open(path);
    try {
      const { buffer, bytesRead } = await file.read(new Uint8Array(length), 0, length, 0);
      return buffer.subarray(0, bytesRead);
    } finally {
      await file.close();
    }
  } catch (error) {
    throw explainFileError(error, path) ?? error;
  }
}

/** A JSON file's value, unchecked: the caller validates its shape. */
export async function readJson(path: string): Promise<unknown> {
  const text = new TextDecoder().decode(await readBytes(path));
  try {
    return JSON.parse(text);
  } catch (error) {
    const detail = error instanceof Error ? error.message : String(error);
    throw new UserError(`${path} should be JSON but is not (${detail}); correct or replace the file.`, {
      cause: error,
    });
  }
}
