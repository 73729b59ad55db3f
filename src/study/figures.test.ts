import { expect, test } from "vitest";
import { channelFigure, levelFigure } from "./figures-channels.ts";
import { casesFigure, skipsFigure } from "./figures-curves.ts";
import { diceFigure } from "./figures-dice.ts";
import { forestFigure } from "./figures-differences.ts";
import { armScale, colourOf } from "./figures-theme.ts";
import { madeUpStudy, paperArms } from "./report.fixture.ts";
import type { StudyData } from "./report-load.ts";
import type { RunResult } from "./types.ts";

/** 25 channels, so that a column of the heat map is one channel: first the bottleneck loses five, then the encoder one. */
function tiny(): StudyData {
  const [stamp] = paperArms.filter((arm) => arm.id === "stamp");
  const size = {
    step: 0,
    widths: { "encoder.0.0": 5, "bottleneck.0": 20 },
    parameters: 10,
    test: null,
    validation: {},
  };
  const removals = Array.from({ length: 6 }, (_, i) => ({
    layer: i < 5 ? "bottleneck.0" : "encoder.0.0",
    level: i < 5 ? 1 : 0,
    step: i + 1,
  }));
  const run = { arm: "stamp", kind: "prune", fold: 0, seed: 1, sizes: [size], chosen: 0, removals };
  const data = madeUpStudy({ folds: 1, seeds: 1 }, []);
  data.study.arms = [stamp];
  return { ...data, results: [run as unknown as RunResult] };
}

test("the heat map shows the share of channels left after each removal", () => {
  const { concat } = channelFigure(tiny())!.spec as unknown as { concat: { data: { values: Cell[] } }[] };
  const shares = (layer: string) =>
    concat[0].data.values.filter((cell) => cell.layer === layer).map(({ left }) => left);
  expect(shares("bottleneck.0")).toEqual([100, 95, 90, 85, 80, 75, 75]);
  expect(shares("encoder.0.0")).toEqual([100, 100, 100, 100, 100, 100, 80]);
  expect(concat[0].data.values[0]).toMatchObject({ from: 0, to: 4 });
});

interface Cell {
  layer: string;
  from: number;
  to: number;
  left: number;
}

test("bars show each level's share of the removals beside its share of the channels", () => {
  const { data } = levelFigure(tiny())!.spec as unknown as { data: { values: Record<string, unknown>[] } };
  expect(data.values.map(({ level, share, expected }) => [level, share, expected])).toEqual([
    ["0", 100 / 6, 20],
    ["1 (bottleneck)", 500 / 6, 80],
  ]);
});

test("a study without the arms of a figure has no such figure", () => {
  const data = { ...madeUpStudy({ folds: 1, seeds: 1 }, []), results: [] };
  data.study.arms = paperArms;
  for (const make of [channelFigure, levelFigure, diceFigure, casesFigure, skipsFigure]) expect(make(data)).toBeNull();
  expect(forestFigure({ name: "f", title: "t", axes: [[]], margin: 0.01 })).toBeNull();
});

test("arms of one group have shades of its colour", () => {
  const group = "pruned: STAMP";
  const { range } = armScale([
    { label: "a", group },
    { label: "b", group },
    { label: "c", group: "flat widths" },
  ]);
  expect(range[0]).toBe(colourOf(group));
  expect(range[1]).toBe("#59c0a4"); // 35 % of the way from 00, 9e, 73 to ff
  expect(range[2]).toBe(colourOf("flat widths"));
});

test("an arm that did not learn does not press the others together: it is told at the lower edge", () => {
  const data = madeUpStudy({ folds: 2, seeds: 1, casesPerFold: 4 }, paperArms.slice(0, 4));
  const failed = data.results.find(({ arm }) => arm === "unet-4")!;
  for (const score of Object.values(failed.sizes[0].test!)) score.dice = [0.1, 0.1];
  const spec = diceFigure(data)!.spec as unknown as {
    layer: { data: { values: { label: string; dice: number; low: number }[] }; mark: { shape?: string } }[];
  };
  const values = (shape: string) => spec.layer.find(({ mark }) => mark.shape === shape)!.data.values;
  expect(values("circle").map(({ label }) => label)).toEqual(["unet:8", "lean:4", "lean:8"]);
  const [edge] = values("triangle-down");
  // One run of about 0.885 and one of 0.1.
  expect(edge.label).toMatch(/^unet:4: 0\.(49|50)$/);
  expect(edge.dice).toBeGreaterThan(0.8);
  expect(edge.dice).toBeLessThan(Math.min(...values("circle").map(({ low }) => low)));
});
