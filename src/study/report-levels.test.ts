import { expect, test } from "vitest";
import { madeUpStudy, paperArms } from "./report.fixture.ts";
import { levelRows } from "./report-levels.ts";
import type { StudyData } from "./report-load.ts";
import type { RunResult } from "./types.ts";

/** A net of 4 + 6 + 2 channels, and two runs that take these layers. */
function pruned(...runs: string[][]): StudyData {
  const data = madeUpStudy({ folds: 1, seeds: 1 }, []);
  data.study.arms = paperArms.filter(({ id }) => id === "stamp" || id === "unet-4");
  const sizes = [{ step: 0, widths: { "encoder.0.0": 4, "bottleneck.0": 6, "decoder.0.up": 2 } }];
  const results = runs.map((layers) => {
    const removals = layers.map((layer, i) => ({ layer, level: layer.startsWith("bottleneck") ? 1 : 0, step: i + 1 }));
    return { arm: "stamp", kind: "prune", sizes, chosen: 0, removals } as unknown as RunResult;
  });
  return { ...data, results };
}

test("what each level lost up to half of the channels and in the end, a mean over runs", () => {
  const [b, e, u] = ["bottleneck.0", "encoder.0.0", "decoder.0.up"];
  const rows = levelRows(pruned([b, b, b, b, b, e, e, u], [b, b, b, e, e, e]));
  expect(rows).toMatchObject([
    // 6 of 12 channels are half: 1 and 3 of level 0; in the end 3 and 3.
    { label: "stamp from unet:4", level: 0, bottleneck: false, channels: 6, removedAtHalf: 2, removed: 3 },
    { level: 1, bottleneck: true, channels: 6, removedAtHalf: 4, removed: 4 },
  ]);
  expect(rows[0].layers).toEqual([
    { layer: e, channels: 4, removed: 2.5 },
    { layer: u, channels: 2, removed: 0.5 },
  ]);
});

test("arms that removed nothing have no rows", () => {
  expect(levelRows(pruned([]))).toEqual([]);
  expect(levelRows(pruned())).toEqual([]);
});
