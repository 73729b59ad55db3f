import { type BootstrapOptions, bootstrapMean, type Interval } from "./bootstrap.ts";
import type { CaseMetrics, ClassMetrics } from "./case.ts";

/** Metrics that a summary averages, in the order in which tables show them. */
export const metricNames = [
  "dice",
  "iou",
  "precision",
  "recall",
  "hd95",
  "assd",
  "nsd",
  "volumeErrorMl",
] as const satisfies readonly (keyof ClassMetrics)[];

export type MetricName = (typeof metricNames)[number];

/** Mean and its bootstrap interval over the cases where the metric is defined (`n` of them); null where there are none. */
export type MetricSummary = Record<MetricName, Interval | null>;

export interface Summary {
  cases: CaseMetrics[];
  /** One entry per class or region (with its label values), over cases. */
  classes: ({ value: number; values?: number[]; name: string } & MetricSummary)[];
  /** Over cases, each case counting with the mean over its classes (of those where the metric is defined). */
  mean: MetricSummary;
}

/** Averages metrics over cases; every case must list the same classes in the same order, as {@link evaluateCase} gives them. */
export function summarise(cases: readonly CaseMetrics[], options: BootstrapOptions = {}): Summary {
  const classes = (cases[0]?.classes ?? []).map(({ value, values, name }, index) => ({
    value,
    ...(values ? { values } : {}),
    name,
    ...summariseMetrics((metric) => defined(cases.map((one) => one.classes[index][metric])), options),
  }));
  const mean = summariseMetrics(
    (metric) => defined(cases.map((one) => average(defined(one.classes.map((c) => c[metric]))))),
    options,
  );
  return { cases: [...cases], classes, mean };
}

const columns: Record<MetricName, { title: string; digits: number }> = {
  dice: { title: "Dice", digits: 4 },
  iou: { title: "IoU", digits: 4 },
  precision: { title: "precision", digits: 4 },
  recall: { title: "recall", digits: 4 },
  hd95: { title: "HD95 mm", digits: 2 },
  assd: { title: "ASSD mm", digits: 3 },
  nsd: { title: "NSD", digits: 4 },
  volumeErrorMl: { title: "vol. error ml", digits: 3 },
};

/**
 * The summary as aligned text: a row per case (its mean over classes) when `cases` is true, then a row per class and the
 * mean, with the interval of the Dice. "-" stands for a metric that is not defined.
 */
export function formatSummary(summary: Summary, options: { cases?: boolean } = {}): string {
  const show = (metric: MetricName, value: number | null | undefined): string =>
    value === null || value === undefined ? "-" : value.toFixed(columns[metric].digits);
  const head = ["", ...metricNames.map((metric) => columns[metric].title), "Dice 95 % interval", "cases"];
  const caseRows = summary.cases.map(({ id, classes }) => [
    id,
    ...metricNames.map((metric) => show(metric, average(defined(classes.map((c) => c[metric]))))),
    "",
    "",
  ]);
  const summaryRow = (name: string, metrics: MetricSummary): string[] => [
    name,
    ...metricNames.map((metric) => show(metric, metrics[metric]?.mean)),
    metrics.dice ? `${show("dice", metrics.dice.low)} - ${show("dice", metrics.dice.high)}` : "-",
    String(metrics.dice?.n ?? 0),
  ];
  const rows = [head, ...(options.cases ? [...caseRows, []] : [])];
  for (const one of summary.classes) rows.push(summaryRow(`${(one.values ?? [one.value]).join("+")} ${one.name}`, one));
  rows.push(summaryRow("mean", summary.mean));
  return alignColumns(rows);
}

/** Columns of equal width, the first to the left and the others to the right; an empty row stays an empty line. */
function alignColumns(rows: readonly string[][]): string {
  const widths = rows[0].map((_, column) => Math.max(...rows.map((row) => row[column]?.length ?? 0)));
  return rows
    .map((row) => row.map((cell, i) => (i === 0 ? cell.padEnd(widths[i]) : cell.padStart(widths[i]))).join("  "))
    .map((line) => line.trimEnd())
    .join("\n");
}

function summariseMetrics(values: (metric: MetricName) => number[], options: BootstrapOptions): MetricSummary {
  return Object.fromEntries(
    metricNames.map((metric) => [metric, bootstrapMean(values(metric), options)]),
  ) as unknown as MetricSummary;
}

function defined(values: (number | null)[]): number[] {
  return values.filter((value) => value !== null);
}

function average(values: number[]): number | null {
  return values.length === 0 ? null : values.reduce((sum, value) => sum + value, 0) / values.length;
}
