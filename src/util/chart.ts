/** One line of a chart; points with a non-finite x or y break the line. */
export interface ChartSeries {
  name: string;
  points: readonly (readonly [number, number])[];
}

export interface LineChart {
  series: readonly ChartSeries[];
  title: string;
  xLabel: string;
  yLabel: string;
  /** Pixels. */
  width?: number;
  height?: number;
  /** "log" leaves points with x <= 0 out. Default linear. */
  xScale?: "linear" | "log";
  /** Limits of the y axis; by default those of the data, rounded outwards to ticks. */
  yRange?: readonly [number, number];
}

// Okabe and Ito's colours, told apart with any colour vision: one set for light pages, a lighter one for dark pages.
const lightColours = ["#0072b2", "#d55e00", "#009e73", "#b0579a", "#a67a00", "#2f9fd8"];
const darkColours = ["#56b4e9", "#f08a4b", "#3ccba0", "#e39bc9", "#f0c84b", "#9bd5f5"];
const margin = { left: 58, right: 16, bottom: 44, top: 34 };
const legendHeight = 20;

const escapes: Record<string, string> = { "&": "&amp;", "<": "&lt;", ">": "&gt;", '"': "&quot;", "'": "&#39;" };

/** Text made safe for HTML and SVG, in elements and in quoted attributes. */
export function escapeMarkup(text: string): string {
  return text.replace(/[&<>"']/g, (c) => escapes[c]);
}

/** Round tick positions (1, 2 or 5 times a power of ten) that enclose [low, high] with about `count` steps. */
export function niceTicks(low: number, high: number, count: number): number[] {
  const span = high > low ? high - low : Math.abs(low) || 1;
  const raw = span / Math.max(1, count);
  const power = 10 ** Math.floor(Math.log10(raw));
  const step = power * ([1, 2, 5].find((m) => m * power >= raw * 0.999) ?? 10);
  const first = Math.floor(low / step + 1e-9);
  const last = Math.max(first + 1, Math.ceil(high / step - 1e-9));
  const decimals = Math.max(0, -Math.floor(Math.log10(step) + 1e-9));
  return Array.from({ length: last - first + 1 }, (_, i) => Number(((first + i) * step).toFixed(decimals)));
}

/** Powers of ten in [low, high], both above 0, with 2 and 5 between where there is room; round steps where those are few. */
export function logTicks(low: number, high: number): number[] {
  const first = Math.floor(Math.log10(low));
  const decades = Array.from({ length: Math.ceil(Math.log10(high)) - first + 1 }, (_, i) => 10 ** (first + i));
  const finer = decades.length > 4 ? decades : decades.flatMap((ten) => [ten, 2 * ten, 5 * ten]);
  const ticks = finer.filter((t) => t >= low && t <= high);
  return ticks.length >= 3 ? ticks : niceTicks(low, high, 4);
}

/** A line chart as one SVG element that needs nothing else; it follows the reader's light or dark setting. */
export function lineChart(chart: LineChart): string {
  const { width = 640, height = 320 } = chart;
  const log = chart.xScale === "log";
  const along = (x: number): number => (log ? Math.log10(x) : x);
  const finite = chart.series.flatMap((s) => s.points.filter(([x, y]) => isFinitePoint([along(x), y])));
  const xs = finite.map((p) => p[0]);
  const ys = finite.map((p) => p[1]);
  const hasLegend = chart.series.length > 1;
  const top = margin.top + (hasLegend ? legendHeight : 0);
  const right = width - margin.right;
  const bottom = height - margin.bottom;

  const [xLow, xHigh] = finite.length ? extent(xs) : log ? [1, 10] : [0, 1];
  const ticks = log
    ? logTicks(xLow, xHigh)
    : niceTicks(xLow, xHigh, Math.max(2, Math.floor((right - margin.left) / 70)));
  const xTicks = ticks.filter((t) => t >= xLow && (t <= xHigh || xHigh === xLow));
  const xEnd = Math.max(xHigh, xTicks.at(-1) ?? xHigh);
  const [yLow, yHigh] = chart.yRange ?? (finite.length ? extent(ys) : [0, 1]);
  const allTicks = niceTicks(yLow, yHigh, Math.max(2, Math.floor((bottom - top) / 44)));
  const yTicks = chart.yRange ? allTicks.filter((t) => t >= yLow && t <= yHigh) : allTicks;
  const [yBase, yTop] = chart.yRange ?? [allTicks[0], allTicks[allTicks.length - 1]];

  const px = (x: number): string =>
    (margin.left + ((along(x) - along(xLow)) / (along(xEnd) - along(xLow) || 1)) * (right - margin.left)).toFixed(1);
  const py = (y: number): string =>
    (bottom - ((Math.min(yTop, Math.max(yBase, y)) - yBase) / (yTop - yBase || 1)) * (bottom - top)).toFixed(1);

  const grid = yTicks.map(
    (t) =>
      `<line class="grid" x1="${margin.left}" x2="${right}" y1="${py(t)}" y2="${py(t)}"/>` +
      `<text x="${margin.left - 7}" y="${py(t)}" dy="0.32em" text-anchor="end">${tickText(t)}</text>`,
  );
  const below = xTicks.map(
    (t) =>
      `<line class="axis" x1="${px(t)}" x2="${px(t)}" y1="${bottom}" y2="${bottom + 4}"/>` +
      `<text x="${px(t)}" y="${bottom + 17}" text-anchor="middle">${tickText(t)}</text>`,
  );
  const lines = chart.series.map((series, i) => {
    const name = escapeMarkup(series.name);
    const points = log ? series.points.filter(([x]) => x > 0) : series.points;
    const d = pathOf(thin(points, Math.max(2, right - margin.left)), px, py);
    const alone = points.filter(isFinitePoint);
    const dot =
      alone.length === 1 ? `<circle class="dot c${i}" cx="${px(alone[0][0])}" cy="${py(alone[0][1])}" r="3"/>` : "";
    return `<path class="line c${i}" d="${d}"><title>${name}</title></path>${dot}`;
  });
  const legend = hasLegend ? legendOf(chart.series) : "";
  const middle = ((margin.left + right) / 2).toFixed(0);
  const half = ((top + bottom) / 2).toFixed(0);
  return [
    `<svg class="lunet-chart" xmlns="http://www.w3.org/2000/svg" viewBox="0 0 ${width} ${height}" width="${width}" height="${height}" role="img" aria-label="${escapeMarkup(chart.title)}">`,
    `<style>${style(chart.series.length)}</style>`,
    `<rect class="ground" width="${width}" height="${height}"/>`,
    `<text class="title" x="${margin.left}" y="20">${escapeMarkup(chart.title)}</text>`,
    legend,
    ...grid,
    `<line class="axis" x1="${margin.left}" x2="${right}" y1="${bottom}" y2="${bottom}"/>`,
    ...below,
    `<text x="${middle}" y="${height - 8}" text-anchor="middle">${escapeMarkup(chart.xLabel)}</text>`,
    `<text x="14" y="${half}" text-anchor="middle" transform="rotate(-90 14 ${half})">${escapeMarkup(chart.yLabel)}</text>`,
    ...lines,
    "</svg>",
  ].join("\n");
}

function isFinitePoint(point: readonly [number, number]): boolean {
  return Number.isFinite(point[0]) && Number.isFinite(point[1]);
}

function extent(values: number[]): [number, number] {
  let low = Number.POSITIVE_INFINITY;
  let high = Number.NEGATIVE_INFINITY;
  for (const v of values) {
    if (v < low) low = v;
    if (v > high) high = v;
  }
  return [low, high];
}

/** Keeps at most two points a pixel column (lowest and highest y), so a run of a million steps stays a small picture. */
function thin(points: ChartSeries["points"], columns: number): ChartSeries["points"] {
  if (points.length <= columns * 2) return points;
  const size = points.length / columns;
  const kept: (readonly [number, number])[] = [];
  for (let c = 0; c < columns; c++) {
    const bucket = points.slice(Math.floor(c * size), Math.floor((c + 1) * size)).filter(isFinitePoint);
    if (bucket.length === 0) continue;
    const low = bucket.reduce((a, b) => (b[1] < a[1] ? b : a));
    const high = bucket.reduce((a, b) => (b[1] > a[1] ? b : a));
    kept.push(...(low === high ? [low] : low[0] < high[0] ? [low, high] : [high, low]));
  }
  return kept;
}

function pathOf(points: ChartSeries["points"], px: (x: number) => string, py: (y: number) => string): string {
  let pen = "M";
  const parts: string[] = [];
  for (const point of points) {
    if (isFinitePoint(point)) {
      parts.push(`${pen}${px(point[0])} ${py(point[1])}`);
      pen = "L";
    } else pen = "M";
  }
  return parts.join("");
}

function legendOf(series: readonly ChartSeries[]): string {
  let x = margin.left;
  return series
    .map((s, i) => {
      const key = `<line class="line c${i}" x1="${x}" x2="${x + 18}" y1="${margin.top}" y2="${margin.top}"/>`;
      const text = `<text x="${x + 24}" y="${margin.top}" dy="0.32em">${escapeMarkup(s.name)}</text>`;
      x += 24 + Math.ceil(s.name.length * 6.6) + 18; // about the width of the text at 12 px
      return key + text;
    })
    .join("");
}

function tickText(value: number): string {
  const size = Math.abs(value);
  if (size >= 1e4)
    return value >= 1e6 ? `${Number((value / 1e6).toPrecision(6))}M` : `${Number((value / 1e3).toPrecision(6))}k`;
  return String(value);
}

function style(seriesCount: number): string {
  const colours = (palette: string[]): string =>
    Array.from({ length: seriesCount }, (_, i) => {
      const colour = palette[i % palette.length];
      return `.lunet-chart .c${i}{stroke:${colour}}.lunet-chart .dot.c${i}{fill:${colour}}`;
    }).join("");
  return [
    ".lunet-chart{font:12px system-ui,sans-serif;max-width:100%;height:auto}",
    ".lunet-chart text{fill:#4a4f57}.lunet-chart .title{fill:#16181c;font-size:14px;font-weight:600}",
    ".lunet-chart .ground{fill:#fff}.lunet-chart .grid{stroke:#e3e5e8}.lunet-chart .axis{stroke:#8b9098}",
    ".lunet-chart .line{fill:none;stroke-width:2;stroke-linejoin:round}",
    colours(lightColours),
    "@media (prefers-color-scheme:dark){.lunet-chart text{fill:#b4bac3}.lunet-chart .title{fill:#eef0f3}",
    ".lunet-chart .ground{fill:#16181c}.lunet-chart .grid{stroke:#30343b}.lunet-chart .axis{stroke:#7a808a}",
    `${colours(darkColours)}}`,
  ].join("");
}

/** Charts of equal width under each other, as one SVG file. */
export function stackCharts(charts: readonly LineChart[]): string {
  const width = Math.max(...charts.map((chart) => chart.width ?? 640));
  let y = 0;
  const parts = charts.map((chart) => {
    const part = lineChart(chart).replace("<svg ", `<svg y="${y}" `);
    y += chart.height ?? 320;
    return part;
  });
  const size = `viewBox="0 0 ${width} ${y}" width="${width}" height="${y}"`;
  return `<svg xmlns="http://www.w3.org/2000/svg" ${size}>\n${parts.join("\n")}\n</svg>\n`;
}
