import { createHash } from "node:crypto";
import { createReadStream } from "node:fs";
import { mkdir, readdir, rename, rm, rmdir, stat, statfs } from "node:fs/promises";
import { basename, join } from "node:path";
import * as v from "valibot";
import { takeLock } from "../study/lock.ts";
import { fail, UserError } from "../util/errors.ts";
import { explainFileError, readJson, writeFileAtomic } from "../util/files.ts";
import { type FetchOptions, fetchFile, forget } from "./fetch.ts";
import type { PublicSet } from "./sets.ts";
import { type UnpackOptions, unpackArchive } from "./unpack.ts";

/** What to get: a public set, or an archive at an address of one's own. */
export interface DownloadRequest {
  /** Folder of the data in `out`. */
  name: string;
  url: string;
  md5?: string;
  sha256?: string;
  /** Facts about a public set, kept beside the data. */
  set?: PublicSet;
}

/** What came of it; kept in the folder as download.json. */
export interface DownloadRecord {
  name: string;
  url: string;
  bytes: number;
  md5: string;
  sha256: string;
  files: number;
  date: string;
  title?: string;
  licence?: string;
  licenceUrl?: string;
  cite?: string;
}

export interface DownloadOptions {
  /** Folder that the data's folder is made in. */
  out: string;
  fetch?: FetchOptions;
  unpack?: Pick<UnpackOptions, "limits" | "onFile">;
  /** Told before a lengthy step begins. */
  onStep?: (step: "checking" | "unpacking") => void;
  /** Free bytes of the disk that holds a folder. */
  free?: (folder: string) => Promise<number>;
}

/** Name of the file that tells where a folder's data come from. */
const RECORD_FILE = "download.json";

const recordSchema = v.object({
  name: v.string(),
  url: v.string(),
  bytes: v.number(),
  md5: v.string(),
  sha256: v.string(),
  files: v.number(),
  date: v.string(),
});

/**
 * Gets an archive, checks it, and unpacks it to `out`/`name`, whole or not at all. What came of an earlier call is continued; `fresh` is
 * false where all of it was there. Throws a UserError where the folder holds something else, another process is at it, the disk is too small, the checksum is
 * wrong, or the archive is not to be trusted.
 */
export async function download(
  request: DownloadRequest,
  options: DownloadOptions,
): Promise<{ folder: string; record: DownloadRecord; fresh: boolean }> {
  const folder = join(options.out, request.name);
  const there = await recordOf(folder, request);
  if (there) return { folder, record: there, fresh: false };
  const work = join(options.out, `.${request.name}.download`);
  await mkdir(work, { recursive: true }).catch((error) => {
    throw explainFileError(error, work) ?? error;
  });
  // Two at once would unpack into one place, and each would take the other's half for its own.
  const lock = await takeLock(join(work, "lock"));
  if ("heldBy" in lock) {
    const { pid, host } = lock.heldBy;
    fail(`Process ${pid} on ${host} is getting ${folder} already; wait for it to end, or choose another --out.`);
  }
  try {
    const done = await recordOf(folder, request);
    if (done) return { folder, record: done, fresh: false };
    const record = await fetchInto(folder, work, request, options);
    return { folder, record, fresh: true };
  } finally {
    lock.release();
    // Whatever is left in it is for the next call.
    await rmdir(work).catch(() => undefined);
  }
}

/** Fetches, checks and unpacks in the folder `work`, and moves the data to `folder`. */
async function fetchInto(
  folder: string,
  work: string,
  request: DownloadRequest,
  options: DownloadOptions,
): Promise<DownloadRecord> {
  const archive = join(work, "archive.part");
  const free = options.free ?? freeBytes;
  await fetchFile(request.url, archive, {
    ...options.fetch,
    onSize: async (total, have) => {
      if (total !== null) await checkSpace(2 * total - have, work, free);
      await options.fetch?.onSize?.(total, have);
    },
  });
  options.onStep?.("checking");
  const sums = await checksums(archive);
  for (const kind of ["md5", "sha256"] as const) {
    const wanted = request[kind]?.toLowerCase();
    if (wanted === undefined || wanted === sums[kind]) continue;
    await forget(archive);
    fail(
      `${request.url}: the ${kind} of what came is ${sums[kind]}; expected ${wanted}: it was damaged on the way or is another file, and ` +
        "was removed. Run the command again, or correct the address or the checksum.",
    );
  }
  options.onStep?.("unpacking");
  const unpacked = join(work, "unpacked");
  await rm(unpacked, { recursive: true, force: true });
  await mkdir(unpacked);
  let files: number;
  try {
    const signal = options.fetch?.signal;
    ({ files } = await unpackArchive(archive, unpacked, { ...options.unpack, name: request.url, signal }));
    if (files === 0) fail(`${request.url}: the archive holds no file.`);
  } catch (error) {
    await rm(unpacked, { recursive: true, force: true });
    // An archive that nothing vouches for may be another one at the next call.
    if (error instanceof UserError && !request.md5 && !request.sha256) await forget(archive);
    throw error;
  }
  const { set } = request;
  const record: DownloadRecord = {
    name: request.name,
    url: request.url,
    ...sums,
    files,
    date: new Date().toISOString(),
    ...(set && { title: set.title, licence: set.licence, licenceUrl: set.licenceUrl, cite: set.cite }),
  };
  const root = await rootOf(unpacked);
  await writeFileAtomic(join(root, RECORD_FILE), `${JSON.stringify(record, null, 2)}\n`);
  await rename(root, folder).catch((error) => {
    throw explainFileError(error, folder) ?? error;
  });
  await rm(work, { recursive: true, force: true });
  return record;
}

/** What an earlier call left whole; null where nothing is there. */
async function recordOf(folder: string, { url, md5, sha256 }: DownloadRequest): Promise<DownloadRecord | null> {
  const info = await stat(folder).catch(() => undefined);
  if (!info) return null;
  const result = v.safeParse(
    v.looseObject(recordSchema.entries),
    await readJson(join(folder, RECORD_FILE)).catch(() => 0),
  );
  const known = result.success ? (result.output as DownloadRecord) : undefined;
  if (!known) {
    fail(`${folder} exists and does not come from lunet download; choose another folder with --out, or move it away.`);
  }
  const fits = (wanted: string | undefined, sum: string): boolean => (wanted?.toLowerCase() ?? sum) === sum;
  const same = sha256 || md5 ? fits(sha256, known.sha256) && fits(md5, known.md5) : known.url === url;
  if (!same) fail(`${folder} holds another archive (${known.url}); choose another folder with --out, or move it away.`);
  return known;
}

/** Archives mostly hold one folder with everything in it: that one, else all. */
async function rootOf(folder: string): Promise<string> {
  const entries = await readdir(folder, { withFileTypes: true });
  return entries.length === 1 && entries[0].isDirectory() ? join(folder, entries[0].name) : folder;
}

async function checksums(path: string): Promise<{ bytes: number; md5: string; sha256: string }> {
  const [md5, sha256] = [createHash("md5"), createHash("sha256")];
  let bytes = 0;
  for await (const part of createReadStream(path, { highWaterMark: 1 << 20 })) {
    md5.update(part);
    sha256.update(part);
    bytes += part.length;
  }
  return { bytes, md5: md5.digest("hex"), sha256: sha256.digest("hex") };
}

async function freeBytes(folder: string): Promise<number> {
  const { bavail, bsize } = await statfs(folder);
  return bavail * bsize;
}

/** The rest of the archive and its files, which are about as large: scans are packed already. */
async function checkSpace(needed: number, folder: string, free: (folder: string) => Promise<number>): Promise<void> {
  const there = await free(folder);
  if (needed > there) {
    fail(
      `The archive and what is in it take ${bytesText(needed)}, and the disk of ${folder} has ${bytesText(there)} free; free some space, ` +
        "or choose another disk with --out.",
    );
  }
}

/** "28.4 MB": powers of 1000, as disks and networks count. */
export function bytesText(bytes: number): string {
  const power = Math.min(3, Math.max(0, Math.floor(Math.log10(Math.max(1, bytes)) / 3)));
  const value = bytes / 1000 ** power;
  return `${power === 0 ? value : value.toFixed(value < 100 ? 1 : 0)} ${["bytes", "kB", "MB", "GB"][power]}`;
}

/** The name of a folder for an address: its last part without the endings of archives. */
export function nameOf(url: string): string {
  const last = basename(new URL(url).pathname).replace(/(%[\da-f]{2})+/gi, decoded);
  const name = last.replace(/(\.tar)?(\.gz|\.tgz|\.tar)?$/i, "").replace(/[^\w.-]+/g, "_");
  return /^\.*$/.test(name)
    ? fail(`${url} has no file name; give the data a name: lunet download NAME --url ...`)
    : name;
}

/** What a part of an address stands for, or itself where it is no UTF-8. */
function decoded(part: string): string {
  try {
    return decodeURIComponent(part);
  } catch {
    return part;
  }
}
