import { mkdtemp, readFile, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { expect, test } from "vitest";
import { triadBandwidth } from "./bandwidth.ts";
import { pickCases } from "./cases.ts";
import { drawRoofline, type Roofline, type RooflinePoint } from "./roofline.ts";
import { rooflineSvg } from "./roofline-svg.ts";

test("a small net is measured: every point has its place, and the times add up", async () => {
  const folder = await mkdtemp(join(tmpdir(), "lunet-roofline-"));
  const path = join(folder, "roofline");
  await drawRoofline(pickCases(["lean:8/train/2d16"]), { threads: 1, reps: 2, path, bandwidth: async () => 40 });
  const roofline = JSON.parse(await readFile(`${path}.json`, "utf8")) as Roofline;
  expect(roofline).toMatchObject({ threads: 1, memoryGbs: 40 });
  expect(roofline.peakGflops).toBeGreaterThan(0);
  const [panel] = roofline.panels;
  // 18 convolutions of blocks, 4 transposed ones and the head, forward and backward.
  expect(panel).toMatchObject({ case: "lean:8/train/2d16", batch: 4, points: { length: 2 * 23 } });
  const sum = panel.points.reduce((total, point) => total + point.ms, panel.restMs);
  expect(sum).toBeCloseTo(panel.ms, 6);
  // The head at 4 x 256 pixels: 8 > 2 channels, with 16 weights and 2 biases.
  const head = panel.points.find((point) => point.layer === "head" && point.pass === "forward")!;
  expect(head.intensity).toBeCloseTo((2 * 1024 * 16) / (4 * (1024 * 10 + 18)), 9);
  expect(head.gflops * head.ms * 1e6).toBeCloseTo(2 * 1024 * 16, 3);
  expect(await readFile(`${path}.svg`, "utf8")).toBe(rooflineSvg(roofline));
  await rm(folder, { recursive: true });
});

test("the bandwidth of the cache is a rate that a machine can have", async () => {
  const gbs = await triadBandwidth(1, "cache");
  // From a core that many programs share to one of several years from now.
  expect(gbs).toBeGreaterThan(0.1);
  expect(gbs).toBeLessThan(10_000);
});

const point = (more: Partial<RooflinePoint>): RooflinePoint => ({
  ...{ layer: "encoder.0.1", kind: "conv", pass: "forward", convolution: ["direct"], weightGradient: [] },
  ...{ flop: 1e9, bytes: 1e7, ms: 10, share: 0.5, intensity: 100, gflops: 100, ...more },
});
const drawn = (points: RooflinePoint[], otherCores: number | null = null): string =>
  rooflineSvg({
    ...{ version: 1, date: "2026-11-24T10:00:00.000Z", commit: null, threads: 2, tiles: "fma-128" },
    machine: { processor: "P & Q", processors: 2, platform: "linux x64", node: "26.0.0" },
    ...{ peakGflops: 100, memoryGbs: 10, cacheGbs: 50, otherCores },
    panels: [{ case: "lean:8/train/64", batch: 2, ms: 20, restMs: 2, gflops: 90, points }],
  });

test("a layer at the peak lies on the roof, one that is bound by memory on the slope", () => {
  const svg = drawn([point({}), point({ layer: "head", intensity: 2, gflops: 20, convolution: ["Winograd 2x2"] })]);
  const panel = svg.slice(svg.indexOf("<g "));
  const [, peakY] = /<line class="roof" x1="[\d.]+" y1="([\d.]+)"/.exec(panel)!;
  const [, circleY] = /<path class="mark forward" d="M[\d.]+ ([\d.]+)a/.exec(panel)!;
  expect(circleY).toBe(peakY);
  const [x1, y1, x2, y2] = /<line class="roof memory" x1="([\d.]+)" y1="([\d.]+)" x2="([\d.]+)" y2="([\d.]+)"/
    .exec(panel)!
    .slice(1)
    .map(Number);
  // The diamond's top and right corners give its middle.
  const [x, , , y] = /<path class="mark forward" d="M([\d.]+) ([\d.]+)L([\d.]+) ([\d.]+)L/
    .exec(panel)!
    .slice(1)
    .map(Number);
  expect(y1 + ((x - x1) / (x2 - x1)) * (y2 - y1)).toBeCloseTo(y, 0);
});

test("names, forms and legend; text is escaped", () => {
  const both = point({
    layer: "decoder.0.0",
    pass: "backward",
    weightGradient: ["Winograd 4x4"],
    share: 0.4,
    gflops: 40,
  });
  const svg = drawn([point({}), both, point({ layer: "bottleneck.0", share: 0.001, gflops: 3 })]);
  expect(svg).toContain("P &amp; Q, 2 threads, Node 26.0.0, fma-128 tiles, 2026-11-24");
  expect(svg).toContain("<title>decoder.0.0 backward: direct and Winograd 4x4, 10.00 ms (40.0 %)");
  for (const words of ["forward", "backward", "direct", "several forms"]) expect(svg).toContain(`>${words}</text>`);
  expect(svg).not.toContain(">Winograd 4x4</text>");
  expect(svg).not.toContain("busy");
  expect(drawn([both], 0.5)).toContain("; other processes kept 0.5 cores busy");
  // Names stand at layers that take 2 % of the time and more.
  expect(svg.match(/class="name \w+"/g)).toHaveLength(2);
});
