import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { escapeMarkup, lineChart, niceTicks } from "./chart.ts";

/** The numbers of a path's points, as [x, y] pairs. */
function pathPoints(svg: string, series: number): number[][] {
  const d = new RegExp(`class="line c${series}" d="([^"]*)"`).exec(svg)![1];
  return [...d.matchAll(/[ML]([\d.-]+) ([\d.-]+)/g)].map((m) => [Number(m[1]), Number(m[2])]);
}

describe("niceTicks", () => {
  it("gives round steps", () => {
    expect(niceTicks(0, 1, 5)).toEqual([0, 0.2, 0.4, 0.6, 0.8, 1]);
    expect(niceTicks(3, 97, 4)).toEqual([0, 50, 100]);
    expect(niceTicks(0.1, 0.35, 5)).toEqual([0.1, 0.15, 0.2, 0.25, 0.3, 0.35]);
  });

  it("always encloses the range, ascending, in few steps", () => {
    const range = fc.tuple(
      fc.double({ min: -1e6, max: 1e6, noNaN: true }),
      fc.double({ min: 1e-3, max: 1e6, noNaN: true }),
    );
    fc.assert(
      fc.property(range, fc.integer({ min: 2, max: 10 }), ([low, span], count) => {
        const ticks = niceTicks(low, low + span, count);
        const slack = (Math.abs(low) + span) * 1e-6;
        expect(ticks[0]).toBeLessThanOrEqual(low + slack);
        expect(ticks.at(-1)!).toBeGreaterThanOrEqual(low + span - slack);
        expect(ticks.length).toBeLessThanOrEqual(count + 3);
        for (let i = 1; i < ticks.length; i++) expect(ticks[i]).toBeGreaterThan(ticks[i - 1]);
      }),
    );
  });
});

describe("lineChart", () => {
  const frame = { title: "Loss", xLabel: "step", yLabel: "loss", width: 474, height: 278 };

  it("places points by the decade on a log axis, leaves out what has no logarithm, and marks 1, 2 and 5", () => {
    const points: [number, number][] = [
      [100000, 1],
      [10000, 0.5],
      [1000, 0],
      [0, 0],
    ];
    const svg = lineChart({ ...frame, xScale: "log", series: [{ name: "a", points }] });
    expect(pathPoints(svg, 0).map(([x]) => x)).toEqual([458, 258, 58]);
    const labels = [...svg.matchAll(/text-anchor="middle">([\d.]+k?)</g)].map((m) => m[1]);
    expect(labels).toEqual(["1000", "2000", "5000", "10k", "20k", "50k", "100k"]);
    expect(lineChart({ ...frame, xScale: "log", series: [{ name: "a", points: [[0, 1]] }] })).toContain("</svg>");
  });

  it("places points by the axes: plot area x 58..458, y 34..234", () => {
    const points: [number, number][] = [
      [0, 0],
      [50, 0.5],
      [100, 1],
    ];
    const svg = lineChart({ ...frame, series: [{ name: "a", points }], yRange: [0, 1] });
    expect(pathPoints(svg, 0)).toEqual([
      [58, 234],
      [258, 134],
      [458, 34],
    ]);
  });

  it("breaks the line at a missing value, has a legend for two series and escapes text", () => {
    const svg = lineChart({
      ...frame,
      title: 'a < b & "c"',
      series: [
        {
          name: "one",
          points: [
            [0, 1],
            [1, Number.NaN],
            [2, 3],
            [3, 4],
          ],
        },
        {
          name: "<two>",
          points: [
            [0, 2],
            [3, 2],
          ],
        },
      ],
    });
    expect(svg.match(/class="line c0" d="([^"]*)"/)![1].match(/M/g)).toHaveLength(2);
    expect(svg).toContain("&lt;two&gt;</text>");
    expect(svg).toContain("a &lt; b &amp; &quot;c&quot;");
    expect(svg).not.toContain("NaN");
  });

  it("draws an empty chart, a single point and a constant without NaN", () => {
    for (const points of [
      [],
      [[3, 5]],
      [
        [0, 2],
        [1, 2],
      ],
    ] as [number, number][][]) {
      const svg = lineChart({ ...frame, series: [{ name: "a", points }] });
      expect(svg).not.toMatch(/NaN|Infinity/);
    }
    expect(lineChart({ ...frame, series: [{ name: "a", points: [[3, 5]] }] })).toContain("<circle");
  });

  it("thins a long run but keeps its extremes", () => {
    const points = Array.from({ length: 100_000 }, (_, i): [number, number] => [i, i === 54_321 ? 9 : Math.sin(i)]);
    const svg = lineChart({ ...frame, series: [{ name: "a", points }], yRange: [-1, 9] });
    expect(svg.length).toBeLessThan(30_000);
    expect(pathPoints(svg, 0).some(([, y]) => y === 34)).toBe(true);
  });
});

it("escapeMarkup leaves no markup", () => {
  expect(escapeMarkup(`<a href="x">'&'</a>`)).toBe("&lt;a href=&quot;x&quot;&gt;&#39;&amp;&#39;&lt;/a&gt;");
});
