import { expect, test } from "vitest";
import { type PlotPoint, stripPlot } from "./report-plot.ts";

const points = (values: number[], flagged = -1): PlotPoint[] =>
  values.map((value, i) => ({ value, name: `<case ${i}>`, flagged: i === flagged }));

const circles = (svg: string) =>
  [...svg.matchAll(/<circle class="(\w+)" cx="([\d.]+)" cy="([\d.]+)".*?<title>([^<]*)<\/title>/g)].map(
    ([, kind, x, y, title]) => ({ kind, x: Number(x), y: Number(y), title }),
  );

test("dots lie by value: equal steps on a linear axis, equal ratios on a log axis; the median in the middle", () => {
  const of = (scale: "linear" | "log", values: number[]): number[] =>
    circles(stripPlot({ title: "t", unit: "ml", scale, strips: [{ name: "a", points: points(values) }] })).map(
      ({ x }) => x,
    );
  const [a, b, c] = of("linear", [1, 2, 3]);
  expect(b - a).toBeCloseTo(c - b, 0); // places are rounded to 0.1
  const [d, e, f] = of("log", [1, 10, 100]);
  expect(e - d).toBeCloseTo(f - e, 0);
  const svg = stripPlot({
    title: "t",
    unit: "ml",
    scale: "linear",
    strips: [{ name: "a", points: points([1, 2, 3]) }],
  });
  const middle = Number(/class="middle" x1="([\d.]+)"/.exec(svg)![1]);
  expect(middle).toBeCloseTo(b, 1);
});

test("equal values stand apart, exceptions are marked, drawn last and named, all inside the picture", () => {
  const strips = [
    { name: "many", points: points(new Array(60).fill(5), 0) },
    { name: "none", points: [] },
  ];
  const svg = stripPlot({ title: 'a "title"', unit: "", scale: "log", strips });
  const dots = circles(svg);
  expect(dots).toHaveLength(60);
  expect(dots.at(-1)).toMatchObject({ kind: "far", title: "&lt;case 0&gt;: 5" });
  expect(new Set(dots.map(({ y }) => y)).size).toBeGreaterThan(10);
  for (const { x, y } of dots) {
    expect(x).toBeGreaterThan(190);
    expect(x).toBeLessThan(876);
    expect(y).toBeGreaterThan(8);
    expect(y).toBeLessThan(54);
  }
  expect(svg).toContain("a &quot;title&quot;");
  expect(svg).not.toContain("NaN");
});
