import { existsSync } from "node:fs";
import { rm } from "node:fs/promises";
import { join } from "node:path";
import type { Uncertainty } from "../evaluate/uncertainty.ts";
import { waitForLock } from "../study/lock.ts";
import { fail } from "../util/errors.ts";
import { readJson, writeFileAtomic } from "../util/files.ts";

/** Stands beside the predicted label maps. */
const fileName = "uncertainty.json";

export type CaseUncertainty = { id: string } & Uncertainty;

interface UncertaintyFile {
  version: 1;
  /** Ascending ids. */
  cases: CaseUncertainty[];
}

/** The measures beside predictions by case id; null where there are none. Throws UserError for a file of another kind. */
export async function readUncertainty(folder: string): Promise<Map<string, CaseUncertainty> | null> {
  const path = join(folder, fileName);
  if (!existsSync(path)) return null;
  const value = (await readJson(path)) as Partial<UncertaintyFile> | null;
  if (value?.version !== 1 || !Array.isArray(value.cases)) {
    fail(`Expected ${path} to hold measures of uncertainty, version 1, but it does not; predict again or remove it.`);
  }
  return new Map(value.cases.map((one) => [one.id, one]));
}

/**
 * Takes the measures of `stale` cases out of the file and puts new ones in; those of other cases stay. Done for all cases before
 * their label maps are written, so that no measure ever stands beside a label map that it is not of.
 */
export async function updateUncertainty(
  folder: string,
  stale: readonly string[],
  measured: readonly CaseUncertainty[],
): Promise<void> {
  const path = join(folder, fileName);
  if (measured.length === 0 && !existsSync(path)) return;
  // Calls on single scans may go side by side, and each writes the whole file.
  const lock = await waitForLock(`${path}.lock`, { every: 20 });
  try {
    const cases = (await readUncertainty(folder)) ?? new Map<string, CaseUncertainty>();
    for (const id of stale) cases.delete(id);
    for (const one of measured) cases.set(one.id, one);
    if (cases.size === 0) return await rm(path, { force: true });
    const sorted = [...cases.values()].sort((a, b) => (a.id < b.id ? -1 : 1));
    const file: UncertaintyFile = { version: 1, cases: sorted };
    await writeFileAtomic(path, `${JSON.stringify(file, null, 2)}\n`);
  } finally {
    lock?.release();
  }
}
