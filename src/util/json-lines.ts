import { appendFile, readFile } from "node:fs/promises";
import { explainFileError, writeFileAtomic } from "./files.ts";
import { parseLines } from "./parse-lines.ts";

/** The records of a file, none where it does not exist. */
export async function readLines<T>(path: string): Promise<T[]> {
  try {
    return parseLines<T>(await readFile(path, "utf8"));
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === "ENOENT") return [];
    throw explainFileError(error, path) ?? error;
  }
}

/** Leaves only the records to keep, so that a run resumed before the others goes on as if it had never stopped. */
export async function rewindLines<T>(path: string, keep: (record: T) => boolean): Promise<T[]> {
  const kept = (await readLines<T>(path)).filter(keep);
  await writeFileAtomic(path, kept.map((record) => `${JSON.stringify(record)}\n`).join(""));
  return kept;
}

export async function appendLine(path: string, record: unknown): Promise<void> {
  try {
    await appendFile(path, `${JSON.stringify(record)}\n`);
  } catch (error) {
    throw explainFileError(error, path) ?? error;
  }
}
