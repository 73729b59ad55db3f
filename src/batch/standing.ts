import { existsSync } from "node:fs";
import { stat } from "node:fs/promises";
import { join } from "node:path";
import type { PredictInput } from "../predict/files.ts";
import { UserError } from "../util/errors.ts";
import { type BatchOrder, type CaseSettings, settingsOf } from "./order.ts";
import type { CaseRecord, DoneRecord } from "./record.ts";
import { sameScan, stateOfScan } from "./scan-state.ts";

/** What a folder of predictions holds of the cases asked for. */
export interface Standing {
  done: DoneRecord[];
  /** Those to predict; last those at which a call was killed. */
  open: PredictInput[];
  /** "12 again, whose scan has changed": why, where there is something in the folder already. */
  reasons: string[];
  /** Label maps that somebody changed since: they are kept. */
  changed: string[];
}

type Reason = "forced" | "other models" | "other options" | "changed scan" | "no map" | "failed" | "killed";

/** In the order in which they are told. */
const reasonWords: Record<Reason, (n: number) => string> = {
  forced: (n) => `${n} again (--force)`,
  "other models": (n) => `${n} again, predicted by other models`,
  "other options": (n) => `${n} again, predicted with other options or another version of lunet`,
  "changed scan": (n) => `${n} again, whose scan has changed`,
  "no map": (n) => `${n} again, whose label map is gone`,
  failed: (n) => `${n} again, which failed before`,
  killed: (n) => `${n} at the end, at which an earlier call was cut off`,
};

/**
 * Which cases are done: those whose record says so for the same scan (name, bytes and time of change of its files), models (by
 * their bytes), options and version of the program, and whose label map is there.
 */
export async function standingOf(
  inputs: readonly PredictInput[],
  records: ReadonlyMap<string, CaseRecord>,
  order: BatchOrder,
  force = false,
): Promise<Standing> {
  const standing: Standing = { done: [], open: [], reasons: [], changed: [] };
  const last: PredictInput[] = [];
  const counts = new Map<Reason, number>();
  for (const input of inputs) {
    const record = records.get(input.id);
    const reason = record ? await reasonToPredict(input, record, order, force) : undefined;
    if (record?.state === "done" && !reason) {
      standing.done.push(record);
      if (record.bytes > 0 && (await stat(join(order.out, record.file))).size !== record.bytes)
        standing.changed.push(record.file);
      continue;
    }
    (reason === "killed" ? last : standing.open).push(input);
    if (reason) counts.set(reason, (counts.get(reason) ?? 0) + 1);
  }
  standing.open.push(...last);
  for (const [reason, words] of Object.entries(reasonWords)) {
    const n = counts.get(reason as Reason);
    if (n) standing.reasons.push(words(n));
  }
  return standing;
}

async function reasonToPredict(
  input: PredictInput,
  record: CaseRecord,
  order: BatchOrder,
  force: boolean,
): Promise<Reason | undefined> {
  if (record.state === "begun") return "killed";
  if (record.state === "failed") return "failed";
  if (force) return "forced";
  const now = settingsOf(order, input.models);
  const differs = (key: keyof CaseSettings): boolean =>
    JSON.stringify(now[key]) !== JSON.stringify(record.settings[key]);
  if (differs("models")) return "other models";
  if ((Object.keys(now) as (keyof CaseSettings)[]).some(differs)) return "other options";
  if (!existsSync(join(order.out, record.file))) return "no map";
  const scans = await Promise.all(input.images.map((image) => stateOfScan(image, order.out))).catch((error) => {
    // Its prediction says what is wrong.
    if (error instanceof UserError) return [];
    throw error;
  });
  if (scans.length !== record.scans.length) return "changed scan";
  for (const [c, scan] of scans.entries()) {
    if (!(await sameScan(scan, record.scans[c], order.out))) return "changed scan";
  }
  return undefined;
}
