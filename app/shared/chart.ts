import { logTicks, niceTicks } from "../../src/util/chart.ts";
import { el } from "./dom.ts";

export interface Series {
  name: string;
  points: readonly (readonly [number, number])[];
  /** Number of the colour. */
  colour: number;
  /** Drawn thinner and paler, as what is not the main thing. */
  faint?: boolean;
}

export interface Chart {
  title: string;
  xLabel: string;
  series: readonly Series[];
  /** Limits of the y axis; by default those of the data, rounded outwards. */
  yRange?: readonly [number, number];
  xScale?: "linear" | "log";
  /** How values are shown under the pointer. */
  format?: (y: number) => string;
}

/** Colours that stand in the style sheet as .c0, .c1, ... */
export const colours = 8;
const height = 270;
const margin = { left: 46, right: 20, top: 8, bottom: 34 };
const namespace = "http://www.w3.org/2000/svg";

function svg(tag: string, attributes: Record<string, string | number>, text?: string): SVGElement {
  const element = document.createElementNS(namespace, tag);
  for (const [name, value] of Object.entries(attributes)) element.setAttribute(name, String(value));
  if (text !== undefined) element.textContent = text;
  return element;
}

export interface ChartView {
  element: HTMLElement;
  update(chart: Chart): void;
}

/** A line chart that fits its width, with a legend, and the values under the pointer. */
export function chartView(first: Chart): ChartView {
  const legend = el("div", { className: "legend" });
  const plot = el("div", { className: "plot" });
  const title = el("h3", {});
  const element = el("figure", { className: "chart" }, el("figcaption", {}, title, legend), plot);
  let chart = first;
  let width = 0;
  const draw = (): void => {
    title.textContent = chart.title;
    legend.replaceChildren(...(chart.series.length > 1 ? chart.series.map(legendEntry) : []));
    if (width > 0) plot.replaceChildren(...drawn(chart, width));
  };
  new ResizeObserver(([{ contentRect }]) => {
    const now = Math.round(contentRect.width);
    if (now === width) return;
    width = now;
    draw();
  }).observe(plot);
  draw();
  return {
    element,
    update: (next) => {
      chart = next;
      draw();
    },
  };
}

const legendEntry = ({ name, colour, faint }: Series): HTMLElement =>
  el("span", { className: `key c${colour % colours}${faint ? " faint" : ""}` }, name);

const isFinitePoint = ([x, y]: readonly [number, number]): boolean => Number.isFinite(x) && Number.isFinite(y);

function drawn(chart: Chart, width: number): Node[] {
  const log = chart.xScale === "log";
  const along = (x: number): number => (log ? Math.log10(x) : x);
  const series = chart.series.map((one) => ({
    ...one,
    points: one.points.filter(([x, y]) => isFinitePoint([along(x), y])),
  }));
  const all = series.flatMap(({ points }) => points);
  if (all.length === 0) return [el("p", { className: "soft empty" }, "No values yet.")];
  const xs = extent(all.map(([x]) => x));
  const right = width - margin.right;
  const bottom = height - margin.bottom;
  const ys = chart.yRange ?? extent(all.map(([, y]) => y));
  const outer = niceTicks(ys[0], ys[1], 4);
  const yTicks = chart.yRange ? outer.filter((t) => t >= ys[0] - 1e-9 && t <= ys[1] + 1e-9) : outer;
  const [low, high] = chart.yRange ?? [outer[0], outer[outer.length - 1]];
  const xTicks = (log ? logTicks(...xs) : niceTicks(...xs, Math.max(2, Math.floor((right - margin.left) / 56)))).filter(
    (t) => t >= xs[0] && t <= xs[1],
  );
  const px = (x: number): number =>
    margin.left + ((along(x) - along(xs[0])) / (along(xs[1]) - along(xs[0]) || 1)) * (right - margin.left);
  const py = (y: number): number =>
    bottom - ((Math.min(high, Math.max(low, y)) - low) / (high - low || 1)) * (bottom - margin.top);

  const picture = svg("svg", { width, height, role: "img", "aria-label": ariaOf(chart, series) });
  for (const t of yTicks) {
    picture.append(
      svg("line", { class: "grid", x1: margin.left, x2: right, y1: py(t), y2: py(t) }),
      svg("text", { x: margin.left - 7, y: py(t), dy: "0.32em", "text-anchor": "end" }, tickText(t)),
    );
  }
  picture.append(svg("line", { class: "axis", x1: margin.left, x2: right, y1: bottom, y2: bottom }));
  for (const t of xTicks) {
    picture.append(
      svg("line", { class: "axis", x1: px(t), x2: px(t), y1: bottom, y2: bottom + 4 }),
      svg("text", { x: px(t), y: bottom + 16, "text-anchor": "middle" }, tickText(t)),
    );
  }
  picture.append(svg("text", { x: right, y: height - 3, "text-anchor": "end", class: "label" }, chart.xLabel));
  for (const { points, colour, faint } of series) {
    const look = `c${colour % colours}${faint ? " faint" : ""}`;
    const line = thinned(points, right - margin.left);
    const d = line.map(([x, y], i) => `${i === 0 ? "M" : "L"}${px(x).toFixed(1)} ${py(y).toFixed(1)}`).join("");
    picture.append(svg("path", { class: `line ${look}`, d }));
    if (line.length === 1)
      picture.append(svg("circle", { class: `dot ${look}`, cx: px(line[0][0]), cy: py(line[0][1]), r: 3 }));
  }
  return [picture, ...pointer(chart, series, picture, { px, py, right, bottom, width })];
}

interface Frame {
  px: (x: number) => number;
  py: (y: number) => number;
  right: number;
  bottom: number;
  width: number;
}

/** The line and the values under the pointer. */
function pointer(chart: Chart, series: readonly Series[], picture: SVGElement, frame: Frame): Node[] {
  const format = chart.format ?? ((y: number) => String(Number(y.toPrecision(4))));
  const line = svg("line", { class: "pointer", y1: margin.top, y2: frame.bottom });
  const dots = series.map(({ colour }) => svg("circle", { class: `dot c${colour % colours}`, r: 3.5 }));
  const tip = el("div", { className: "tip", hidden: true });
  const hide = (): void => {
    tip.hidden = true;
    for (const one of [line, ...dots]) one.setAttribute("visibility", "hidden");
  };
  picture.append(line, ...dots);
  hide();
  const nearest = (points: Series["points"], at: number) =>
    points.reduce(
      (best, point) => (Math.abs(frame.px(point[0]) - at) < Math.abs(frame.px(best[0]) - at) ? point : best),
      points[0],
    );
  picture.addEventListener("pointermove", (event) => {
    const at = event.clientX - picture.getBoundingClientRect().left;
    const found = series.map(({ points }) => (points.length > 0 ? nearest(points, at) : null));
    const x = found
      .filter((point) => point !== null)
      .reduce(
        (best, point) => (Math.abs(frame.px(point[0]) - at) < Math.abs(frame.px(best) - at) ? point[0] : best),
        Number.POSITIVE_INFINITY,
      );
    if (!Number.isFinite(x)) return;
    line.setAttribute("x1", String(frame.px(x)));
    line.setAttribute("x2", String(frame.px(x)));
    line.setAttribute("visibility", "visible");
    const rows = found.flatMap((point, i) => {
      // Series that end elsewhere have nothing to say here.
      const near = point !== null && Math.abs(frame.px(point[0]) - frame.px(x)) <= 12;
      dots[i].setAttribute("visibility", near ? "visible" : "hidden");
      if (!near) return [];
      dots[i].setAttribute("cx", String(frame.px(point[0])));
      dots[i].setAttribute("cy", String(frame.py(point[1])));
      return [el("div", { className: `key c${series[i].colour % colours}` }, `${series[i].name} ${format(point[1])}`)];
    });
    tip.replaceChildren(el("div", { className: "soft" }, `${chart.xLabel} ${x.toLocaleString("en-US")}`), ...rows);
    tip.hidden = false;
    const left = frame.px(x) > frame.width / 2;
    tip.style.left = left ? "" : `${frame.px(x) + 10}px`;
    tip.style.right = left ? `${frame.width - frame.px(x) + 10}px` : "";
  });
  picture.addEventListener("pointerleave", hide);
  return [tip];
}

function ariaOf({ title }: Chart, series: readonly Series[]): string {
  const last = series.flatMap(({ name, points }) =>
    points.length > 0 ? [`${name} ${Number(points.at(-1)![1].toPrecision(3))}`] : [],
  );
  return `${title}: ${last.slice(0, 6).join(", ")} at the end`;
}

function extent(values: readonly number[]): [number, number] {
  let [low, high] = [Number.POSITIVE_INFINITY, Number.NEGATIVE_INFINITY];
  for (const value of values) {
    if (value < low) low = value;
    if (value > high) high = value;
  }
  return [low, high];
}

/** The lowest and the highest point of every two pixels, so that a long run stays a small picture. */
function thinned(points: Series["points"], pixels: number): Series["points"] {
  const columns = Math.max(1, Math.floor(pixels / 2));
  if (points.length <= 2 * columns) return points;
  return Array.from({ length: columns }, (_, c) => {
    const part = points.slice(
      Math.floor((c * points.length) / columns),
      Math.floor(((c + 1) * points.length) / columns),
    );
    const low = part.reduce((a, b) => (b[1] < a[1] ? b : a));
    const high = part.reduce((a, b) => (b[1] > a[1] ? b : a));
    return low === high ? [low] : low[0] < high[0] ? [low, high] : [high, low];
  }).flat();
}

function tickText(value: number): string {
  const size = Math.abs(value);
  if (size >= 1e6) return `${Number((value / 1e6).toPrecision(4))}M`;
  if (size >= 1e4) return `${Number((value / 1e3).toPrecision(4))}k`;
  return size !== 0 && size < 1e-3 ? value.toExponential(0) : String(value);
}
