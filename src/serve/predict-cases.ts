import { stat } from "node:fs/promises";
import { join } from "node:path";
import { readCase } from "../dataset/load.ts";
import type { DatasetCase, Plan } from "../dataset/types.ts";
import { createBackend } from "../engine/backend.ts";
import { type CaseMetrics, evaluateCase } from "../evaluate/case.ts";
import { summarise } from "../evaluate/summary.ts";
import { loadModel, modelFileName } from "../model/files.ts";
import { createPredictor, type Predictor } from "../predict/segment.ts";
import { fail, UserError } from "../util/errors.ts";
import { writeFileAtomic } from "../util/files.ts";
import { writeVolume } from "../volume/files.ts";
import { casesOfData, readCaseRecord } from "./cases.ts";
import { type CasesFile, casesFile, casesFolder } from "./types.ts";

/** Between two writings of the scores of all cases so far, in ms. */
const pauseMs = 2000;

/**
 * Predicts the validation cases of a run folder (or prune folder) with its model and scores them on their own grids, as `predict --cases val` and
 * `evaluate` do. Writes `validation-cases/ID.nii.gz` and, every few seconds, `validation-cases/cases.json`. Cases that cannot be
 * read are named in the result ("" where all went well). UserError where there is no model, no data set or no validation case.
 */
export async function predictCases(folder: string, onProgress: (done: number, total: number) => void): Promise<string> {
  const record = await readCaseRecord(folder);
  const ids = new Set(record.validationCases);
  if (ids.size === 0) fail("The run has no validation cases: it was trained on all cases (--fold none).");
  const file = join(folder, modelFileName);
  // Before it is read: a model that training replaces meanwhile then counts as newer.
  const modified = (await stat(file).catch(() => null))?.mtimeMs ?? 0;
  const model = await loadModel(folder);
  const wanted = (await casesOfData(record)).filter(({ id }) => ids.has(id));
  const out = join(folder, casesFolder);
  const cases: CaseMetrics[] = [];
  const failed: CasesFile["failed"] = [...ids]
    .filter((id) => !wanted.some((entry) => entry.id === id))
    .map((id) => ({ id, error: "The case is no longer in the data set." }));
  let written = Number.NEGATIVE_INFINITY;
  const write = async (): Promise<void> => {
    const { labels, regions } = model.plan;
    const value = { model: { file: modelFileName, modified }, labels, regions, ...summarise(cases), failed };
    await writeFileAtomic(join(out, casesFile), `${JSON.stringify(value satisfies CasesFile, null, 1)}\n`);
    written = performance.now();
  };
  const backend = await createBackend();
  const predictor = createPredictor(model, { backend });
  try {
    onProgress(0, wanted.length);
    for (const [done, entry] of wanted.entries()) {
      try {
        cases.push(await predictOne(entry, model.plan, predictor, out));
      } catch (error) {
        if (!(error instanceof UserError)) throw error;
        failed.push({ id: entry.id, error: error.message });
      }
      onProgress(done + 1, wanted.length);
      if (performance.now() - written > pauseMs) await write();
    }
    await write();
  } finally {
    predictor.close();
    backend.close();
  }
  if (cases.length === 0) fail(failed[0].error);
  return failed.map(({ id, error }) => `${id}: ${error}`).join(" ");
}

async function predictOne(entry: DatasetCase, plan: Plan, predictor: Predictor, out: string): Promise<CaseMetrics> {
  const { labels, regions } = plan;
  const names = plan.channels.map(({ name }) => name);
  const { images, label } = await readCase(entry, names, plan);
  // An id is any text in dataset.json, and here a file's name.
  if (/[/\\]|^\./.test(entry.id)) fail(`The case id "${entry.id}" cannot be a file's name; rename the case.`);
  const { labels: predicted } = await predictor.segment(images, { id: entry.id });
  await writeVolume(join(out, `${entry.id}.nii.gz`), predicted);
  return evaluateCase(entry.id, predicted, label!, labels, { regions });
}
