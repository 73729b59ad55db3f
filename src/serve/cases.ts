import { existsSync } from "node:fs";
import { stat } from "node:fs/promises";
import { basename, join } from "node:path";
import { findCases } from "../dataset/layout.ts";
import { readDataset } from "../dataset/read.ts";
import { readChannels, readHeader, readLabelMap } from "../dataset/scan.ts";
import type { DatasetCase, Plan } from "../dataset/types.ts";
import { planFromJson } from "../model/header.ts";
import { fail, UserError } from "../util/errors.ts";
import { readJson } from "../util/files.ts";
import { scanExtension } from "../volume/extensions.ts";
import { holdsSlices } from "../volume/files.ts";
import { writeNifti } from "../volume/nifti.ts";
import { RequestError } from "./inside.ts";
import type { CaseList } from "./types.ts";

/** What the records of trained and pruned runs have in common, as far as cases go. */
interface CaseRecord {
  data: { path?: string; images?: string; labels?: string; name: string };
  validationCases: string[];
}

/** Largest scan file that is sent to the page, in bytes. */
const mostBytes = 2 ** 30;

/** Cases and data of a run folder or prune folder. UserError where there is no such record. */
export async function readCaseRecord(folder: string): Promise<CaseRecord> {
  const name = ["run.json", "prune.json"].find((file) => existsSync(join(folder, file)));
  if (!name) return fail(`Expected run.json or prune.json in ${folder}, but there is neither.`);
  const value = (await readJson(join(folder, name))) as Partial<CaseRecord> | null;
  if (!value?.data || !Array.isArray(value.validationCases)) {
    fail(`Expected ${join(folder, name)} to be the record of a run with its data and cases, but it is not.`);
  }
  return value as CaseRecord;
}

/** The cases of the data set that a run was trained on. UserError where it is not where it was. */
export async function casesOfData({ data }: CaseRecord): Promise<DatasetCase[]> {
  const { path, images, labels, name } = data;
  const place = path ?? images;
  if (place === undefined || !existsSync(place)) {
    fail(
      `The data set ${name} is no longer at ${place ?? "its place"}, so its scans cannot be shown; put it back there (the run's record names the place).`,
    );
  }
  if (path === undefined) return findCases({ images: place, labels, allowIncomplete: true });
  const { training, test } = await readDataset(path, { allowIncomplete: true });
  return [...training, ...test];
}

export async function readRunPlan(folder: string): Promise<Plan> {
  return planFromJson(await readJson(join(folder, "plan.json")));
}

/** Cases whose folder listing is kept a little, so that looking through many does not read the data set's folders each time. */
const kept = new Map<string, { until: number; cases: Promise<DatasetCase[]> }>();
const keepMs = 10_000;

async function keptCases(folder: string): Promise<DatasetCase[]> {
  const now = performance.now();
  const old = kept.get(folder);
  if (old && old.until > now) return old.cases;
  const cases = readCaseRecord(folder).then(casesOfData);
  kept.clear(); // one run is looked at at a time
  kept.set(folder, { until: now + keepMs, cases });
  return cases;
}

/** What the page can show of a run's cases; a data set that is gone is a sentence, not an error. */
export async function listCases(folder: string): Promise<CaseList> {
  try {
    const cases = await keptCases(folder);
    const [first] = cases[0]?.images ?? [];
    return {
      pictures: first !== undefined && (scanExtension(first) === ".png" || (await holdsSlices(first))),
      cases: cases.map(({ id, images, label }) => ({ id, images: images.length, label: label !== undefined })),
      problem: null,
    };
  } catch (error) {
    if (error instanceof UserError) return { cases: [], pictures: false, problem: error.message };
    throw error;
  }
}

/**
 * A scan of a case as the page reads it: the path of a NIfTI file, or the bytes of one made from another format. `part` is the
 * number of an image file, or "truth".
 */
export async function scanOfCase(
  folder: string,
  id: string,
  part: number | "truth",
): Promise<{ path: string } | { bytes: Uint8Array }> {
  const entry = (await keptCases(folder)).find((one) => one.id === id);
  const path = part === "truth" ? entry?.label : entry?.images[part];
  if (!entry || path === undefined) throw new RequestError(404, `The data set has no such scan of the case ${id}.`);
  if (/\.nii(\.gz)?$/i.test(path)) {
    const info = await stat(path).catch(() => {
      throw new RequestError(404, `The file ${path} of case ${id} is gone; put it back.`);
    });
    checkSize(info.size, path);
    return { path };
  }
  const volumes =
    part === "truth"
      ? await readLabelMap(path, { targets: await readRunPlan(folder), like: await readHeader(entry.images[0]) })
      : await readChannels(path);
  const bytes = await writeNifti(volumes);
  checkSize(bytes.length, path);
  return { bytes };
}

function checkSize(bytes: number, path: string): void {
  if (bytes <= mostBytes) return;
  throw new RequestError(413, `${basename(path)} has more than 1 GiB, too much to be looked at in a page.`);
}
