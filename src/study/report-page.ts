import { escapeMarkup as safe } from "../util/chart.ts";
import type { Comparison } from "./claims-compare.ts";
import type { Claim, Verdict } from "./claims-verdict.ts";
import { counted, pWords, short, signed } from "./claims-words.ts";
import { type Drawing, forPage } from "./figures-render.ts";
import type { LevelRow } from "./report-levels.ts";
import type { StudyData } from "./report-load.ts";
import { methods } from "./report-methods.ts";
import { type ArmRow, memories, type Range, type Spread } from "./report-rows.ts";
import { style } from "./report-style.ts";

export interface ReportContent {
  data: StudyData;
  claims: Claim[];
  rows: ArmRow[];
  levels: LevelRow[];
  /** Against the reference, by metric. */
  reference: { dice: Comparison[]; hd95: Comparison[]; nsd: Comparison[] };
  drawings: readonly Drawing[];
  /** What to install for figures that are missing. */
  missing: string | null;
  classes: string[];
  margin: number;
}

/** The report as one HTML page that needs no other file and no network. */
export function reportPage(content: ReportContent): string {
  const { data, claims, drawings, missing } = content;
  const { study } = data;
  const title = `lunet study: ${study.name} on ${study.data}`;
  return `<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>${safe(title)}</title>
<style>${style}</style>
</head>
<body>
<main>
<h1>${safe(title)}</h1>
<p class="soft">${facts(data)}</p>
${notices(data)}
<h2>Do the paper's claims hold here?</h2>
${claims.map(claimBlock).join("\n")}
<h2>Dice, distances and surfaces on test cases</h2>
${scoreTable(content)}
<h2>Size and cost</h2>
${costTable(content)}
${levelTable(content.levels)}<h2>Figures</h2>
${missing ? `<p class="notice">${safe(missing)}</p>` : ""}
${drawings.map(figureBlock).join("\n")}
<h2>All paired differences</h2>
${differencesTable(content)}
<h2>How this was computed</h2>
${methods(study, content.margin)
  .map((sentences) => `<p>${safe(sentences)}</p>`)
  .join("\n")}
<p class="soft">The numbers behind this page: report.json (all of it), report.csv (one row an arm), report-sizes.csv (one row a run and size),
report-cases.csv (one row a run, test case and class).</p>
</main>
</body>
</html>
`;
}

function facts({ study, results, failures, open }: StudyData): string {
  const runs = [`${counted(results.length, "run")} finished`];
  if (failures.length > 0) runs.push(`${failures.length} failed`);
  if (open.length > 0) runs.push(`${open.length} not finished`);
  const list = [
    `scale ${study.scale}`,
    `${study.arms.length} arms`,
    `folds ${study.folds.join(", ")}`,
    `seeds ${study.seeds.join(", ")}`,
    runs.join(", "),
    ...Object.entries(study.budgets).map(([name, value]) => `${name} ${value}`),
    `lunet ${study.lunet}`,
  ];
  return list.map(safe).join(" \u00b7 ");
}

/** What is missing and what that means, before any answer. */
function notices({ study, failures, open }: StudyData): string {
  const lines = failures.map(({ config, message }) => {
    return `Run ${config.run} (${config.label}, fold ${config.fold}, seed ${config.seed}) failed: ${message}`;
  });
  if (open.length > 0) {
    lines.push(`Not finished: ${counted(open.length, "run")} (${armsOf(open)}). This report is of the others.`);
  }
  if (failures.length > 0) lines.push("Arms are compared on the folds and seeds that both of them finished.");
  if (study.folds.length * study.seeds.length === 1) {
    lines.push(
      "Every arm was trained once. Intervals show what other cases would change, not what training again would.",
    );
  }
  return lines.length === 0 ? "" : `<ul class="notice">${lines.map((line) => `<li>${safe(line)}</li>`).join("")}</ul>`;
}

function armsOf(runs: readonly { label: string }[]): string {
  return [...new Set(runs.map((run) => run.label))].join("; ");
}

const verdictClass: Record<Verdict, string> = {
  shown: "yes",
  "not shown": "open",
  contradicted: "no",
  "not tested": "none",
};

function badge(verdict: Verdict): string {
  return `<span class="badge ${verdictClass[verdict]}">${verdict}</span>`;
}

function claimBlock({ id, title, verdict, parts }: Claim): string {
  const rows = parts.map(
    (part) =>
      `<div class="part"><p><strong>${safe(part.statement)}.</strong> ${parts.length > 1 ? badge(part.verdict) : ""}</p>` +
      `<ul>${part.sentences.map((sentence) => `<li>${safe(sentence)}</li>`).join("")}</ul></div>`,
  );
  return `<section class="claim"><h3>${id}. ${safe(title)} ${badge(verdict)}</h3>${rows.join("")}</section>`;
}

function figureBlock(drawing: Drawing): string {
  const { name, title, caption } = drawing.figure;
  const files = [`figures/${name}.svg`, ...(drawing.png ? [`figures/${name}.png`] : [])];
  const links = files.map((file) => `<a href="${file}">${file.slice(-3).toUpperCase()}</a>`).join(" ");
  return `<figure id="${name}"><h3>${safe(title)}</h3><div class="drawing">${forPage(drawing)}</div>
<figcaption>${safe(caption)} <span class="links">${links}</span></figcaption></figure>`;
}

function scoreTable({ rows, classes, data }: ReportContent): string {
  const tolerance = data.study.tolerance === undefined ? "" : ` at ${data.study.tolerance} mm`;
  const several = classes.length > 1;
  const head = [
    "arm",
    "runs",
    "test cases",
    "Dice",
    ...(several ? classes.map((name) => `Dice ${name}`) : []),
    "HD95 (mm)",
    `NSD${tolerance}`,
  ];
  const body = rows.map((row) => [
    safe(row.label),
    String(row.runs),
    String(row.testCases || "\u2013"),
    spread(row.dice, 3),
    ...(several ? classes.map((_, c) => spread(row.classDice[c] ?? null, 3)) : []),
    spread(row.hd95, 2) + (row.hd95Missing ? ` <small>(${(100 * row.hd95Missing).toFixed(1)} % none)</small>` : ""),
    spread(row.nsd, 3),
  ]);
  return `${table(head, body)}
<p class="soft">Mean \u00b1 standard deviation over runs (folds and seeds) of the mean over a run's test cases. Pruned nets at the size with the best
validation Dice.${rows.some((row) => row.hd95Missing) ? " HD95 is not defined where a class is missing in one of the maps; the share of such scores is given, and they are left out." : ""}</p>`;
}

function costTable({ rows, data }: ReportContent): string {
  const head = [
    "arm",
    "parameters",
    "without norm",
    "MACs (G)",
    "predict (MiB)",
    "train (MiB)",
    ...memories.map((gib) => `batch, ${gib} GiB`),
    "latency (ms)",
  ];
  const middle = (range: Range | null, format: (value: number) => string): string =>
    range ? format(range.median) : "\u2013";
  const mib = (range: Range | null): string => middle(range, (v) => (v / 2 ** 20).toFixed(v < 100 * 2 ** 20 ? 1 : 0));
  const count = (range: Range | null): string => middle(range, (v) => Math.round(v).toLocaleString("en-US"));
  const body = rows.map((row) => [
    safe(row.label),
    count(row.parameters) + rangeOf(row.parameters),
    count(row.parametersWithoutNorm),
    middle(row.macs, (v) => (v / 1e9).toPrecision(3)),
    mib(row.inferenceBytes),
    mib(row.trainingBytes),
    ...memories.map((gib) => (row.largestBatch ? row.largestBatch[gib].toLocaleString("en-US") : "\u2013")),
    middle(row.latencyMs, (v) => v.toPrecision(3)),
  ]);
  const window = data.study.patch
    ? `${data.study.patch.join(" \u00d7 ")} voxels (D \u00d7 H \u00d7 W)`
    : "the training window";
  return `${table(head, body)}
<p class="soft">For one window of ${safe(window)}. Parameters with and without the norms' scales and shifts. Predict, train: memory of the activations (float32, counted
from the net; in training those kept for the backward pass, and gradients). Batch: windows that fit into so much memory beside weights, gradients and Adam's
moments. Latency: median time of predicting one window on the machine of the run. Pruned nets: median over runs; parameters with their range in brackets.</p>`;
}

/** Layers that are named in a level's row. */
const namedLayers = 3;

/** What pruning took, level by level; nothing without pruning. */
function levelTable(levels: readonly LevelRow[]): string {
  if (levels.length === 0) return "";
  const head = ["level", "channels", "gone at half", "gone at the end", "layers that lost most"];
  const share = (removed: number, channels: number): string => `${((100 * removed) / channels).toFixed(0)} %`;
  const count = (value: number): string => (Number.isInteger(value) ? String(value) : value.toFixed(1));
  const body = [...Map.groupBy(levels, ({ label }) => label)].flatMap(([label, rows]) => [
    [`<strong>${safe(label)}</strong>`],
    ...rows.map(({ level, bottleneck, channels, removedAtHalf, removed, layers }) => [
      bottleneck ? `${level} (bottleneck)` : String(level),
      String(channels),
      `${count(removedAtHalf)} <small>(${share(removedAtHalf, channels)})</small>`,
      `${count(removed)} <small>(${share(removed, channels)})</small>`,
      layers
        .filter((layer) => layer.removed > 0)
        .slice(0, namedLayers)
        .map((layer) => `${safe(layer.layer)} ${count(layer.removed)} of ${layer.channels}`)
        .join(", ") || "\u2013",
    ]),
  ]);
  return `<h2>What pruning removed</h2>
${table(head, body)}
<p class="soft">Channels, a mean over runs; level 0 is the finest, encoder and decoder together. Half: when half of all channels are gone, or where
pruning ended before that. Layers: channels gone at the end of those at the start.</p>
`;
}

function differencesTable({ claims, reference }: ReportContent): string {
  const blocks = [
    ...claims.flatMap(({ parts }) =>
      parts
        .filter((part) => part.comparisons.length > 0)
        .map((part) => ({ title: `${part.id}. ${part.statement} (Dice)`, list: part.comparisons })),
    ),
    { title: "Against the reference, Dice", list: reference.dice },
    { title: "Against the reference, HD95", list: reference.hd95 },
    { title: "Against the reference, NSD", list: reference.nsd },
  ].filter(({ list }) => list.length > 0);
  const head = ["difference", "mean", "95 % interval", "p", "p (Holm)", "cases", "runs"];
  const body = blocks.flatMap(({ title, list }) => [[`<strong>${safe(title)}</strong>`], ...list.map(differenceCells)]);
  return blocks.length === 0 ? "<p>There are no two arms to compare yet.</p>" : table(head, body);
}

function differenceCells(c: Comparison): string[] {
  const mm = c.metric === "hd95";
  const number = (value: number): string => (mm ? signed(value, 2) : signed(100 * value, 2));
  const { interval, test } = c;
  return [
    safe(c.label),
    interval ? `${number(interval.mean)} ${mm ? "mm" : "points"}` : "\u2013",
    interval ? `${number(interval.low)} to ${number(interval.high)}` : "\u2013",
    test ? pWords(test.p).replace("p = ", "").replace("p ", "") : "\u2013",
    c.holm === null ? "\u2013" : pWords(c.holm).replace("p = ", "").replace("p ", ""),
    c.unit === "patient" ? `${c.cases} (${c.units} patients)` : String(c.cases),
    String(c.runs.length),
  ];
}

/** Rows of markup under a head of plain text; a row of one cell is a heading over the whole width. */
export function table(head: readonly string[], body: readonly (readonly string[])[]): string {
  const row = (cells: readonly string[]): string =>
    cells.length === 1
      ? `<tr><th colspan="${head.length}" scope="rowgroup">${cells[0]}</th></tr>`
      : `<tr>${cells.map((cell) => `<td>${cell}</td>`).join("")}</tr>`;
  return `<div class="scroll"><table><thead><tr>${head.map((cell) => `<th scope="col">${safe(cell)}</th>`).join("")}</tr></thead>
<tbody>${body.map(row).join("\n")}</tbody></table></div>`;
}

function spread(value: Spread, digits: number): string {
  if (!value) return "\u2013";
  return value.mean.toFixed(digits) + (value.sd === null ? "" : ` \u00b1 ${value.sd.toFixed(digits)}`);
}

function rangeOf(range: Range | null): string {
  if (!range || range.min === range.max) return "";
  return ` <small>(${short(range.min)} to ${short(range.max)})</small>`;
}
