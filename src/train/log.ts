import { appendFile, readFile } from "node:fs/promises";
import { stackCharts } from "../util/chart.ts";
import { explainFileError, writeFileAtomic } from "../util/files.ts";

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

/** The records of a log; a line that a kill cut off in the middle is left out. */
export function parseLog(text: string): EpochRecord[] {
  return text.split("\n").flatMap((line) => {
    try {
      return line === "" ? [] : [JSON.parse(line) as EpochRecord];
    } catch {
      return [];
    }
  });
}

export async function readLog(path: string): Promise<EpochRecord[]> {
  try {
    return parseLog(await readFile(path, "utf8"));
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === "ENOENT") return [];
    throw explainFileError(error, path) ?? error;
  }
}

/** Drops the records from an epoch on, so that a run resumed in it goes on as if it had never stopped. */
export async function rewindLog(path: string, epoch: number): Promise<EpochRecord[]> {
  const kept = (await readLog(path)).filter((record) => record.epoch < epoch);
  await writeFileAtomic(path, kept.map((record) => `${JSON.stringify(record)}\n`).join(""));
  return kept;
}

export async function appendLog(path: string, record: EpochRecord): Promise<void> {
  try {
    await appendFile(path, `${JSON.stringify(record)}\n`);
  } catch (error) {
    throw explainFileError(error, path) ?? error;
  }
}

/** progress.svg: loss, soft training Dice and validation Dice over the steps. */
export function progressChart(records: readonly EpochRecord[], classNames: readonly string[], title: string): string {
  const points = (value: (r: EpochRecord) => number | null): [number, number][] =>
    records.flatMap((r): [number, number][] => {
      const y = value(r);
      return y === null || !Number.isFinite(y) ? [] : [[r.step, y]];
    });
  const foreground = (dice: number[]): number =>
    dice.slice(1).reduce((sum, d) => sum + d, 0) / Math.max(1, dice.length - 1);
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
