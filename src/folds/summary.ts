import { meanSd } from "../study/statistics.ts";
import type { RunFile } from "../train/run-folder.ts";
import { textTable } from "../util/text-table.ts";

/** Mean and sample standard deviation over the folds; `sd` is null for one fold. */
export interface FoldsFigure {
  mean: number;
  sd: number | null;
}

/** Validation Dice of the best weights of each fold. */
export interface FoldsSummary {
  classes: ({ name: string } & FoldsFigure)[];
  /** Over the folds' means over the classes. */
  mean: FoldsFigure;
  folds: { fold: number; state: RunFile["state"]; steps: number; dice: number[]; meanDice: number }[];
}

/** What the folds reached; null while one of them has no result. `names` are those of the foreground classes. */
export function summariseFolds(runs: readonly (RunFile | null)[], names: readonly string[]): FoldsSummary | null {
  const folds = runs.flatMap((run, fold) => {
    const best = run?.result?.best;
    if (!run || !best?.dice || best.meanDice === null) return [];
    return [{ fold, state: run.state, steps: best.step, dice: best.dice, meanDice: best.meanDice }];
  });
  if (folds.length < runs.length || folds.length === 0) return null;
  const figure = (values: number[]): FoldsFigure => {
    const { mean, sd } = meanSd(values)!;
    return { mean, sd };
  };
  return {
    classes: names.map((name, c) => ({ name, ...figure(folds.map(({ dice }) => dice[c])) })),
    mean: figure(folds.map(({ meanDice }) => meanDice)),
    folds,
  };
}

/** A row per fold, then mean and sd, in percent. */
export function foldsTable({ classes, mean, folds }: FoldsSummary): string {
  const percent = (value: number | null): string => (value === null ? "-" : (100 * value).toFixed(2));
  const figures = [...classes, mean];
  return textTable(
    [
      ["Dice %", ...classes.map(({ name }) => name), "mean"],
      ...folds.map(({ fold, dice, meanDice }) => [`fold ${fold}`, ...dice.map(percent), percent(meanDice)]),
      ["mean", ...figures.map((figure) => percent(figure.mean))],
      ["sd", ...figures.map(({ sd }) => percent(sd))],
    ],
    1,
  );
}
