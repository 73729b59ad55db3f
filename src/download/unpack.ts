import { createReadStream } from "node:fs";
import { mkdir, open } from "node:fs/promises";
import { dirname, join } from "node:path";
import { pipeline } from "node:stream";
import { createGunzip } from "node:zlib";
import { fail, UserError } from "../util/errors.ts";
import { explainFileError, readStart } from "../util/files.ts";
import { readTar } from "./tar.ts";

export interface UnpackLimits {
  files: number;
  /** Bytes of one file. */
  fileBytes: number;
  /** Bytes of all files. */
  bytes: number;
}

/** More than any public set has. */
const defaultLimits: UnpackLimits = { files: 500_000, fileBytes: 2 ** 35, bytes: 2 ** 38 };

export interface Unpacked {
  files: number;
  bytes: number;
  /** Files left out: what macOS adds to archives. */
  leftOut: number;
}

export interface UnpackOptions {
  /** Leads the sentences about the archive. */
  name: string;
  limits?: Partial<UnpackLimits>;
  signal?: AbortSignal;
  onFile?: (files: number, bytes: number) => void;
}

/**
 * Unpacks a tar or tar.gz file into an existing, empty folder. Only plain files and folders are made, only below the folder, and none
 * twice. Throws a UserError for whatever else an archive tries, and beyond the limits; files made until then stay for the caller to remove.
 */
export async function unpackArchive(archive: string, folder: string, options: UnpackOptions): Promise<Unpacked> {
  const { name, signal } = options;
  const limits = { ...defaultLimits, ...options.limits };
  const done: Unpacked = { files: 0, bytes: 0, leftOut: 0 };
  try {
    await readTar(await openArchive(archive, name), name, async (entry, body) => {
      signal?.throwIfAborted();
      const parts = safeParts(entry.path, name);
      if (parts.some((part) => part.startsWith("._") || part === "__MACOSX" || part === ".DS_Store")) {
        done.leftOut++;
        return;
      }
      if (entry.kind === "folder" || parts.length === 0) {
        await mkdir(join(folder, ...parts), { recursive: true });
        return;
      }
      if (entry.size > limits.fileBytes) {
        fail(`${name}: ${entry.path} would take ${entry.size} bytes; expected at most ${limits.fileBytes} a file.`);
      }
      done.files++;
      done.bytes += entry.size;
      if (done.files > limits.files) fail(`${name}: more than ${limits.files} files; unpack it with another program.`);
      if (done.bytes > limits.bytes)
        fail(`${name}: more than ${limits.bytes} unpacked bytes; unpack it with another program.`);
      await writeNew(join(folder, ...parts), body);
      options.onFile?.(done.files, done.bytes);
    });
  } catch (error) {
    throw explainFileError(error) ?? explainPacking(error, name) ?? error;
  }
  return done;
}

/** The bytes of the tar archive, unpacked on the way where they are gzip. */
async function openArchive(path: string, name: string): Promise<AsyncIterable<Uint8Array>> {
  const start = await readStart(path, 6);
  if (start[0] === 0x50 && start[1] === 0x4b) {
    fail(`${name}: a zip archive; expected tar or tar.gz: unpack it with another program.`);
  }
  const file = createReadStream(path, { highWaterMark: 1 << 18 });
  if (start[0] !== 0x1f || start[1] !== 0x8b) return file;
  // Errors come out of the last stream, which is the one that is read.
  return pipeline(file, createGunzip(), () => undefined);
}

/** The parts of a path below the folder. What could lead elsewhere, on any system, is refused. */
function safeParts(path: string, name: string): string[] {
  const parts = path.split("/").filter((part) => part !== "" && part !== ".");
  if (path.startsWith("/") || parts.includes("..") || /[\\:\p{Cc}]/u.test(path)) {
    fail(
      `${name}: the archive holds ${JSON.stringify(path)}, a path that could lead out of its folder; nothing of it is kept.`,
    );
  }
  return parts;
}

async function writeNew(path: string, body: AsyncIterable<Uint8Array>): Promise<void> {
  await mkdir(dirname(path), { recursive: true });
  const file = await open(path, "wx").catch((error) => {
    if (error.code === "EEXIST") fail(`${path} is twice in the archive; get it from another place.`);
    throw error;
  });
  try {
    for await (const part of body) await file.writeFile(part);
  } finally {
    await file.close();
  }
}

/** zlib's faults as a sentence. */
function explainPacking(error: unknown, name: string): UserError | undefined {
  const code = error instanceof Error && "code" in error ? String(error.code) : "";
  if (!code.startsWith("Z_")) return undefined;
  return new UserError(`${name}: its gzip packing is cut short or damaged; get it again.`, { cause: error });
}
