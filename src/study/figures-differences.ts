import type { TopLevelSpec } from "vega-lite";
import type { Comparison } from "./claims-compare.ts";
import { pWords, signed } from "./claims-words.ts";
import type { Figure } from "./figures-render.ts";
import { config, theme } from "./figures-theme.ts";

/** A block of rows of the forest plot. */
export interface ForestBlock {
  title: string;
  comparisons: readonly Comparison[];
}

export interface ForestFigure {
  name: string;
  title: string;
  /** Blocks by axis: those of one list share their scale. */
  axes: readonly (readonly ForestBlock[])[];
  /** In Dice; drawn as a band. */
  margin: number;
}

const width = 300;
const beside = { figures: width + 14, p: width + 155 };

/** Paired differences in Dice with their intervals, against the band of no difference. Null without any. */
export function forestFigure({ name, title, axes, margin }: ForestFigure): Figure | null {
  const kept = axes
    .map((blocks) =>
      blocks
        .map((block) => ({ title: block.title, rows: block.comparisons.flatMap((c) => rowOf(c) ?? []) }))
        .filter((block) => block.rows.length > 0),
    )
    .filter((blocks) => blocks.length > 0);
  if (kept.length === 0) return null;
  const band = 100 * margin;
  // Blocks start and end at the same places when their labels take equal room.
  const labelRoom = 6 * Math.max(...kept.flat().flatMap((block) => block.rows.map((row) => row.label.length)));
  return {
    name,
    title,
    caption:
      "Squares: mean paired difference in test Dice (points of 0.01) over cases; lines: 95 % bootstrap interval over cases and runs; " +
      `circles: single runs (a fold and a seed). Shaded: differences of up to ${band} point${band === 1 ? "" : "s"}, which count as none. ` +
      "p: Wilcoxon signed-rank test over cases, with Holm's correction within a family.",
    spec: {
      config,
      spacing: 14,
      vconcat: kept.flatMap((blocks) =>
        blocks.map((block, i) =>
          blockSpec(block, { band, labelRoom, domain: domainOf(blocks, band), last: i === blocks.length - 1 }),
        ),
      ),
    },
  };
}

/** A figure that can stand in a column of others. */
type Part = Extract<TopLevelSpec, { vconcat: unknown }>["vconcat"][number];

interface Block {
  title: string;
  rows: Row[];
}

function domainOf(blocks: readonly Block[], band: number): [number, number] {
  const ends = blocks.flatMap((block) => block.rows.flatMap((row) => [row.low, row.high, ...row.runs]));
  const [low, high] = [Math.min(-band, ...ends), Math.max(band, ...ends)];
  const room = 0.04 * (high - low);
  return [low - room, high + room];
}

function blockSpec(
  { title, rows }: Block,
  { band, labelRoom, domain, last }: { band: number; labelRoom: number; domain: [number, number]; last: boolean },
): Part {
  const x = (field: string) =>
    ({
      field,
      type: "quantitative",
      scale: { domain, nice: false, zero: false },
      axis: { title: last ? "difference in Dice (points)" : null, labels: last, ticks: last, tickCount: 7 },
    }) as const;
  const fullHeight = { y: { value: 0 }, y2: { value: "height" } } as const;
  return {
    title: {
      text: title,
      anchor: "start",
      frame: "bounds",
      fontSize: 12,
      fontWeight: "bold",
      color: theme.ink,
      offset: 6,
    },
    width,
    height: { step: 21 },
    data: { values: rows },
    encoding: {
      y: {
        field: "label",
        type: "nominal",
        sort: rows.map((row) => row.label),
        axis: {
          title: null,
          ticks: false,
          domain: false,
          labelPadding: 8,
          labelLimit: 0,
          minExtent: labelRoom,
          maxExtent: labelRoom,
        },
      },
    },
    layer: [
      {
        data: { values: [{ from: -band, to: band }] },
        mark: { type: "rect", color: theme.soft, opacity: 0.12 },
        encoding: { ...fullHeight, x: x("from"), x2: { field: "to" } },
      },
      {
        data: { values: [{ zero: 0 }] },
        mark: { type: "rule", color: theme.soft },
        encoding: { ...fullHeight, x: x("zero") },
      },
      {
        transform: [{ flatten: ["runs"] }],
        mark: { type: "point", size: 16, color: theme.soft, strokeWidth: 1, opacity: 0.7 },
        encoding: { x: x("runs") },
      },
      { mark: { type: "rule", strokeWidth: 2, color: theme.ink }, encoding: { x: x("low"), x2: { field: "high" } } },
      {
        mark: { type: "point", filled: true, shape: "square", size: 45, color: theme.ink, opacity: 1 },
        encoding: { x: x("mean") },
      },
      {
        mark: { type: "text", align: "left", color: theme.ink },
        encoding: { x: { value: beside.figures }, text: { field: "figures" } },
      },
      {
        mark: { type: "text", align: "left", color: theme.ink },
        encoding: { x: { value: beside.p }, text: { field: "p" } },
      },
    ],
  };
}

interface Row {
  label: string;
  mean: number;
  low: number;
  high: number;
  runs: number[];
  figures: string;
  p: string;
}

function rowOf(c: Comparison): Row | null {
  if (!c.interval) return null;
  const [mean, low, high] = [c.interval.mean, c.interval.low, c.interval.high].map((value) => 100 * value);
  return {
    label: c.label,
    mean,
    low,
    high,
    runs: c.runs.map((run) => 100 * run.difference),
    figures: `${signed(mean, 2)} [${signed(low, 2)}, ${signed(high, 2)}]`,
    p: c.holm === null ? "" : pWords(c.holm),
  };
}
