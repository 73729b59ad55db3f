import type { PruneFile } from "../../src/prune/types.ts";
import type { ListedFile } from "../../src/serve/types.ts";
import type { StudyOnDisk } from "../../src/study/resolve.ts";
import type { RunFile } from "../../src/train/run-folder.ts";

/** The folders of a listing that hold something to show. */
export interface Found {
  /** Trained and pruned runs, cross-validations and studies, in the order of their paths. */
  entries: Entry[];
  /** All files by path. */
  files: Map<string, ListedFile>;
}

export interface Entry {
  kind: "train" | "prune" | "folds" | "study";
  /** Folder, relative; "" for the folder that was opened. */
  path: string;
  /** Path of the cross-validation or study that it is a part of. */
  parent: string | null;
}

/** How a run stands, for the list and its heading. */
export interface RunState {
  word: "running" | "quiet" | "interrupted" | "finished" | "time limit" | "damaged";
  net: string;
  parameters: number | null;
  step: number | null;
  steps: number | null;
  /** Mean validation Dice of the best weights. */
  dice: number | null;
  /** What is wrong with its files, a sentence each. */
  problems: string[];
}

const recordNames = {
  "run.json": "train",
  "prune.json": "prune",
  "cross-validation.json": "folds",
  "study.json": "study",
} as const;
export const recordName = {
  train: "run.json",
  prune: "prune.json",
  folds: "cross-validation.json",
  study: "study.json",
} as const;

export const joined = (folder: string, name: string): string => (folder === "" ? name : `${folder}/${name}`);
export const nameOf = (path: string): string => path.slice(path.lastIndexOf("/") + 1);
export const folderOf = (path: string): string => path.slice(0, Math.max(0, path.lastIndexOf("/")));

/** The file of a case's name: without folder and scan ending. */
export const stemOf = (path: string): string => nameOf(path).replace(/\.(nii\.gz|nii|nrrd|mha)$/i, "");

/** What a listing holds. */
export function findEntries(files: readonly ListedFile[]): Found {
  const entries = files
    .flatMap(({ path }): Entry[] => {
      const name = nameOf(path);
      return Object.hasOwn(recordNames, name)
        ? [{ kind: recordNames[name as keyof typeof recordNames], path: folderOf(path), parent: null }]
        : [];
    })
    .sort((a, b) => compareNames(a.path, b.path));
  for (const entry of entries) {
    const owner = entries.find(({ kind, path }) => {
      if (kind === "study") return entry.path.startsWith(joined(path, "runs/"));
      return kind === "folds" && folderOf(entry.path) === path && /^fold\d+$/.test(nameOf(entry.path));
    });
    entry.parent = owner?.path ?? null;
  }
  return { entries, files: new Map(files.map((file) => [file.path, file])) };
}

/** fold2 before fold10. */
export const compareNames = (a: string, b: string): number => a.localeCompare(b, "en", { numeric: true });

/** The record in a file's text, or the sentence on what is wrong with it. */
export function parseRecord(text: string, name: string): { value: RunFile | PruneFile } | { problem: string } {
  let value: Partial<RunFile & PruneFile> | null;
  try {
    value = JSON.parse(text);
  } catch {
    return { problem: `${name} is not JSON; the run cannot be shown. Restore the file, or train again with --force.` };
  }
  if (
    value?.version !== 1 ||
    typeof value.state !== "string" ||
    !value.settings ||
    !Array.isArray(value.validationCases)
  ) {
    return { problem: `${name} is not the record of a run of this version of lunet.` };
  }
  return { value: value as RunFile | PruneFile };
}

/** The records of a log, a JSON value a line, and which lines are damaged. A last line that is being written is neither. */
export function parseLog<T>(text: string, name: string): { records: T[]; problems: string[] } {
  const records: T[] = [];
  const bad: number[] = [];
  const lines = text.split("\n");
  for (const [index, line] of lines.entries()) {
    if (line === "") continue;
    try {
      const value: unknown = JSON.parse(line);
      if (typeof value !== "object" || value === null || !("step" in value)) throw new Error();
      records.push(value as T);
    } catch {
      if (index < lines.length - 1) bad.push(index + 1);
    }
  }
  const which =
    bad.length === 1 ? `Line ${bad[0]}` : `Lines ${bad.slice(0, 5).join(", ")}${bad.length > 5 ? ", ..." : ""}`;
  return {
    records,
    problems: bad.length === 0 ? [] : [`${which} of ${name} ${bad.length === 1 ? "is" : "are"} damaged and left out.`],
  };
}

const words: Record<string, RunState["word"]> = {
  running: "running",
  interrupted: "interrupted",
  finished: "finished",
  "stopped at the time limit": "time limit",
};

/** A run that says that it is running but wrote nothing for so long, in ms, was perhaps killed. */
const quietAfter = 15 * 60_000;

/** How a run stands by its record, its last logged step, and when a file of it last changed. */
export function stateOf(
  kind: "train" | "prune",
  record: RunFile | PruneFile,
  { lastStep, changed, now }: { lastStep: number | null; changed: number; now: number },
): RunState {
  const word = words[record.state] ?? "finished";
  const state = {
    word: word === "running" && now - changed > quietAfter ? ("quiet" as const) : word,
    net: record.netName,
    problems: [],
  };
  if (kind === "prune") {
    const { result, parameters } = record as PruneFile;
    const chosen = result?.chosen;
    return {
      ...state,
      parameters: chosen?.parameters ?? parameters,
      step: result?.last.step ?? lastStep,
      steps: result?.last.step ?? null,
      dice: chosen?.meanDice ?? null,
    };
  }
  const { result, parameters, steps } = record as RunFile;
  const step = Math.max(result?.last.step ?? 0, lastStep ?? 0);
  return { ...state, parameters, step, steps, dice: result?.best.meanDice ?? null };
}

export type StudyRunWord = "done" | "failed" | "running" | "interrupted" | "waiting" | "missing";

/** A run of a study, by the files of its folder; the order of the runs tells what it is. */
export interface StudyRun {
  name: string;
  path: string;
  arm: number;
  fold: number;
  seed: number;
  word: StudyRunWord;
}

export function studyRuns(study: StudyOnDisk, folder: string, files: Found["files"]): StudyRun[] {
  return Array.from({ length: study.runs }, (_, index) => {
    const name = String(index + 1).padStart(4, "0");
    const path = joined(folder, `runs/${name}`);
    const has = (file: string): boolean => files.has(`${path}/${file}`);
    const pair = Math.floor(index / study.arms.length);
    const begun = has("run.json") || has("prune.json");
    const word = has("result.json")
      ? "done"
      : has("failure.json")
        ? "failed"
        : has("run.lock")
          ? "running"
          : begun
            ? "interrupted"
            : has("config.json")
              ? "waiting"
              : "missing";
    return {
      name,
      path,
      arm: index % study.arms.length,
      fold: study.folds[Math.floor(pair / study.seeds.length)],
      seed: study.seeds[pair % study.seeds.length],
      word,
    };
  });
}
