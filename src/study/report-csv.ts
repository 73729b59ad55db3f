import { meanScore } from "./claims-compare.ts";
import type { StudyData } from "./report-load.ts";
import { type ArmRow, memories, type Range, type Spread } from "./report-rows.ts";

type Cell = string | number | boolean | null | undefined;

/** Rows as CSV (RFC 4180); null becomes an empty cell. */
export function csvOf(head: readonly string[], rows: readonly (readonly Cell[])[]): string {
  const cell = (value: Cell): string => {
    const text = value === null || value === undefined ? "" : String(value);
    return /[",\r\n]/.test(text) ? `"${text.replaceAll('"', '""')}"` : text;
  };
  return [head, ...rows].map((row) => `${row.map(cell).join(",")}\r\n`).join("");
}

const ranged = ["parameters", "parametersWithoutNorm", "macs", "inferenceBytes", "trainingBytes", "latencyMs"] as const;
const scored = ["dice", "hd95", "nsd"] as const;

/** `report.csv`: one row an arm. */
export function armsCsv(rows: readonly ArmRow[], classes: readonly string[]): string {
  const head = [
    ...["arm", "label", "group", "net", "runs", "failed", "open", "trainingCases", "testCases"],
    ...ranged.flatMap((name) => [name, `${name}Min`, `${name}Max`]),
    ...memories.map((gib) => `largestBatch${gib}GiB`),
    ...scored.flatMap((name) => [name, `${name}Sd`]),
    ...classes.flatMap((name) => [`dice ${name}`, `diceSd ${name}`]),
    "hd95Missing",
    "secondsPerRun",
  ];
  const range = (value: Range | null): Cell[] => [value?.median, value?.min, value?.max];
  const spread = (value: Spread): Cell[] => [value?.mean, value?.sd];
  return csvOf(
    head,
    rows.map((row) => [
      ...[row.id, row.label, row.group, row.net, row.runs, row.failed, row.open],
      row.trainingCases?.median,
      row.testCases,
      ...ranged.flatMap((name) => range(row[name])),
      ...memories.map((gib) => row.largestBatch?.[gib]),
      ...scored.flatMap((name) => spread(row[name])),
      ...classes.flatMap((_, c) => spread(row.classDice[c] ?? null)),
      row.hd95Missing,
      row.secondsPerRun,
    ]),
  );
}

/** `report-sizes.csv`: one row a run and size, for one's own plots. */
export function sizesCsv(data: StudyData): string {
  const head = [
    ...["run", "arm", "label", "fold", "seed", "step", "chosen", "channels", "parameters", "parametersWithoutNorm"],
    ...["macs", "inferenceBytes", "trainingBytes", "latencyMs", "validationDice", "testDice", "testHd95", "testNsd"],
  ];
  return csvOf(
    head,
    data.results.flatMap((run) =>
      run.sizes.map((size, i) => [
        ...[run.run, run.arm, run.label, run.fold, run.seed, size.step, i === run.chosen],
        Object.values(size.widths).reduce((sum, width) => sum + width, 0),
        ...[size.parameters, size.parametersWithoutNorm, size.macs, size.inferenceBytes, size.trainingBytes],
        size.latencyMs,
        meanScore(size.validation, "dice"),
        ...scored.map((metric) => meanScore(size.test, metric)),
      ]),
    ),
  );
}

/** `report-cases.csv`: one row a run, test case and class at the chosen size, for one's own statistics. */
export function casesCsv(data: StudyData): string {
  const { classes, groups } = data.study;
  return csvOf(
    ["run", "arm", "label", "fold", "seed", "case", "patient", "class", "dice", "hd95", "nsd"],
    data.results.flatMap((run) =>
      Object.entries(run.sizes[run.chosen].test ?? {}).flatMap(([id, score]) =>
        score.dice.map((dice, c) => [
          ...[run.run, run.arm, run.label, run.fold, run.seed, id, groups?.[id]],
          classes?.[c] ?? String(c + 1),
          ...[dice, score.hd95[c], score.nsd[c]],
        ]),
      ),
    ),
  );
}
