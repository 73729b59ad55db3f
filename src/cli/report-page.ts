import type { DatasetReport } from "../dataset/report.ts";
import type { CaseMeasures, Intensities } from "../dataset/report-measure.ts";
import type { Finding } from "../dataset/verify.ts";
import { table } from "../study/report-page.ts";
import { style } from "../study/report-style.ts";
import { escapeMarkup as safe } from "../util/chart.ts";
import { counted } from "../util/counted.ts";
import { listSome } from "../util/list-some.ts";
import { reportMethods } from "./report-methods.ts";
import { plotStyle, stripPlot } from "./report-plot.ts";
import { plotsOf } from "./report-plots.ts";
import { labelColours } from "./report-thumbnail.ts";

export interface ReportPicture {
  id: string;
  png: Uint8Array;
}

export interface DatasetPage {
  report: DatasetReport;
  /** Thumbnails of typical cases and of outliers; `more` outliers have none. */
  typical: readonly ReportPicture[];
  outliers: readonly ReportPicture[];
  more: number;
  /** Version and time, for the foot. */
  made: string;
}

/** At most so many findings of verify are shown. */
const mostFindings = 50;

const pageStyle = `:root{--dot:#0072b2}@media screen and (prefers-color-scheme:dark){:root{--dot:#56b4e9}}
${plotStyle}
.pictures{display:flex;flex-wrap:wrap;gap:16px}.pictures figure{margin:0;width:220px}.pictures img{display:block;max-width:220px;border-radius:6px}
.key{display:inline-block;width:13px;height:13px;border-radius:3px;margin:0 6px 0 0;vertical-align:-1px}.key:not(:first-child){margin-left:16px}
.pictures+h3{margin-top:24px}.reasons td:last-child,.reasons th:last-child{text-align:left;white-space:normal}
details{margin:14px 0}summary{cursor:pointer;color:var(--soft)}
`;

/** The report as one HTML page that needs no other file and no network. */
export function datasetPage(page: DatasetPage): string {
  const { report } = page;
  const title = `lunet data set: ${report.dataset}`;
  const plots = plotsOf(report);
  const plotsNamed = (section: string): string =>
    plots
      .filter((plot) => plot.section === section)
      .map((plot) => `<figure><h3>${safe(plot.title)}</h3><div class="drawing">${stripPlot(plot)}</div></figure>`)
      .join("\n");
  return `<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>${safe(title)}</title>
<style>${style}${pageStyle}</style>
</head>
<body>
<main>
<h1>${safe(title)}</h1>
<p class="soft">${facts(report).map(safe).join(" \u00b7 ")}</p>
${findings(report)}
<h2>Size and geometry</h2>
${geometryTable(report)}
${plotsNamed("geometry")}
<h2>Labels</h2>
${labelTable(report)}
${plotsNamed("labels")}
<h2>Intensities</h2>
${intensityTable(report)}
${plotsNamed("intensities")}
<h2>Unusual cases</h2>
${outlierTable(report)}
<h2>Pictures</h2>
${pictures(page)}
<h2>Folds</h2>
${foldTable(report)}
<h2>All cases</h2>
<details><summary>${counted(report.cases.length, "case")}</summary>${caseTable(report)}</details>
<h2>How this was measured</h2>
${reportMethods.map((sentences) => `<p>${safe(sentences)}</p>`).join("\n")}
<p class="soft">${safe(page.made)}</p>
</main>
</body>
</html>
`;
}

function facts({ cases, unreadable, channels, labels, verification, outliers, mixtures }: DatasetReport): string[] {
  const { training, test } = verification.summary;
  const unusual = new Set(outliers.map((one) => one.case)).size;
  return [
    counted(training, "training case"),
    counted(test, "test case"),
    `channels: ${channels.join(", ")}`,
    `labels: ${labels.map(({ name, value }) => `${value} ${name}`).join(", ")}`,
    `${counted(verification.problems.length, "problem")}, ${counted(verification.warnings.length, "warning")}`,
    counted(unusual, "unusual case"),
    ...(mixtures.length > 0 ? ["several kinds of scans"] : []),
    ...(unreadable.length > 0 ? [`${unreadable.length} of ${cases.length + unreadable.length} not measured`] : []),
  ];
}

/** What verify found and what could not be measured, before anything else. */
function findings({ verification, unreadable, mixtures, assumedSpacing }: DatasetReport): string {
  const lines = (list: readonly Finding[], kind: string): string[] => {
    const alike = new Map<string, string[]>();
    for (const one of list) {
      const what = `expected ${one.expected}, found ${one.found}`;
      alike.set(what, [...(alike.get(what) ?? []), one.case]);
    }
    const shown = [...alike].slice(0, mostFindings);
    const rest = alike.size - shown.length;
    return [
      ...shown.map(([what, ids]) => `${kind}: ${what} (${listSome(ids, 20)}).`),
      ...(rest > 0 ? [`${rest} more of this kind: lunet verify lists all.`] : []),
    ];
  };
  const all = [
    ...lines(verification.problems, "Problem"),
    ...lines(verification.warnings, "Warning"),
    ...unreadable.map(({ id, error }) => `Not measured, ${id}: ${error}`),
    ...mixtures.map(({ reason }) => `${reason[0].toUpperCase()}${reason.slice(1)}.`),
    ...(assumedSpacing
      ? ["Pictures do not say how large a pixel is; 1 mm is assumed, so volumes are pixels / 1000."]
      : []),
  ];
  if (all.length === 0) return `<p class="notice">Every file could be read, and no check found anything.</p>`;
  return `<ul class="notice">${all.map((line) => `<li>${safe(line)}</li>`).join("")}</ul>`;
}

const axes = ["D", "H", "W"];

function geometryTable({ cases }: DatasetReport): string {
  const row = (name: string, of: (one: CaseMeasures) => number[], unit: string): string[] => [
    name,
    ...axes.map((_, axis) => range(cases.map((one) => of(one)[axis]))),
    unit,
  ];
  const orientations = new Map<string, number>();
  for (const { orientation } of cases) orientations.set(orientation, (orientations.get(orientation) ?? 0) + 1);
  const codes = [...orientations].sort((a, b) => b[1] - a[1]).map(([code, n]) => `${code} (${n})`);
  return `${table(
    ["smallest, median, largest", ...axes, ""],
    [
      row("voxels", ({ shape }) => shape, ""),
      row("voxel size", ({ spacing }) => spacing, "mm"),
      row("extent", ({ extent }) => extent, "mm"),
    ],
  )}
<p>Orientation of the voxel axes W, H, D: ${safe(codes.join(", "))}. D, H, W are the axes as stored, W the file's first.</p>`;
}

/** "35, 36, 43", or one number where all are equal. */
function range(values: readonly number[]): string {
  if (values.length === 0) return "\u2013";
  const sorted = values.toSorted((a, b) => a - b);
  const three = [sorted[0], middleOf(sorted), sorted[sorted.length - 1]].map(short);
  return three[0] === three[2] ? three[0] : three.join(", ");
}

function middleOf(sorted: readonly number[]): number {
  const half = sorted.length >> 1;
  return sorted.length % 2 ? sorted[half] : (sorted[half - 1] + sorted[half]) / 2;
}

function short(value: number): string {
  const size = Math.abs(value);
  return size >= 1e4 ? Math.round(value).toLocaleString("en-US") : String(Number(value.toPrecision(3)));
}

function labelTable({ cases, labels }: DatasetReport): string {
  const labelled = cases.filter((one) => one.labels);
  const body = labels.slice(1).map(({ name, value }, k) => {
    const has = labelled.map((one) => one.labels![k]).filter(({ voxels }) => voxels > 0);
    const several = has.filter(({ components }) => components > 1);
    const border = has.filter(({ touchesBorder }) => touchesBorder).length;
    return [
      safe(`${value} ${name}`),
      `${has.length} of ${labelled.length}`,
      range(has.map(({ ml }) => ml)),
      range(has.map(({ voxels }) => voxels)),
      range(has.map(({ components }) => components)),
      several.length > 0
        ? `${several.length} <small>(${short(100 * Math.min(...several.map(({ largestShare }) => largestShare!)))} % at least in the largest)</small>`
        : "0",
      String(border),
    ];
  });
  return table(
    ["label", "in cases", "volume (ml)", "voxels", "parts", "cases with several parts", "cases cut by the border"],
    body,
  );
}

function intensityTable({ cases, channels }: DatasetReport): string {
  const labelled = cases.filter((one) => one.labels);
  const body = channels.flatMap((name, c) =>
    (["inside", "outside"] as const).map((where) => {
      const known = labelled.flatMap((one) => one.channels[c]?.[where] ?? []);
      const of = (key: keyof Intensities): string => range(known.map((one) => one[key]));
      return [
        safe(`${name}, ${where} the labels`),
        of("mean"),
        of("sd"),
        of("percentile005"),
        of("median"),
        of("percentile995"),
      ];
    }),
  );
  return table(["smallest, median, largest over cases", "mean", "sd", "0.5 %", "median", "99.5 %"], body);
}

function outlierTable({ outliers }: DatasetReport): string {
  if (outliers.length === 0) return "<p>None.</p>";
  const seen = new Map<string, string[]>();
  for (const one of outliers) seen.set(one.case, [...(seen.get(one.case) ?? []), one.reason]);
  const rows = [...seen].map(([id, reasons]) => [safe(id), reasons.map(safe).join("<br>")]);
  return `<div class="reasons">${table(["case", "what is unusual"], rows)}</div>`;
}

function pictures({ report, typical, outliers, more }: DatasetPage): string {
  const keys = report.labels
    .slice(1)
    .map(({ name }, k) => {
      const colour = labelColours[k % labelColours.length].join(" ");
      return `<span class="key" style="background:rgb(${colour})"></span>${safe(name)}`;
    })
    .join("");
  const reasons = (id: string): string =>
    report.outliers
      .filter((one) => one.case === id)
      .map(({ reason }) => reason)
      .join("; ");
  const gallery = (list: readonly ReportPicture[], note: (id: string) => string): string =>
    `<div class="pictures">${list.map(({ id, png }) => figure(id, png, note(id))).join("")}</div>`;
  return `<p>${keys}</p>
<h3>Typical cases</h3>
${typical.length > 0 ? gallery(typical, () => "") : "<p>No case could be shown.</p>"}
<h3>Unusual cases</h3>
${outliers.length > 0 ? gallery(outliers, reasons) : "<p>None.</p>"}
${more > 0 ? `<p class="soft">${more} more have no picture here.</p>` : ""}`;
}

function figure(id: string, png: Uint8Array, note: string): string {
  const source = `data:image/png;base64,${Buffer.from(png).toString("base64")}`;
  return `<figure><img src="${source}" alt="${safe(`Slice of ${id}`)}"><figcaption><strong>${safe(id)}</strong>${note ? ` ${safe(note)}` : ""}</figcaption></figure>`;
}

function foldTable({ folds, labels }: DatasetReport): string {
  if (folds.error) return `<p>There are none: ${safe(folds.error)}</p>`;
  const names = labels.slice(1).map(({ name }) => name);
  const body = folds.list.map(({ training, validation, labels: measured }, k) => [
    String(k),
    String(training),
    String(validation),
    ...measured.flatMap(({ cases, meanMl }) => [String(cases), meanMl === null ? "\u2013" : short(meanMl)]),
  ]);
  const head = ["fold", "training", "validation", ...names.flatMap((name) => [`${name}: validation cases`, "mean ml"])];
  const origin = folds.own
    ? "The set brings its folds (splits.json)."
    : "Made by lunet with a fixed seed. Several cases of one patient belong in one fold: see --groups.";
  const open = folds.unvalidated.length;
  return `${table(head, body)}<p class="soft">${origin}${open > 0 ? ` ${open} training cases are in no fold's validation part.` : ""}</p>`;
}

function caseTable({ cases, labels, channels, outliers }: DatasetReport): string {
  const unusual = new Set(outliers.map((one) => one.case));
  const head = [
    "case",
    "part",
    "voxels",
    "mm",
    "axes",
    ...labels.slice(1).flatMap(({ name }) => [`${name} (ml)`, "parts"]),
    ...channels.flatMap((name) => [`${name} inside`, "outside"]),
  ];
  const mean = (one: Intensities | null | undefined): string => (one ? short(one.mean) : "\u2013");
  const body = cases.map((one) => [
    unusual.has(one.id) ? `<strong class="no">${safe(one.id)}</strong>` : safe(one.id),
    one.part,
    one.shape.join(" \u00d7 "),
    one.spacing.map(short).join(" \u00d7 "),
    one.orientation,
    ...labels.slice(1).flatMap((_, k) => {
      const label = one.labels?.[k];
      return label ? [short(label.ml), `${label.components}${label.touchesBorder ? " |" : ""}`] : ["\u2013", "\u2013"];
    }),
    ...channels.flatMap((_, c) => [mean(one.channels[c]?.inside), mean(one.channels[c]?.outside)]),
  ]);
  return `${table(head, body)}<p class="soft">| after the number of parts: the label touches the border of the scan. Intensities are means.</p>`;
}
