import type { LabelInfo, Plan } from "../../src/dataset/types.ts";
import type { CurveRecord, PruneFile } from "../../src/prune/types.ts";
import type { StudyOnDisk } from "../../src/study/resolve.ts";
import type { EpochRecord } from "../../src/train/log.ts";
import type { RunFile } from "../../src/train/run-folder.ts";
import {
  type Entry,
  type Found,
  findEntries,
  joined,
  parseLog,
  parseRecord,
  type RunState,
  recordName,
  stateOf,
} from "./records.ts";
import { type Scores, scoreFiles, scoresOfEvaluation, scoresOfResult } from "./scores.ts";
import type { Source } from "./source.ts";

/** All that the page shows of a run. */
export interface RunData {
  entry: Entry;
  state: RunState;
  record: RunFile | PruneFile | null;
  /** Foreground labels, and names of the foreground classes or regions. */
  labels: LabelInfo[];
  classes: string[];
  log: EpochRecord[];
  curve: CurveRecord[];
  /** When a file of it last changed, in ms since 1970. */
  changed: number;
}

/** Reads a source again and again, each file only where it has changed. */
export interface Reader {
  source: Source;
  /** Of the last {@link refresh}. */
  found(): Found;
  folderName(): string;
  truncated(): boolean;
  /** Reads the listing anew; true where something changed. */
  refresh(): Promise<boolean>;
  text(path: string): Promise<string>;
  run(entry: Entry): Promise<RunData>;
  study(entry: Entry): Promise<StudyOnDisk | null>;
  /** Scores of a run's cases; null where there are none. */
  scores(run: RunData): Promise<Scores | null>;
}

export function createReader(source: Source): Reader {
  let found: Found = { entries: [], files: new Map() };
  let [name, truncated, signature] = ["", false, ""];
  const texts = new Map<string, { stamp: string; text: Promise<string> }>();

  const text = (path: string): Promise<string> => {
    const file = found.files.get(path);
    const stamp = file ? `${file.modified} ${file.size}` : "";
    const old = texts.get(path);
    if (old?.stamp === stamp) return old.text;
    const now = source.text(path);
    texts.set(path, { stamp, text: now });
    now.catch(() => texts.delete(path));
    return now;
  };
  const textIfThere = async (path: string): Promise<string> => (found.files.has(path) ? text(path) : "");

  const reader: Reader = {
    source,
    found: () => found,
    folderName: () => name,
    truncated: () => truncated,
    refresh: async () => {
      const listing = await source.list();
      const now = JSON.stringify(listing);
      if (now === signature) return false;
      signature = now;
      ({ name, truncated } = listing);
      found = findEntries(listing.files);
      return true;
    },
    text,
    run: async (entry) => {
      const kind = entry.kind === "prune" ? "prune" : "train";
      const file = recordName[kind];
      const parsed = parseRecord(await text(joined(entry.path, file)), joined(entry.path, file));
      const plan = parsePlan(await textIfThere(joined(entry.path, "plan.json")));
      const logName = kind === "train" ? "log.jsonl" : "curve.jsonl";
      const logText = await textIfThere(joined(entry.path, logName));
      const { records, problems } = parseLog<EpochRecord & CurveRecord>(logText, logName);
      const changed = Math.max(
        0,
        ...[file, logName, "model.safetensors"].map((own) => found.files.get(joined(entry.path, own))?.modified ?? 0),
      );
      const names = (plan?.regions ?? plan?.labels.slice(1) ?? []).map((one) => one.name);
      const count = records.findLast((r) => r.validationDice)?.validationDice?.length ?? names.length;
      const common = {
        entry,
        labels: plan?.labels.slice(1) ?? [],
        classes: Array.from({ length: count }, (_, c) => names[c] ?? `class ${c + 1}`),
        log: kind === "train" ? records : [],
        curve: kind === "prune" ? records : [],
        changed,
      };
      if ("problem" in parsed) {
        return { ...common, record: null, state: { ...nothing, problems: [parsed.problem, ...problems] } };
      }
      const lastStep = records.at(-1)?.step ?? null;
      const state = stateOf(kind, parsed.value, { lastStep, changed, now: Date.now() });
      const best = records.reduce((most, r) => Math.max(most, meanOf(r.validationDice)), Number.NEGATIVE_INFINITY);
      state.dice ??= Number.isFinite(best) ? best : null;
      return { ...common, record: parsed.value, state: { ...state, problems } };
    },
    study: async (entry) => {
      try {
        const value = JSON.parse(await text(joined(entry.path, "study.json"))) as Partial<StudyOnDisk>;
        const fits = value.version === 1 && Array.isArray(value.arms) && typeof value.runs === "number";
        return fits && Array.isArray(value.folds) && Array.isArray(value.seeds) ? (value as StudyOnDisk) : null;
      } catch {
        return null;
      }
    },
    scores: async ({ entry, classes }) => {
      const siblings = found.entries.filter(
        ({ kind, path }) => kind !== "study" && kind !== "folds" && path !== entry.path,
      );
      for (const file of scoreFiles(entry.path, found.files.keys(), siblings.length === 0)) {
        const scores = found.files.has(file) ? scoresOfEvaluation(await text(file), file) : null;
        if (scores) return scores;
      }
      const result = joined(entry.path, "result.json");
      return found.files.has(result) ? scoresOfResult(await text(result), result, classes) : null;
    },
  };
  return reader;
}

const nothing = { word: "damaged", net: "", parameters: null, step: null, steps: null, dice: null } as const;

function parsePlan(text: string): Plan | null {
  try {
    const plan = JSON.parse(text) as Plan;
    return Array.isArray(plan.labels) ? plan : null;
  } catch {
    return null;
  }
}

const meanOf = (dice: readonly number[] | null | undefined): number =>
  dice && dice.length > 0 ? dice.reduce((sum, d) => sum + d, 0) / dice.length : Number.NEGATIVE_INFINITY;
