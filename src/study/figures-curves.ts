import { type ArmGroup, groupOf, settingsKey } from "./claims-arms.ts";
import { chosenSize, meanScore, runsOf } from "./claims-compare.ts";
import { skipStudies } from "./claims-skips.ts";
import type { Figure } from "./figures-render.ts";
import { colourOf, config } from "./figures-theme.ts";
import type { StudyData } from "./report-load.ts";
import { average, meanSd } from "./statistics.ts";
import type { StudyArm } from "./types.ts";

/** Test Dice of an arm over its runs. */
function diceOf(data: StudyData, arm: StudyArm): { dice: number; low: number; high: number } | null {
  const spread = meanSd(runsOf(data, arm.id).flatMap((run) => meanScore(chosenSize(run).test, "dice") ?? []));
  if (!spread) return null;
  const sd = spread.sd ?? 0;
  return { dice: spread.mean, low: spread.mean - sd, high: spread.mean + sd };
}

interface Line {
  name: string;
  group: ArmGroup;
  dashed: boolean;
  points: { x: number; dice: number; low: number; high: number }[];
}

/** Dice against the number of training cases, for nets that were trained on two or more numbers. Null without such arms. */
export function casesFigure(data: StudyData): Figure | null {
  const alike = Map.groupBy(data.study.arms, (arm) =>
    [settingsKey(arm, "trainingCases"), arm.kind, arm.pick ?? "", arm.criterion ?? ""].join(" "),
  );
  const lines = [...alike.values()].flatMap((arms): Line[] => {
    const points = arms.flatMap((arm) => {
      const value = diceOf(data, arm);
      return value ? [{ ...value, x: Math.round(average(runsOf(data, arm.id).map((run) => run.trainingCases))) }] : [];
    });
    if (new Set(points.map((point) => point.x)).size < 2) return [];
    return [{ name: nameOf(arms), group: groupOf(arms[0]), dashed: false, points }];
  });
  return linesFigure(lines, {
    name: "training-cases",
    title: "Dice with fewer training cases",
    caption: "Test Dice against the number of training cases; the test cases are the same for all.",
    xTitle: "training cases (log)",
  });
}

/** What arms of one net with unlike numbers of cases have in common: the label of the one with all cases, or the net. */
function nameOf(arms: readonly StudyArm[]): string {
  const whole = arms.find((arm) => arm.trainingCases === undefined);
  return whole?.label ?? (arms[0].pick ? `${arms[0].pick} from ${arms[0].net}` : arms[0].net);
}

/** Dice against the bottleneck's width, with and without skips. Null where no net was trained both ways. */
export function skipsFigure(data: StudyData): Figure | null {
  const lines = skipStudies(data).flatMap(({ all, none }): Line[] =>
    [
      { arms: all, words: "with skips" },
      { arms: none, words: "without skips" },
    ].map(({ arms, words }) => {
      const [first] = arms.values();
      const points = [...arms].flatMap(([width, arm]) => {
        const value = diceOf(data, arm);
        return value ? [{ ...value, x: width }] : [];
      });
      return { name: `${first.net}, ${words}`, group: groupOf(first), dashed: arms === none, points };
    }),
  );
  return linesFigure(lines, {
    name: "skips",
    title: "Bottleneck width with and without skip connections",
    caption: "Test Dice of nets that differ in the width of their bottleneck and in their skip connections.",
    xTitle: "channels of the bottleneck (log)",
  });
}

function linesFigure(
  lines: readonly Line[],
  { name, title, caption, xTitle }: { name: string; title: string; caption: string; xTitle: string },
): Figure | null {
  if (lines.every((line) => line.points.length === 0)) return null;
  const names = lines.map((line) => line.name);
  // Points of several lines at one place stand side by side, so that their bars do not hide each other.
  const aside = (line: number): number => 1.035 ** (line - (lines.length - 1) / 2);
  const values = lines.flatMap((line, i) =>
    line.points.map((point) => ({ ...point, name: line.name, shifted: point.x * aside(i) })),
  );
  const sameGroup = lines.map((line, i) => lines.slice(0, i).filter((other) => other.group === line.group).length);
  const dashes = lines.map((line, i) =>
    line.dashed ? [5, 3] : lines.some((l) => l.dashed) ? [1, 0] : dash[sameGroup[i] % 3],
  );
  const legend = { title: null, orient: "bottom", columns: 2, symbolSize: 260, symbolType: "stroke" } as const;
  const y = {
    field: "dice",
    type: "quantitative",
    scale: { zero: false, nice: true },
    axis: { title: "test Dice", format: ".2f", tickCount: 6 },
  } as const;
  const ticks = [...new Set(values.map((point) => point.x))];
  return {
    name,
    title,
    caption: `${caption} Means over runs; bars: standard deviation over folds and seeds.`,
    spec: {
      width: 420,
      height: 250,
      config,
      data: { values },
      encoding: {
        x: {
          field: "shifted",
          type: "quantitative",
          scale: { type: "log", nice: false, padding: 18 },
          axis: { title: xTitle, values: ticks, grid: false, format: "d" },
        },
        color: {
          field: "name",
          type: "nominal",
          scale: { domain: names, range: lines.map((line) => colourOf(line.group)) },
          legend,
        },
      },
      layer: [
        {
          mark: { type: "line", strokeWidth: 2 },
          encoding: {
            y,
            strokeDash: { field: "name", type: "nominal", scale: { domain: names, range: dashes }, legend },
          },
        },
        { mark: { type: "rule", strokeWidth: 1.5 }, encoding: { y: { ...y, field: "low" }, y2: { field: "high" } } },
        { mark: { type: "point", filled: true, size: 60, opacity: 1 }, encoding: { y } },
      ],
    },
  };
}

/** Lines of one group, told apart. */
const dash = [
  [1, 0],
  [5, 3],
  [2, 2],
];
