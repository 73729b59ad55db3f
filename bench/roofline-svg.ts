import type { Form } from "../src/engine/wasm/forms.ts";
import { escapeMarkup } from "../src/util/chart.ts";
import { type Box, type Mark, placeLabels, textWidth } from "./labels.ts";
import type { Roofline, RooflinePanel, RooflinePoint } from "./roofline.ts";

const panelSize = { width: 600, height: 470 };
const margin = { left: 62, right: 18, top: 52, bottom: 48 };
const headHeight = 94;
const namedShare = 0.02;

/** From values to pixels on logarithmic axes. */
interface Axes {
  x: (value: number) => number;
  y: (value: number) => number;
  xRange: [number, number];
  yRange: [number, number];
}

const frame: Box = {
  x: margin.left,
  y: margin.top,
  width: panelSize.width - margin.left - margin.right,
  height: panelSize.height - margin.top - margin.bottom,
};

/** Every panel on the same axes, side by side in twos, as one SVG file that needs nothing else. */
export function rooflineSvg(roofline: Roofline): string {
  const { panels, threads, tiles, machine, date, commit, otherCores } = roofline;
  const columns = Math.min(2, panels.length);
  // The head needs more room than a single panel.
  const width = Math.max(760, columns * panelSize.width);
  const height = headHeight + Math.ceil(panels.length / columns) * panelSize.height;
  const axes = axesFor(roofline);
  const place = (i: number): string =>
    `translate(${(i % columns) * panelSize.width} ${headHeight + Math.floor(i / columns) * panelSize.height})`;
  const busy =
    otherCores !== null && otherCores > 0.2 ? `; other processes kept ${otherCores.toFixed(1)} cores busy` : "";
  const where = `${machine.processor}, ${threads} ${threads === 1 ? "thread" : "threads"}, Node ${machine.node}, ${tiles} tiles, ${date.slice(0, 10)}${commit ? `, ${commit}` : ""}${busy}`;
  return [
    `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 ${width} ${height}" width="${width}" height="${height}" role="img" aria-label="Roofline of lunet's layers">`,
    `<style>${style}</style>`,
    `<rect class="ground" width="${width}" height="${height}"/>`,
    `<text class="title" x="${margin.left}" y="26">Where the layers stand between memory and arithmetic</text>`,
    `<text x="${margin.left}" y="45">${escapeMarkup(where)}</text>`,
    legend(roofline),
    ...panels.map((panel, i) => `<g transform="${place(i)}">\n${panelMarkup(panel, roofline, axes)}\n</g>`),
    "</svg>\n",
  ].join("\n");
}

function axesFor({ panels, peakGflops }: Roofline): Axes {
  const points = panels.flatMap((panel) => panel.points);
  const range = (values: number[]): [number, number] => [Math.min(...values) / 1.5, Math.max(...values) * 1.6];
  const xRange = range(points.map((point) => point.intensity));
  const yRange = range([...points.map((point) => point.gflops), peakGflops]);
  const along = (value: number, [low, high]: [number, number]): number => Math.log(value / low) / Math.log(high / low);
  return {
    ...{ xRange, yRange },
    x: (value) => frame.x + along(value, xRange) * frame.width,
    y: (value) => frame.y + (1 - along(value, yRange)) * frame.height,
  };
}

function panelMarkup(panel: RooflinePanel, roofline: Roofline, axes: Axes): string {
  const bottom = frame.y + frame.height;
  const right = frame.x + frame.width;
  const xTicks = ticks(axes.xRange).map(({ value, text }) => {
    const x = px(axes.x(value));
    return (
      `<line class="grid" x1="${x}" x2="${x}" y1="${frame.y}" y2="${bottom}"/>` +
      (text ? `<text x="${x}" y="${bottom + 17}" text-anchor="middle">${text}</text>` : "")
    );
  });
  const yTicks = ticks(axes.yRange).map(({ value, text }) => {
    const y = px(axes.y(value));
    return (
      `<line class="grid" x1="${frame.x}" x2="${right}" y1="${y}" y2="${y}"/>` +
      (text ? `<text x="${frame.x - 7}" y="${y}" dy="0.32em" text-anchor="end">${text}</text>` : "")
    );
  });
  const roofs = roofsOf(roofline, axes);
  const points = panel.points.toSorted((a, b) => b.ms - a.ms);
  const marks = points.map((point) => ({ ...markOf(point, axes), point }));
  const labels = placeLabels(
    marks.filter(({ point }) => point.share >= namedShare),
    { frame, marks, obstacles: roofs.obstacles },
  );
  const half = px(frame.y + frame.height / 2);
  const share = (100 * panel.gflops) / roofline.peakGflops;
  const total = `${panel.ms.toFixed(panel.ms < 100 ? 1 : 0)} ms, ${panel.gflops.toFixed(0)} GFLOP/s, ${share.toFixed(0)} % of peak; other work ${((100 * panel.restMs) / panel.ms).toFixed(0)} % of the time`;
  return [
    `<text class="head" x="${frame.x}" y="22">${escapeMarkup(`${panel.case}, batch ${panel.batch}`)}</text>`,
    `<text x="${frame.x}" y="40">${escapeMarkup(total)}</text>`,
    ...xTicks,
    ...yTicks,
    `<rect class="frame" x="${frame.x}" y="${frame.y}" width="${frame.width}" height="${frame.height}"/>`,
    ...roofs.lines,
    ...labels.flatMap(({ mark, leader }) => (leader ? [line("leader", mark.x, mark.y, leader.x, leader.y)] : [])),
    ...marks.map(({ point, ...mark }) => symbol(mark, point)),
    ...labels.map(({ mark, box }) => {
      const { pass } = (mark as (typeof marks)[number]).point;
      return `<text class="name ${pass}" x="${px(box.x + 1)}" y="${px(box.y + box.height - 3)}">${mark.text}</text>`;
    }),
    `<text x="${px(frame.x + frame.width / 2)}" y="${panelSize.height - 10}" text-anchor="middle">operations of direct convolution per byte of tensors</text>`,
    `<text x="16" y="${half}" text-anchor="middle" transform="rotate(-90 16 ${half})">GFLOP/s, counted as direct convolution</text>`,
  ].join("\n");
}

/** The roofs as lines, and boxes along them that names of layers keep clear of. */
function roofsOf({ peakGflops, memoryGbs, cacheGbs }: Roofline, { x, y, xRange, yRange }: Axes) {
  const lines: string[] = [];
  const obstacles: Box[] = [];
  const slope = (gbs: number, kind: string): void => {
    const from = Math.max(xRange[0], yRange[0] / gbs);
    const to = Math.min(xRange[1], peakGflops / gbs);
    if (from >= to) return;
    lines.push(line(`roof ${kind}`, x(from), y(from * gbs), x(to), y(to * gbs)));
    for (let i = 0; i <= 40; i++) {
      const at = from * (to / from) ** (i / 40);
      obstacles.push({ x: x(at) - 4, y: y(at * gbs) - 4, width: 8, height: 8 });
    }
  };
  slope(memoryGbs, "memory");
  slope(cacheGbs, "cache");
  const start = Math.max(frame.x, x(peakGflops / Math.max(memoryGbs, cacheGbs)));
  const end = frame.x + frame.width;
  lines.push(line("roof", start, y(peakGflops), end, y(peakGflops)));
  obstacles.push({ x: start, y: y(peakGflops) - 3, width: end - start, height: 6 });
  return { lines, obstacles };
}

/** Ticks at 1, 2 and 5 times powers of ten; all named where they are few, else the powers alone. */
function ticks([low, high]: [number, number]): { value: number; text: string }[] {
  const wide = Math.log10(high / low) > 2.7;
  const found: { value: number; text: string }[] = [];
  for (let power = Math.floor(Math.log10(low)); 10 ** power <= high; power++) {
    for (const m of [1, 2, 5]) {
      const value = Number((m * 10 ** power).toPrecision(1));
      if (value >= low && value <= high) found.push({ value, text: wide && m !== 1 ? "" : `${value}` });
    }
  }
  return found;
}

function markOf(point: RooflinePoint, axes: Axes): Mark {
  // The area is the share of the time; the smallest marks stay visible.
  const r = Math.max(2.5, 26 * Math.sqrt(Math.max(0, point.share)));
  return { x: axes.x(point.intensity), y: axes.y(point.gflops), r, text: point.layer };
}

/** The outline of a mark tells the form of its kernels. */
type Shape = Form | "several forms";

function shapeOf({ convolution, weightGradient }: RooflinePoint): Shape {
  const forms = new Set([...convolution, ...weightGradient]);
  return forms.size === 1 ? [...forms][0] : "several forms";
}

/** Circles, diamonds, squares and triangles of about one area. */
const outlines: Record<Shape, (x: number, y: number, r: number) => string> = {
  direct: (x, y, r) =>
    `M${px(x - r)} ${px(y)}a${px(r)} ${px(r)} 0 1 0 ${px(2 * r)} 0a${px(r)} ${px(r)} 0 1 0 ${px(-2 * r)} 0Z`,
  "Winograd 2x2": (x, y, r) =>
    polygon(x, y, 1.2 * r, [
      [0, -1],
      [1, 0],
      [0, 1],
      [-1, 0],
    ]),
  "Winograd 4x4": (x, y, r) =>
    polygon(x, y, 0.88 * r, [
      [-1, -1],
      [1, -1],
      [1, 1],
      [-1, 1],
    ]),
  "several forms": (x, y, r) =>
    polygon(x, y, 1.2 * r, [
      [0, -1],
      [1, 0.8],
      [-1, 0.8],
    ]),
};

function polygon(x: number, y: number, r: number, corners: [number, number][]): string {
  return `M${corners.map(([dx, dy]) => `${px(x + r * dx)} ${px(y + r * dy)}`).join("L")}Z`;
}

function symbol({ x, y, r }: Mark, point: RooflinePoint): string {
  const forms = [...new Set([...point.convolution, ...point.weightGradient])].join(" and ");
  const rates = `${point.gflops.toFixed(1)} GFLOP/s, ${point.intensity.toFixed(1)} operations a byte`;
  const time = `${point.ms.toFixed(2)} ms (${(100 * point.share).toFixed(1)} %)`;
  const title = escapeMarkup(`${point.layer} ${point.pass}: ${forms}, ${time}, ${rates}`);
  return `<path class="mark ${point.pass}" d="${outlines[shapeOf(point)](x, y, r)}"><title>${title}</title></path>`;
}

/** Two lines: what the marks mean, and what the roofs are. */
function legend({ panels, peakGflops, memoryGbs, cacheGbs }: Roofline): string {
  const points = panels.flatMap((panel) => panel.points);
  const marks: { words: string; pass: string; shape: Shape }[] = [
    ...(["forward", "backward"] as const)
      .filter((pass) => points.some((point) => point.pass === pass))
      .map((pass) => ({ words: pass, pass, shape: "direct" as const })),
    ...(Object.keys(outlines) as Shape[])
      .filter((shape) => points.some((point) => shapeOf(point) === shape))
      .map((shape) => ({ words: shape, pass: "key", shape })),
  ];
  const roofs = [
    { words: `peak ${peakGflops.toFixed(0)} GFLOP/s`, kind: "" },
    { words: `memory ${memoryGbs.toFixed(0)} GB/s`, kind: " memory" },
    { words: `cache ${cacheGbs.toFixed(0)} GB/s`, kind: " cache" },
  ];
  const row = <T extends { words: string }>(entries: readonly T[], y: number, key: (entry: T, x: number) => string) => {
    let x = margin.left;
    return entries.map((entry) => {
      const text = `${key(entry, x)}<text x="${x + 30}" y="${y + 4}">${entry.words}</text>`;
      x += 30 + textWidth(entry.words) + 20;
      return text;
    });
  };
  return [
    ...row(marks, 62, ({ pass, shape }, x) => `<path class="mark ${pass}" d="${outlines[shape](x + 18, 62, 6)}"/>`),
    ...row([...roofs, { words: "area of a mark: its share of the time", kind: "none" }], 82, ({ kind }, x) =>
      kind === "none" ? "" : line(`roof${kind}`, x, 82, x + 24, 82),
    ),
  ].join("");
}

const px = (value: number): string => String(Number(value.toFixed(1)));

function line(kind: string, x1: number, y1: number, x2: number, y2: number): string {
  return `<line class="${kind}" x1="${px(x1)}" y1="${px(y1)}" x2="${px(x2)}" y2="${px(y2)}"/>`;
}

const style = [
  "svg{font:11px system-ui,sans-serif}text{fill:#4a4f57}.title{fill:#16181c;font-size:16px;font-weight:600}",
  ".head{fill:#16181c;font-size:13px;font-weight:600}.ground{fill:#fff}.grid{stroke:#eceef0}.frame{fill:none;stroke:#c3c7cd}",
  ".roof{stroke:#16181c;stroke-width:1.5}.roof.memory{stroke-dasharray:6 3}.roof.cache{stroke-dasharray:2 3}",
  ".leader{stroke:#9aa0a8;stroke-width:.8}.mark{fill-opacity:.45}",
  ".mark.forward{fill:#0072b2;stroke:#0072b2}.mark.backward{fill:#d55e00;stroke:#d55e00}.mark.key{fill:none;stroke:#4a4f57}",
  ".name.forward{fill:#005a8d}.name.backward{fill:#a84a00}",
  "@media (prefers-color-scheme:dark){text{fill:#b4bac3}.title,.head{fill:#eef0f3}.ground{fill:#16181c}",
  ".grid{stroke:#262a30}.frame{stroke:#4a4f57}.roof{stroke:#eef0f3}.leader{stroke:#7a808a}",
  ".mark.forward{fill:#56b4e9;stroke:#56b4e9}.mark.backward{fill:#f08a4b;stroke:#f08a4b}.mark.key{stroke:#b4bac3}",
  ".name.forward{fill:#8fd0f5}.name.backward{fill:#f5b083}}",
].join("");
