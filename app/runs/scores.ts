import type { CaseMetrics } from "../../src/evaluate/case.ts";
import { type CasesFile, casesFile, casesFolder } from "../../src/serve/types.ts";
import type { RunResult } from "../../src/study/types.ts";
import { folderOf, joined, nameOf, stemOf } from "./records.ts";

/** Scores of one case, an entry a class. */
export interface CaseRow {
  id: string;
  dice: number[];
  /** mm; null where a surface is missing, absent where it was not measured. */
  hd95?: (number | null)[];
  /** Mean Dice over the classes. */
  mean: number;
  /** "validation" or "test", where a study tells. */
  part?: string;
}

/** Scores of cases, and the file that they come from. */
export interface Scores {
  file: string;
  classes: string[];
  rows: CaseRow[];
  /** Of our own predictions: when the model that made them was written. */
  model?: number;
  failed: { id: string; error: string }[];
}

const mean = (values: readonly number[]): number => values.reduce((sum, v) => sum + v, 0) / Math.max(1, values.length);

/** Cases from worst to best; by the mean Dice, or by one class. */
export function worstFirst(rows: readonly CaseRow[], by: number | "mean"): CaseRow[] {
  const value = (row: CaseRow): number => (by === "mean" ? row.mean : row.dice[by]);
  return rows.toSorted((a, b) => value(a) - value(b) || (a.id < b.id ? -1 : 1));
}

/** What `lunet evaluate --json` wrote, or the page's own predictions; null for another JSON file. */
export function scoresOfEvaluation(text: string, file: string): Scores | null {
  const value = parse(text) as Partial<CasesFile> | null;
  const cases: CaseMetrics[] | undefined = value?.cases;
  const fits =
    Array.isArray(cases) &&
    cases.every(
      (one) =>
        typeof one?.id === "string" &&
        Array.isArray(one.classes) &&
        one.classes.every((c) => typeof c?.dice === "number"),
    );
  if (!fits) return null;
  return {
    file,
    classes: (cases[0]?.classes ?? []).map(({ name }) => name),
    rows: cases.map(({ id, classes }) => {
      const dice = classes.map((c) => c.dice);
      return { id, dice, hd95: classes.map((c) => c.hd95), mean: mean(dice) };
    }),
    ...(typeof value?.model?.modified === "number" ? { model: value.model.modified } : {}),
    failed: Array.isArray(value?.failed) ? value.failed : [],
  };
}

/** Scores of a study's run: its chosen size on test and validation cases. */
export function scoresOfResult(text: string, file: string, classes: readonly string[]): Scores | null {
  const value = parse(text) as Partial<RunResult> | null;
  const size = value?.sizes?.[value.chosen ?? 0];
  if (!size) return null;
  const rows = (["test", "validation"] as const).flatMap((part) =>
    Object.entries(size[part] ?? {}).map(
      ([id, { dice, hd95 }]): CaseRow => ({ id, dice, hd95, mean: mean(dice), part }),
    ),
  );
  const count = rows[0]?.dice.length ?? 0;
  const names = Array.from({ length: count }, (_, c) => classes[c] ?? `class ${c + 1}`);
  return { file, classes: names, rows, failed: [] };
}

function parse(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return null;
  }
}

/** Files that may hold scores of a run's cases: our own first, then JSON files in its folder, then those beside it. */
export function scoreFiles(run: string, paths: Iterable<string>, alone: boolean): string[] {
  const own = joined(run, `${casesFolder}/${casesFile}`);
  const known = new Set([
    "run.json",
    "prune.json",
    "plan.json",
    "best.json",
    "config.json",
    "result.json",
    "failure.json",
  ]);
  const inside = (path: string, folder: string): boolean => folder === "" || path.startsWith(`${folder}/`);
  const others = [...paths].filter((path) => {
    if (!path.endsWith(".json") || known.has(nameOf(path)) || path === own) return false;
    return (
      inside(path, run) ||
      (alone && folderOf(path) === folderOf(run)) ||
      (alone && folderOf(folderOf(path)) === folderOf(run))
    );
  });
  others.sort((a, b) => Number(inside(b, run)) - Number(inside(a, run)) || (a < b ? -1 : 1));
  return [own, ...others];
}

/** The label map of a case that belongs to scores: in their folder, or in a folder beside their file, or among the run's files. */
export function predictionOf(
  scores: Pick<Scores, "file"> | null,
  run: string,
  id: string,
  paths: Iterable<string>,
): string | null {
  const maps = [...paths].filter((path) => /\.(nii|nii\.gz|nrrd|mha)$/i.test(path) && stemOf(path) === id);
  const near = scores ? folderOf(scores.file) : run;
  const rank = (path: string): number =>
    folderOf(path) === near
      ? 0
      : folderOf(folderOf(path)) === near
        ? 1
        : run !== "" && path.startsWith(`${run}/`)
          ? 2
          : 3;
  const best = maps.toSorted((a, b) => rank(a) - rank(b))[0];
  const parent = folderOf(run);
  const reachable = best && (rank(best) < 3 || run === "" || folderOf(folderOf(best)) === parent);
  return reachable ? best : null;
}

/**
 * Whether predictions come from an older model than the run has now, by the times (ms) at which the model that made them, the present
 * model and the scores were written. Copying a folder gives all its files new times: then the last two are close, the first is not.
 */
export function isOlderModel(made: number, model: number, scores: number): boolean {
  const copied = Math.abs(model - scores) < 10_000 && made < Math.min(model, scores) - 60_000;
  return Math.abs(model - made) > 1 && !copied;
}
