import type { CurveRecord } from "../../src/prune/types.ts";
import type { EpochRecord } from "../../src/train/log.ts";
import { niceTicks } from "../../src/util/chart.ts";
import type { Chart, Series } from "../shared/chart.ts";

/** A run as the charts need it. */
export interface CurveRun {
  kind: "train" | "prune";
  name: string;
  /** Number of its colour where several runs are drawn. */
  colour: number;
  log: readonly EpochRecord[];
  curve: readonly CurveRecord[];
  /** Names of the foreground classes. */
  classes: readonly string[];
}

const percent = (y: number): string => `${(100 * y).toFixed(1)} %`;
const mean = (values: readonly number[]): number => values.reduce((sum, v) => sum + v, 0) / Math.max(1, values.length);

function pointsOf<T>(
  records: readonly T[],
  x: (r: T) => number,
  y: (r: T) => number | null | undefined,
): [number, number][] {
  return records.flatMap((record): [number, number][] => {
    const value = y(record);
    return typeof value === "number" ? [[x(record), value]] : [];
  });
}

/** Early values would squeeze what matters: the axis starts a little below where the last three quarters of the curves do. */
function diceRange(series: readonly Series[]): [number, number] {
  const late = series.flatMap(({ points }) => points.slice(Math.floor(points.length / 4)).map(([, y]) => y));
  return [Math.max(0, Math.floor(10 * Math.min(0.9, ...late)) / 10), 1];
}

/** The first values of a loss are often many times the rest: where they are, the axis ends above what follows. */
function lossRange(series: readonly Series[]): [number, number] | undefined {
  const all = series.flatMap(({ points }) => points.map(([, y]) => y));
  const late = series.flatMap(({ points }) => points.slice(Math.ceil(points.length / 20)).map(([, y]) => y));
  if (late.length < 5) return undefined;
  const [low, high] = [late.reduce((a, b) => Math.min(a, b)), late.reduce((a, b) => Math.max(a, b))];
  if (all.reduce((a, b) => Math.max(a, b)) < 1.5 * high) return undefined;
  const ticks = niceTicks(Math.min(0, low), high, 4);
  return [ticks[0], ticks[ticks.length - 1]];
}

const lossChart = (xLabel: string, series: Series[]): Chart => ({
  ...{ title: "Loss", xLabel, series },
  yRange: lossRange(series),
});

const diceChart = (title: string, xLabel: string, series: Series[], xScale?: Chart["xScale"]): Chart => ({
  ...{ title, xLabel, series, xScale },
  yRange: diceRange(series),
  format: percent,
});

/** The charts of one run. */
export function chartsOfRun(run: CurveRun): Chart[] {
  return run.kind === "train" ? trainCharts(run) : pruneCharts(run);
}

const stepOf = (r: { step: number }): number => r.step;
const parametersOf = (r: CurveRecord): number => r.parameters;

function trainCharts({ log, classes }: CurveRun): Chart[] {
  const series = (
    name: string,
    y: (r: EpochRecord) => number | null | undefined,
    colour = 0,
    faint = false,
  ): Series => ({
    ...{ name, colour, faint },
    points: pointsOf(log, stepOf, y),
  });
  // Classes begin with the background, regions have none.
  const training = (r: EpochRecord): number | null =>
    Array.isArray(r.trainDice) ? mean(r.trainDice.slice(r.trainDice.length - classes.length)) : null;
  const dice = [
    ...classes.map((name, c) => series(name, (r) => r.validationDice?.[c], c)),
    series("training (soft, mean)", training, 7, true),
  ];
  return [
    lossChart("step", [series("loss", (r) => r.loss)]),
    diceChart("Validation Dice", "step", dice),
    { title: "Learning rate", xLabel: "step", series: [series("learning rate", (r) => r.lr)] },
  ];
}

function pruneCharts({ curve, classes }: CurveRun): Chart[] {
  const series = (
    name: string,
    x: (r: CurveRecord) => number,
    y: (r: CurveRecord) => number | null | undefined,
    colour = 0,
  ) => ({
    ...{ name, colour },
    points: pointsOf(curve, x, y),
  });
  const dice = (x: (r: CurveRecord) => number): Series[] =>
    classes.map((name, c) => series(name, x, (r) => r.validationDice?.[c], c));
  return [
    diceChart("Validation Dice against size", "parameters", dice(parametersOf), "log"),
    diceChart("Validation Dice", "removal", dice(stepOf)),
    lossChart("removal", [series("loss", stepOf, (r) => r.trainLoss)]),
  ];
}

const lines = (runs: readonly CurveRun[], y: (run: CurveRun) => [number, number][]): Series[] =>
  runs.map((run) => ({ name: run.name, colour: run.colour, points: y(run) }));

/** Charts with a line a run, those of pruning apart. */
export function chartsOfSeveral(runs: readonly CurveRun[]): Chart[] {
  const trained = runs.filter(({ kind }) => kind === "train");
  const pruned = runs.filter(({ kind }) => kind === "prune");
  const charts: Chart[] = [];
  if (trained.length > 0) {
    const of = (y: (r: EpochRecord) => number | null): Series[] =>
      lines(trained, ({ log }) => pointsOf(log, stepOf, y));
    charts.push(
      diceChart(
        "Mean validation Dice",
        "step",
        of((r) => (r.validationDice ? mean(r.validationDice) : null)),
      ),
      lossChart(
        "step",
        of((r) => r.loss),
      ),
      { title: "Learning rate", xLabel: "step", series: of((r) => r.lr) },
    );
  }
  if (pruned.length > 0) {
    const of = (x: (r: CurveRecord) => number): Series[] =>
      lines(pruned, ({ curve }) => pointsOf(curve, x, (r) => r.meanDice));
    charts.push(
      diceChart("Mean validation Dice against size", "parameters", of(parametersOf), "log"),
      diceChart("Mean validation Dice while pruning", "removal", of(stepOf)),
    );
  }
  return charts;
}
