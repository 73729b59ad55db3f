import { stackCharts } from "../util/chart.ts";
import { parseLines } from "../util/parse-lines.ts";

/** One line of log.jsonl. Dice values lie in [0, 1]. */
export interface EpochRecord {
  epoch: number;
  /** Steps done at the end of the epoch. */
  step: number;
  /** Means over the epoch's steps. */
  loss: number;
  gradientNorm: number;
  /** Soft Dice on the training batches, one per class, background first. */
  trainDice: number[];
  /** Learning rate of the last step. */
  lr: number;
  /** One per foreground class; null where this epoch was not checked. */
  validationDice: number[] | null;
  /** Number of cases checked. */
  validationCases: number;
  /** Wall time of the steps, of the check, and the share of the steps' time spent waiting for data. */
  seconds: number;
  validationSeconds: number;
  waitingShare: number;
}

export const parseLog = (text: string): EpochRecord[] => parseLines(text);

/** Share of the time of all steps that they waited for their batches. */
export function waitingShare(records: readonly Pick<EpochRecord, "seconds" | "waitingShare">[]): number {
  const seconds = records.reduce((sum, r) => sum + r.seconds, 0);
  return records.reduce((sum, r) => sum + r.seconds * r.waitingShare, 0) / Math.max(1e-9, seconds);
}

/** progress.svg: loss, soft training Dice and validation Dice over the steps. */
export function progressChart(records: readonly EpochRecord[], classNames: readonly string[], title: string): string {
  const points = (value: (r: EpochRecord) => number | null): [number, number][] =>
    records.flatMap((r): [number, number][] => {
      const y = value(r);
      return y === null || !Number.isFinite(y) ? [] : [[r.step, y]];
    });
  // Classes begin with the background, regions have none.
  const foreground = (dice: number[]): number =>
    dice.slice(dice.length - classNames.length).reduce((sum, d) => sum + d, 0) / Math.max(1, classNames.length);
  const dice = [
    { name: "training Dice (soft)", points: points((r) => foreground(r.trainDice)) },
    ...classNames.map((name, i) => ({
      name: `validation ${name}`,
      points: points((r) => r.validationDice?.[i] ?? null),
    })),
  ].filter((series) => series.points.length > 0);
  // Early values would squeeze what matters: the axis starts a little below where the last three quarters of the curves do.
  const late = dice.flatMap((series) => series.points.slice(Math.floor(series.points.length / 4)).map(([, y]) => y));
  const low = Math.max(0, Math.floor(10 * Math.min(0.9, ...late)) / 10);
  return stackCharts([
    {
      title: `${title}: loss`,
      xLabel: "step",
      yLabel: "loss",
      series: [{ name: "loss", points: points((r) => r.loss) }],
    },
    { title: "Dice", xLabel: "step", yLabel: "Dice", yRange: [low, 1], series: dice },
  ]);
}
