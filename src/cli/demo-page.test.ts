import { expect, it } from "vitest";
import type { ClassMetrics } from "../evaluate/case.ts";
import { summarise } from "../evaluate/summary.ts";
import { demoPage } from "./demo-page.ts";

function classOf(name: string, value: number, dice: number, hd95: number | null): ClassMetrics {
  const surface = { hd95, assd: hd95, nsd: hd95 === null ? 0 : 1 };
  const volumes = { predictedMl: 1, truthMl: 1, volumeErrorMl: 0, relativeVolumeError: 0 };
  return { name, value, dice, iou: dice / (2 - dice), precision: dice, recall: dice, ...volumes, ...surface };
}

it("shows every case, needs nothing from outside, and escapes what users named", () => {
  const summary = summarise([
    { id: "a<1>", classes: [classOf("front", 1, 0.9, 1.25), classOf("back", 2, 0.8, 2.5)] },
    { id: "b", classes: [classOf("front", 1, 0.7, 3), classOf("back", 2, 0, null)] },
  ]);
  const html = demoPage({
    datasetName: "Set & more",
    madeUp: true,
    netName: "lean:8",
    parameters: 29840,
    modelBytes: 123_456,
    trainingCases: 48,
    unseen: "test scans",
    trainingSeconds: 125,
    steps: 900,
    loss: [
      [10, 1.5],
      [20, 0.8],
    ],
    dice: [{ name: "front", points: [[20, 0.8]] }],
    summary,
    pictures: [{ caseId: "a<1>", note: "best", png: Uint8Array.of(1, 2, 3) }],
    next: [{ command: "npx lunet verify X", does: "checks" }],
  });
  expect(html).toContain("<title>lunet demo: Set &amp; more</title>");
  expect(html).toContain("<td>a&lt;1&gt;</td><td>0.900</td><td>0.800</td><td>2.5</td>");
  expect(html).toContain("<td>b</td><td>0.700</td><td>0.000</td><td>-</td>"); // no surface, so no distance
  expect(html).toContain("<td>mean</td><td>0.800</td><td>0.400</td>");
  expect(html).toContain("2 min 05 s, 900 steps");
  expect(html).toContain("124 kB");
  expect(html).toContain("29,840");
  expect(html).toContain("data:image/png;base64,AQID");
  expect(html.match(/<svg /g)).toHaveLength(2);
  expect(html).not.toMatch(/(src|href)="(?!data:)/);
});
