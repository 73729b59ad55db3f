import { groupOf, inOrder } from "./claims-arms.ts";
import { runsOf } from "./claims-compare.ts";
import { runStructure, startWidths } from "./claims-structure.ts";
import type { Figure } from "./figures-render.ts";
import { armScale, config, theme } from "./figures-theme.ts";
import type { StudyData } from "./report-load.ts";
import { average, meanSd } from "./statistics.ts";
import type { RunResult, StudyArm } from "./types.ts";

/** Columns of a heat map: channels removed in steps of this share of all. */
const binShare = 0.04;

function prunedArms(data: StudyData): StudyArm[] {
  return data.study.arms.filter(
    (arm) => arm.kind === "prune" && runsOf(data, arm.id).some((run) => (run.removals ?? []).length > 0),
  );
}

/** What pruning eats first: share of each layer's channels left while more and more channels go. Null without pruning. */
export function channelFigure(data: StudyData): Figure | null {
  const arms = prunedArms(data);
  if (arms.length === 0) return null;
  const maps = arms.map((arm) => {
    const cells = cellsOf(runsOf(data, arm.id));
    return { label: arm.label, cells, layers: inOrder([...new Set(cells.map((cell) => cell.layer))]) };
  });
  const columns = arms.length === 4 ? 2 : Math.min(3, arms.length);
  const end = Math.max(...maps.flatMap(({ cells }) => cells.map((cell) => cell.to)));
  return {
    name: "channels",
    title: "Channels left in each layer along pruning",
    caption:
      "Share of each layer's channels that is left (mean over runs) while channels are removed from left to right; layers from " +
      "the encoder's finest level down to the bottleneck and up through the decoder. What turns pale first is eaten first.",
    spec: {
      config,
      columns,
      spacing: { column: 18, row: 22 },
      resolve: { scale: { color: "shared" } },
      concat: maps.map(({ label, cells, layers }, i) => ({
        title: { text: label, fontSize: 12, fontWeight: "bold", color: theme.ink, offset: 6 },
        width: Math.floor(660 / columns) - 24,
        height: { step: 15 },
        data: { values: cells },
        mark: { type: "rect" },
        encoding: {
          x: {
            field: "from",
            type: "quantitative",
            axis: { title: "channels removed (% of all)", format: "d", tickCount: 5, grid: false },
            scale: { domain: [0, end], nice: false },
          },
          x2: { field: "to" },
          y: {
            field: "layer",
            type: "nominal",
            sort: layers,
            axis: {
              title: null,
              ticks: false,
              domain: false,
              // The same layers as in the map to the left need no names.
              labels: i % columns === 0 || maps[i - 1].layers.join() !== layers.join(),
            },
          },
          color: {
            field: "left",
            type: "quantitative",
            scale: { domain: [0, 100], scheme: "blues" },
            legend: {
              title: "% of channels left",
              orient: "bottom",
              direction: "horizontal",
              gradientLength: 180,
              gradientThickness: 12,
            },
          },
        },
      })),
    },
  };
}

interface Cell {
  layer: string;
  from: number;
  to: number;
  left: number;
}

function cellsOf(runs: readonly RunResult[]): Cell[] {
  const profiles = runs.filter((run) => run.removals?.length).map(profileOf);
  const bins = Math.min(...profiles.map((profile) => profile.length));
  return profiles[0].slice(0, bins).flatMap((at, bin) =>
    [...at.keys()].map((layer) => ({
      layer,
      from: 100 * binShare * bin,
      to: 100 * binShare * (bin + 1),
      left: 100 * average(profiles.map((profile) => profile[bin].get(layer)!)),
    })),
  );
}

/** Share of each layer's channels left in the middle of each bin that the run's removals reach. */
function profileOf(run: RunResult): Map<string, number>[] {
  const start = startWidths(run);
  const left = { ...start };
  const total = Object.values(start).reduce((sum, width) => sum + width, 0);
  const profile: Map<string, number>[] = [];
  const removals = run.removals ?? [];
  for (let removed = 0; removed <= removals.length; removed++) {
    // The middle of the next bin comes before the next removal.
    while ((profile.length + 0.5) * binShare * total < removed + 1) {
      profile.push(new Map(Object.keys(start).map((layer) => [layer, left[layer] / start[layer]])));
    }
    if (removed < removals.length) left[removals[removed].layer]--;
  }
  return profile;
}

/** Removals by level against what removal by chance would take there. Null without pruning. */
export function levelFigure(data: StudyData): Figure | null {
  const bars = prunedArms(data).flatMap((arm) => barsOf(arm, runsOf(data, arm.id)));
  if (bars.length === 0) return null;
  const arms = [...new Map(bars.map((bar) => [bar.label, bar])).values()];
  const xOffset = { field: "label", type: "nominal", sort: arms.map((arm) => arm.label) } as const;
  const x = {
    field: "level",
    type: "nominal",
    sort: [...new Set(bars.map((bar) => bar.level))],
    axis: { title: "level (0 is the finest)", labelAngle: 0 },
  } as const;
  const y = {
    field: "share",
    type: "quantitative",
    axis: { title: "share of channels removed (%)", tickCount: 5 },
  } as const;
  const color = {
    field: "label",
    type: "nominal",
    scale: armScale(arms),
    legend: { title: null, orient: "bottom", columns: 2 },
  } as const;
  return {
    name: "levels",
    title: "Which levels lose channels",
    caption:
      "Share of the removed channels that came from each level, encoder and decoder together, until half of all channels are gone or pruning ends " +
      "(mean over runs, bars: standard deviation). Horizontal ticks: the level's share of all channels, which removal by chance would take.",
    spec: {
      width: 520,
      height: 240,
      config,
      data: { values: bars },
      encoding: { x, xOffset },
      layer: [
        { mark: { type: "bar" }, encoding: { y, color } },
        {
          mark: { type: "rule", strokeWidth: 1.2, color: theme.soft },
          encoding: { y: { ...y, field: "low" }, y2: { field: "high" } },
        },
        {
          mark: { type: "tick", thickness: 2, color: theme.ink, opacity: 1 },
          encoding: { y: { ...y, field: "expected" } },
        },
      ],
    },
  };
}

function barsOf(arm: StudyArm, runs: readonly RunResult[]) {
  const found = runs.flatMap((run) => runStructure(run) ?? []);
  return (found[0]?.levels ?? []).map(({ level, channels }, i) => {
    const share = meanSd(found.map((run) => (100 * run.levels[i].removed) / run.removed))!;
    return {
      label: arm.label,
      group: groupOf(arm),
      level: i === found[0].levels.length - 1 ? `${level} (bottleneck)` : String(level),
      share: share.mean,
      low: share.mean - (share.sd ?? 0),
      high: share.mean + (share.sd ?? 0),
      expected: (100 * channels) / found[0].channels,
    };
  });
}
