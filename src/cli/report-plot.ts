import { escapeMarkup, logTicks, niceTicks } from "../util/chart.ts";

export interface PlotPoint {
  value: number;
  /** Shown when the pointer rests on the point. */
  name: string;
  /** Drawn as an exception. */
  flagged: boolean;
}

export interface StripPlot {
  title: string;
  unit: string;
  scale: "linear" | "log";
  /** A strip of points each, on one axis. */
  strips: { name: string; points: readonly PlotPoint[] }[];
}

const width = 900;
const rowHeight = 46;
const margin = { left: 190, right: 24, top: 8, bottom: 44 };
const radius = 3.2;

/** Colours that the page must define in addition to its own. */
export const plotStyle = `
.strip{max-width:100%;height:auto;display:block;font:12px system-ui,sans-serif}.strip text{fill:var(--ink)}.strip .tick{fill:var(--soft)}
.strip line{stroke:var(--line)}.strip .middle{stroke:var(--ink);stroke-width:2}.strip .dot{fill:var(--dot)}.strip .far{fill:var(--no)}
`;

/** A dot for every case, spread across its strip so that dots do not hide each other; a line at the median. For pages with {@link plotStyle}. */
export function stripPlot({ title, unit, scale, strips }: StripPlot): string {
  const values = strips.flatMap(({ points }) => points.map(({ value }) => value));
  const [low, high] = values.reduce(
    ([a, b], x) => [Math.min(a, x), Math.max(b, x)],
    [Number.POSITIVE_INFINITY, Number.NEGATIVE_INFINITY],
  );
  const log = scale === "log" && low > 0;
  const along = (x: number): number => (log ? Math.log10(x) : x);
  const spare = 0.03 * (along(high) - along(low)) || 0.5 * Math.abs(along(high)) || 0.5;
  const [first, last] = [along(low) - spare, along(high) + spare];
  const px = (x: number): number =>
    margin.left + ((along(x) - first) / (last - first)) * (width - margin.left - margin.right);
  const height = margin.top + strips.length * rowHeight + margin.bottom;
  const bottom = height - margin.bottom;
  const ticks = (log && high > 2 * low ? logTicks(low, high) : niceTicks(low, high, 6)).filter(
    (t) => along(t) >= first && along(t) <= last,
  );
  const axis = ticks.map(
    (t) =>
      `<line x1="${px(t).toFixed(1)}" x2="${px(t).toFixed(1)}" y1="${margin.top}" y2="${bottom}"/>` +
      `<text class="tick" x="${px(t).toFixed(1)}" y="${bottom + 16}" text-anchor="middle">${tickText(t)}</text>`,
  );
  const rows = strips.map(({ name, points }, row) => {
    const centre = margin.top + (row + 0.5) * rowHeight;
    return [
      `<text x="${margin.left - 12}" y="${centre}" dy="0.32em" text-anchor="end">${escapeMarkup(shortened(name))}</text>`,
      ...dots(points, px, centre),
      middleLine(points, px, centre),
    ].join("");
  });
  const unitText = unit + (log ? (unit ? ", log scale" : "log scale") : "");
  const middle = ((margin.left + width - margin.right) / 2).toFixed(0);
  return `<svg class="strip" viewBox="0 0 ${width} ${height}" width="${width}" height="${height}" role="img" aria-label="${escapeMarkup(title)}">
${axis.join("")}${rows.join("")}<text class="tick" x="${middle}" y="${height - 8}" text-anchor="middle">${escapeMarkup(unitText)}</text></svg>`;
}

/** Dots of close values are stacked around the strip's centre line, exceptions drawn last. */
function dots(points: readonly PlotPoint[], px: (x: number) => number, centre: number): string[] {
  const columns = new Map<number, number>();
  const most = Math.floor((rowHeight / 2 - radius - 2) / radius);
  const placed = points
    .toSorted((a, b) => a.value - b.value)
    .map((point) => {
      const x = px(point.value);
      const column = Math.round(x / (1.6 * radius));
      const n = columns.get(column) ?? 0;
      columns.set(column, n + 1);
      // 0, 1, -1, 2, -2, ... radii from the centre line, from the start again where the strip is full.
      const place = n % (2 * most + 1);
      const y = centre + radius * (place % 2 ? (place + 1) / 2 : -place / 2);
      return { point, x, y };
    });
  return placed
    .sort((a, b) => Number(a.point.flagged) - Number(b.point.flagged))
    .map(
      ({ point, x, y }) =>
        `<circle class="${point.flagged ? "far" : "dot"}" cx="${x.toFixed(1)}" cy="${y.toFixed(1)}" r="${radius}" fill-opacity="${point.flagged ? 1 : 0.6}">` +
        `<title>${escapeMarkup(`${point.name}: ${Number(point.value.toPrecision(4))}`)}</title></circle>`,
    );
}

function middleLine(points: readonly PlotPoint[], px: (x: number) => number, centre: number): string {
  if (points.length === 0) return "";
  const sorted = points.map(({ value }) => value).sort((a, b) => a - b);
  const half = sorted.length >> 1;
  const x = px(sorted.length % 2 ? sorted[half] : (sorted[half - 1] + sorted[half]) / 2).toFixed(1);
  return `<line class="middle" x1="${x}" x2="${x}" y1="${centre - 15}" y2="${centre + 15}"/>`;
}

function tickText(value: number): string {
  const size = Math.abs(value);
  if (size >= 1e6) return `${Number((value / 1e6).toPrecision(4))}M`;
  return size >= 1e4 ? `${Number((value / 1e3).toPrecision(4))}k` : String(value);
}

/** Names longer than the margin take. */
function shortened(name: string): string {
  return name.length > 28 ? `${name.slice(0, 27)}\u2026` : name;
}
