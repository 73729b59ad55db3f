import { inOrder, levelsOf } from "./claims-arms.ts";
import { runsOf } from "./claims-compare.ts";
import { startWidths } from "./claims-structure.ts";
import type { StudyData } from "./report-load.ts";
import { average } from "./statistics.ts";
import type { RunResult } from "./types.ts";

/** What pruning took from one level in the runs of an arm. */
export interface LevelRow {
  arm: string;
  label: string;
  /** 0 is the finest; the bottleneck has the highest. */
  level: number;
  bottleneck: boolean;
  /** Before pruning. */
  channels: number;
  /** Mean over runs, when half of all channels are gone (or where pruning ends before that), and at its end. */
  removedAtHalf: number;
  removed: number;
  /** Every layer of the level, the one that lost most at first: channels before pruning, and those removed in the end. */
  layers: { layer: string; channels: number; removed: number }[];
}

/** A row for each pruning arm and level, in the order of the study. */
export function levelRows(data: StudyData): LevelRow[] {
  return data.study.arms.flatMap((arm) => {
    const runs = runsOf(data, arm.id).filter((run) => (run.removals ?? []).length > 0);
    if (runs.length === 0) return [];
    // All runs of an arm start from the same net.
    const widths = startWidths(runs[0]);
    const names = inOrder(Object.keys(widths));
    const levelOf = levelsOf(names);
    const all = names.reduce((sum, name) => sum + widths[name], 0);
    const ends = runs.map((run) => lostBy(run, Number.POSITIVE_INFINITY));
    const halves = runs.map((run) => lostBy(run, Math.ceil(all / 2)));
    const mean = (lost: readonly Map<string, number>[], layers: readonly string[]): number =>
      average(lost.map((one) => layers.reduce((sum, layer) => sum + (one.get(layer) ?? 0), 0)));
    const levels = [...new Set(levelOf.values())].sort((a, b) => a - b);
    return levels.map((level): LevelRow => {
      const own = names.filter((name) => levelOf.get(name) === level);
      return {
        arm: arm.id,
        label: arm.label,
        level,
        bottleneck: level === levels.at(-1),
        channels: own.reduce((sum, name) => sum + widths[name], 0),
        removedAtHalf: mean(halves, own),
        removed: mean(ends, own),
        layers: own
          .map((layer) => ({ layer, channels: widths[layer], removed: mean(ends, [layer]) }))
          .sort((a, b) => b.removed - a.removed),
      };
    });
  });
}

/** Channels that the first removals took, by layer. */
function lostBy({ removals = [] }: RunResult, first: number): Map<string, number> {
  const lost = new Map<string, number>();
  for (const { layer } of removals.slice(0, first)) lost.set(layer, (lost.get(layer) ?? 0) + 1);
  return lost;
}
