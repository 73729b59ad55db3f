import type { Summary } from "../evaluate/summary.ts";
import { durationText } from "../train/progress.ts";
import { escapeMarkup, lineChart } from "../util/chart.ts";

export interface DemoPicture {
  caseId: string;
  /** Why this case is shown, e.g. "worst". */
  note: string;
  png: Uint8Array;
}

export interface DemoPage {
  datasetName: string;
  /** True for the scans that lunet made up. */
  madeUp: boolean;
  netName: string;
  parameters: number;
  modelBytes: number;
  trainingCases: number;
  /** What the evaluated cases are, e.g. "test cases that training never saw". */
  unseen: string;
  trainingSeconds: number;
  steps: number;
  /** Loss and Dice over steps. */
  loss: [number, number][];
  dice: { name: string; points: [number, number][] }[];
  summary: Summary;
  pictures: DemoPicture[];
  /** Commands to go on with, each with what it does. */
  next: { command: string; does: string }[];
}

export const truthColour = [255, 176, 59] as const;
export const predictionColour = [72, 190, 255] as const;

/** The demo's result as one HTML page that needs no other file and no network. */
export function demoPage(page: DemoPage): string {
  const { summary } = page;
  const title = `lunet demo: ${page.datasetName}`;
  const facts: [string, string][] = [
    ["mean Dice", summary.mean.dice ? score(summary.mean.dice.mean) : "-"],
    ["parameters", page.parameters.toLocaleString("en-US")],
    ["model file", `${Math.ceil(page.modelBytes / 1000)} kB`],
    [
      "training",
      `${durationText(page.trainingSeconds)}, ${page.steps.toLocaleString("en-US")} ${page.steps === 1 ? "step" : "steps"}`,
    ],
  ];
  return `<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>${escapeMarkup(title)}</title>
<style>${style}</style>
</head>
<body>
<main>
<h1>${escapeMarkup(title)}</h1>
<p>The net <code>${escapeMarkup(page.netName)}</code> was trained on ${page.trainingCases} ${page.madeUp ? "made-up " : ""}scans and then
segmented ${summary.cases.length} ${escapeMarkup(page.unseen)}, on this computer.</p>
<dl class="facts">${facts.map(([name, value]) => `<div><dt>${name}</dt><dd>${value}</dd></div>`).join("")}</dl>
<h2>Training</h2>
<div class="charts">
${lineChart({ title: "Loss on training patches", xLabel: "step", yLabel: "loss", series: [{ name: "loss", points: page.loss }], width: 470, height: 290 })}
${lineChart({ title: "Dice", xLabel: "step", yLabel: "Dice", series: page.dice, yRange: [0, 1], width: 470, height: 290 })}
</div>
<h2>Unseen scans</h2>
<p><span class="key" style="background:rgb(${truthColour})"></span>truth
<span class="key" style="background:rgb(${predictionColour})"></span>prediction (drawn just inside, so that equal outlines show both)</p>
<div class="pictures">${page.pictures.map(figure).join("")}</div>
${table(summary)}
<h2>Next</h2>
<dl class="next">${page.next.map(({ command, does }) => `<dt><code>${escapeMarkup(command)}</code></dt><dd>${escapeMarkup(does)}</dd>`).join("")}</dl>
${page.madeUp ? "<p>No person was scanned for these pictures. A net trained on them is of no use on real scans.</p>" : ""}
</main>
</body>
</html>
`;
}

function figure({ caseId, note, png }: DemoPicture): string {
  const source = `data:image/png;base64,${Buffer.from(png).toString("base64")}`;
  const caption = `${caseId}: ${note}`;
  return `<figure><img src="${source}" alt="${escapeMarkup(`Slice of ${caption}`)}"><figcaption>${escapeMarkup(caption)}</figcaption></figure>`;
}

function table(summary: Summary): string {
  const head = ["case", ...summary.classes.map((c) => `Dice ${c.name}`), "HD95 mm (worst class)"];
  const rows = summary.cases.map(({ id, classes }) => [
    escapeMarkup(id),
    ...classes.map(({ dice }) => score(dice)),
    worst(classes.map(({ hd95 }) => hd95)),
  ]);
  const foot = ["mean", ...summary.classes.map(({ dice }) => (dice ? score(dice.mean) : "-")), ""];
  const cells = (row: string[], tag: string): string =>
    `<tr>${row.map((cell) => `<${tag}>${cell}</${tag}>`).join("")}</tr>`;
  return `<table><thead>${cells(head.map(escapeMarkup), "th")}</thead>
<tbody>${rows.map((row) => cells(row, "td")).join("\n")}</tbody>
<tfoot>${cells(foot, "td")}</tfoot></table>`;
}

function worst(distances: (number | null)[]): string {
  const known = distances.filter((d) => d !== null);
  return known.length < distances.length || known.length === 0 ? "-" : Math.max(...known).toFixed(1);
}

function score(dice: number): string {
  return dice.toFixed(3);
}

const style = `
:root{color-scheme:light dark;--ink:#16181c;--soft:#4a4f57;--line:#dfe2e6;--ground:#fff;--card:#f5f6f8}
@media(prefers-color-scheme:dark){:root{--ink:#eef0f3;--soft:#b4bac3;--line:#30343b;--ground:#16181c;--card:#1f2228}}
body{margin:0;background:var(--ground);color:var(--ink);font:16px/1.5 system-ui,sans-serif}
main{max-width:980px;margin:0 auto;padding:24px 20px 48px}
h1{font-size:26px;margin:8px 0}h2{font-size:19px;margin:32px 0 8px}
code{font:0.92em ui-monospace,monospace;background:var(--card);padding:1px 5px;border-radius:4px}
.facts{display:flex;flex-wrap:wrap;gap:12px;margin:16px 0}
.facts div{background:var(--card);border-radius:8px;padding:10px 16px;min-width:120px}
dt{color:var(--soft);font-size:14px}dd{margin:0}.facts dd{font-size:20px;font-weight:600}
.charts,.pictures{display:flex;flex-wrap:wrap;gap:16px}
.charts svg{flex:1 1 400px;min-width:0}
figure{margin:0}img{height:240px;max-width:100%;object-fit:contain;image-rendering:pixelated;border-radius:6px}
figcaption{font-size:14px;color:var(--soft)}
.key{display:inline-block;width:14px;height:14px;border-radius:3px;margin:0 6px 0 0;vertical-align:-2px}.key+.key{margin-left:16px}
table{border-collapse:collapse;margin-top:20px;font-variant-numeric:tabular-nums}
th,td{padding:4px 14px;border-bottom:1px solid var(--line);text-align:right}th{font-size:14px;color:var(--soft)}
th:first-child,td:first-child{text-align:left}tfoot td{font-weight:600;border-bottom:0}
.next dt{margin-top:10px}.next dd{color:var(--soft);font-size:15px}
`;
