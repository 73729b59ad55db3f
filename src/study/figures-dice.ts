import { mainArms } from "./claims.ts";
import { type ArmGroup, groupOf } from "./claims-arms.ts";
import { chosenSize, meanScore, runsOf } from "./claims-compare.ts";
import { letterWidth, placeLabels } from "./figures-labels.ts";
import type { Figure } from "./figures-render.ts";
import { config, groupScale, theme } from "./figures-theme.ts";
import type { StudyData } from "./report-load.ts";
import { average, meanSd } from "./statistics.ts";
import type { RunResult, SizeResult, StudyArm } from "./types.ts";

const width = 520;
const height = 340;

interface Point {
  arm: string;
  label: string;
  group: ArmGroup;
  parameters: number;
  dice: number;
  low: number;
  high: number;
  chosen: boolean;
}

interface CurvePoint {
  arm: string;
  group: ArmGroup;
  run: string;
  parameters: number;
  dice: number;
}

/** Dice against parameters: trained arms as points, pruning arms as curves. Null without anything to draw. */
export function diceFigure(data: StudyData): Figure | null {
  const arms = mainArms(data.study);
  const points = arms.flatMap((arm) => pointOf(data, arm) ?? []);
  if (points.length === 0) return null;
  const pruned = arms.filter((arm) => arm.kind === "prune");
  const scored = pruned.every((arm) => runsOf(data, arm.id).every((run) => run.sizes.every((s) => s.test)))
    ? "test"
    : "validation";
  const curves = pruned.flatMap((arm) => runsOf(data, arm.id).flatMap((run) => curveOf(arm, run, scored)));
  const means = pruned.flatMap((arm) => meanCurve(arm, runsOf(data, arm.id), scored));
  const groups = points.map((point) => point.group);

  const shown = [...points.flatMap((p) => [p.low, p.high]), ...means.map((p) => p.dice)];
  // Curves end far below; what matters lies near the points.
  const lowest = Math.max(Math.min(...shown), Math.min(...points.map((p) => p.low)) - 0.04);
  const yDomain = [lowest - 0.01, Math.max(...shown) + 0.014];
  const parameters = [...points, ...means].map((p) => p.parameters);
  const xDomain = [Math.min(...parameters) / 1.3, Math.max(...parameters) * 2.2];
  const alone = (point: Point): boolean => points.filter((p) => p.group === point.group).length === 1;
  const labels = labelsOf(
    points.filter((point) => !(point.chosen && alone(point))),
    xDomain,
    yDomain,
  );

  const x = {
    field: "parameters",
    type: "quantitative",
    scale: { type: "log", domain: xDomain, nice: false },
    axis: { title: "trained parameters (log)", format: "~s", values: logTicks(xDomain), grid: false },
  } as const;
  const y = {
    field: "dice",
    type: "quantitative",
    scale: { domain: yDomain, zero: false },
    axis: { title: "Dice", format: ".2f", tickCount: 6 },
  } as const;
  const text = { x: { ...x, field: "labelX" }, y: { ...y, field: "labelY" }, text: { field: "label" } } as const;
  const label = { type: "text", align: "left", baseline: "middle" } as const;
  return {
    name: "dice-parameters",
    title: "Dice against parameters",
    caption:
      "Test Dice (mean over runs, bars: standard deviation over folds and seeds) against trained parameters. " +
      (pruned.length > 0
        ? `Lines: pruning curves on the ${scored} cases, thin for single runs, thick for their mean. ` +
          "Diamonds: the size with the best validation Dice, with the Dice of that size on the test cases."
        : ""),
    spec: {
      width,
      height,
      config,
      encoding: {
        color: {
          field: "group",
          type: "nominal",
          scale: groupScale(groups),
          legend: { title: null, orient: "bottom", columns: 2, symbolType: "circle", symbolSize: 75, symbolOpacity: 1 },
        },
      },
      layer: [
        {
          data: { values: curves },
          mark: { type: "line", strokeWidth: 1, opacity: 0.25, clip: true },
          encoding: { x, y, detail: { field: "run" }, order: { field: "parameters" } },
        },
        {
          data: { values: means },
          mark: { type: "line", strokeWidth: 2.2, clip: true },
          encoding: { x, y, detail: { field: "arm" }, order: { field: "parameters" } },
        },
        // A rim keeps labels legible on curves; it lies below the points.
        {
          data: { values: labels },
          mark: { ...label, stroke: theme.ground, strokeWidth: 3, strokeJoin: "round" },
          encoding: { ...text, color: { value: theme.ground } },
        },
        {
          data: { values: labels.filter(({ far }) => far) },
          mark: { type: "rule", strokeWidth: 0.7 },
          encoding: {
            x,
            y,
            x2: { field: "leadX" },
            y2: { field: "labelY" },
            color: { value: theme.soft },
          },
        },
        {
          data: { values: points },
          mark: { type: "rule", strokeWidth: 1.5 },
          encoding: { x, y: { ...y, field: "low" }, y2: { field: "high" } },
        },
        {
          data: { values: points.filter((point) => !point.chosen) },
          mark: { type: "point", filled: true, shape: "circle", size: 75, opacity: 1 },
          encoding: { x, y },
        },
        {
          data: { values: points.filter((point) => point.chosen) },
          mark: {
            type: "point",
            filled: true,
            shape: "diamond",
            size: 130,
            opacity: 1,
            stroke: theme.ground,
            strokeWidth: 1,
          },
          encoding: { x, y },
        },
        { data: { values: labels }, mark: label, encoding: { ...text, color: { value: theme.ink } } },
      ],
    },
  };
}

function pointOf(data: StudyData, arm: StudyArm): Point | null {
  const runs = runsOf(data, arm.id).flatMap((run) => {
    const dice = meanScore(chosenSize(run).test, "dice");
    return dice === null ? [] : [{ dice, parameters: chosenSize(run).parameters }];
  });
  const dice = meanSd(runs.map((run) => run.dice));
  if (!dice) return null;
  const sd = dice.sd ?? 0;
  return {
    arm: arm.id,
    label: arm.label,
    group: groupOf(arm),
    parameters: geometricMean(runs.map((run) => run.parameters)),
    dice: dice.mean,
    low: dice.mean - sd,
    high: dice.mean + sd,
    chosen: arm.kind === "prune",
  };
}

function curveOf(arm: StudyArm, run: RunResult, scored: "test" | "validation"): CurvePoint[] {
  return run.sizes.flatMap((size: SizeResult) => {
    const dice = meanScore(size[scored], "dice");
    if (dice === null) return [];
    return [{ arm: arm.id, group: groupOf(arm), run: run.run, parameters: size.parameters, dice }];
  });
}

/** Mean of the steps that all runs of an arm reached and scored. */
function meanCurve(arm: StudyArm, runs: readonly RunResult[], scored: "test" | "validation"): CurvePoint[] {
  const bySteps = Map.groupBy(
    runs.flatMap((run) => run.sizes.map((size) => ({ size, dice: meanScore(size[scored], "dice") }))),
    ({ size }) => size.step,
  );
  return [...bySteps.values()].flatMap((sizes) => {
    const dice = sizes.flatMap((one) => one.dice ?? []);
    if (dice.length < runs.length) return [];
    const parameters = geometricMean(sizes.map(({ size }) => size.parameters));
    return [{ arm: arm.id, group: groupOf(arm), run: "mean", parameters, dice: average(dice) }];
  });
}

function geometricMean(values: readonly number[]): number {
  return Math.exp(average(values.map(Math.log)));
}

/** 1, 2 and 5 times the powers of ten within the domain. */
function logTicks([low, high]: number[]): number[] {
  return Array.from({ length: 10 }, (_, power) => [1, 2, 5].map((m) => m * 10 ** power))
    .flat()
    .filter((tick) => tick >= low && tick <= high);
}

/** Places of the labels in the units of the axes. */
function labelsOf(points: readonly Point[], [xLow, xHigh]: number[], [yLow, yHigh]: number[]) {
  const perPixel = Math.log(xHigh / xLow) / width;
  const toX = (pixel: number): number => xLow * Math.exp(pixel * perPixel);
  const inPixels = points.map(({ label, parameters, dice }) => ({
    text: label,
    x: Math.log(parameters / xLow) / perPixel,
    y: (height * (yHigh - dice)) / (yHigh - yLow),
  }));
  return placeLabels(inPixels, width, height).map((place, i) => ({
    label: place.text,
    parameters: points[i].parameters,
    dice: points[i].dice,
    labelX: toX(place.labelX),
    labelY: yHigh - (place.labelY / height) * (yHigh - yLow),
    leadX: toX(
      place.labelX > place.x ? place.labelX - 2 : Math.min(place.x, place.labelX + letterWidth * place.text.length),
    ),
    far: place.far,
  }));
}
