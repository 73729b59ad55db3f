import { mainArms } from "./claims.ts";
import { type ArmGroup, groupOf } from "./claims-arms.ts";
import { chosenSize, meanScore, runsOf } from "./claims-compare.ts";
import { lineBoxes, markBox, placeLabels } from "./figures-labels.ts";
import type { Figure } from "./figures-render.ts";
import { config, groupScale, theme } from "./figures-theme.ts";
import type { StudyData } from "./report-load.ts";
import { average, meanSd, median } from "./statistics.ts";
import type { RunResult, SizeResult, StudyArm } from "./types.ts";

const width = 520;
const height = 340;
/** Dice below the median of all arms from which an arm is drawn at the lower edge, and its place there, a share of the height. */
const farBelow = 0.08;
const edge = 0.03;
/** A letter as it is drawn on average; labels are placed with more room. */
const drawnLetter = 4.8;

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

  // An arm that failed to learn would press all others together: it is told at the lower edge.
  const floor = median(points.map((point) => point.dice)) - farBelow;
  const [far, near] = [points.filter(({ dice }) => dice < floor), points.filter(({ dice }) => dice >= floor)];
  const shown = [...near.flatMap((p) => [Math.max(p.low, floor), p.high]), ...means.map((p) => p.dice)];
  // Curves end far below; what matters lies near the points.
  const lowest = Math.max(Math.min(...shown), Math.min(...near.map((p) => Math.max(p.low, floor))) - 0.04);
  const yDomain = [lowest - 0.01 - (far.length > 0 ? 0.008 : 0), Math.max(...shown) + 0.014];
  const below = far.map((point) => ({
    ...point,
    dice: yDomain[0] + edge * (yDomain[1] - yDomain[0]),
    label: `${point.label}: ${point.dice.toFixed(2)}`,
  }));
  const parameters = [...points, ...means].map((p) => p.parameters);
  const xDomain = [Math.min(...parameters) / 1.3, Math.max(...parameters) * 2.2];
  const alone = (point: Point): boolean => points.filter((p) => p.group === point.group).length === 1;
  const labels = labelsOf([...near.filter((point) => !(point.chosen && alone(point))), ...below], {
    xDomain,
    yDomain,
    points: near,
    curves: [...Map.groupBy(means, ({ arm }) => arm).values()],
  });

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
          "Diamonds: the size with the best validation Dice, with the Dice of that size on the test cases. "
        : "") +
      (far.length > 0 ? "Triangles at the lower edge: arms far below the others, with their Dice." : ""),
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
          data: { values: near },
          mark: { type: "rule", strokeWidth: 1.5, clip: true },
          encoding: { x, y: { ...y, field: "low" }, y2: { field: "high" } },
        },
        {
          data: { values: below },
          mark: { type: "point", filled: true, shape: "triangle-down", size: 85, opacity: 1 },
          encoding: { x, y },
        },
        {
          data: { values: near.filter((point) => !point.chosen) },
          mark: { type: "point", filled: true, shape: "circle", size: 75, opacity: 1 },
          encoding: { x, y },
        },
        {
          data: { values: near.filter((point) => point.chosen) },
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

interface Drawn {
  xDomain: number[];
  yDomain: number[];
  /** All marks with their bars, and the thick curves: labels keep off them. */
  points: readonly Point[];
  curves: readonly (readonly CurvePoint[])[];
}

/** Places of the labels in the units of the axes. */
function labelsOf(labelled: readonly Point[], drawn: Drawn) {
  const [xLow, xHigh] = drawn.xDomain;
  const [yLow, yHigh] = drawn.yDomain;
  const perPixel = Math.log(xHigh / xLow) / width;
  const toX = (pixel: number): number => xLow * Math.exp(pixel * perPixel);
  const place = ({ parameters, dice }: Pick<Point, "parameters" | "dice">) => ({
    x: Math.log(parameters / xLow) / perPixel,
    y: (height * (yHigh - dice)) / (yHigh - yLow),
  });
  const inPixels = labelled.map((point) => ({ text: point.label, ...place(point) }));
  const bars = drawn.points.map(({ parameters, low, high }) => [low, high].map((dice) => place({ parameters, dice })));
  const curves = drawn.curves.map((curve) => curve.toSorted((a, b) => a.parameters - b.parameters).map(place));
  const marks = drawn.points.map((point) => markBox(place(point)));
  const lines = [...bars, ...curves].flatMap(lineBoxes);
  return placeLabels(inPixels, { width, height, marks, lines }).map((place, i) => ({
    label: place.text,
    parameters: labelled[i].parameters,
    dice: labelled[i].dice,
    labelX: toX(place.labelX),
    labelY: yHigh - (place.labelY / height) * (yHigh - yLow),
    leadX: toX(
      place.labelX > place.x ? place.labelX - 2 : Math.min(place.x, place.labelX + drawnLetter * place.text.length),
    ),
    far: place.far,
  }));
}
