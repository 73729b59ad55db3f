import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { expect, test } from "vitest";
import { saveModel } from "../model/files.ts";
import { sampleModel } from "../model/sample.ts";
import { flat } from "../net/make.ts";
import { lunet } from "./testing.ts";

const info = (...args: string[]) => lunet("info", ...args);

test("a net by name: both counts, work, a row per layer", async () => {
  const { code, text } = await info("lean:8", "--classes", "1", "--patch", "32x32x32");
  expect(code).toBe(0);
  expect(text).toContain("parameters   39,025 (38,737 without the norm's)");
  expect(text).toMatch(/decoder\.0\.0 +conv 3x3x3 +16 +8 +32x32x32 +3,480 +113,246,208\n/);
  expect(
    text
      .trim()
      .split("\n")
      .filter((l) => /^(encoder|bottleneck|decoder|head)/.test(l)).length,
  ).toBe(27);
});

test("memory by use, a column a job", async () => {
  const { code, text } = await info("lean:8", "--batch", "2", "--memory");
  expect(code).toBe(0);
  const rows = text
    .slice(text.indexOf("\nMiB"))
    .trim()
    .split("\n")
    .map((line) => line.trim().split(/ {2,}/));
  expect(rows[0]).toEqual(["MiB", "predict", "train", "--low-memory"]);
  for (const column of [1, 2, 3]) {
    const values = rows.slice(1).map((row) => Number(row[column]));
    const total = values.pop()!;
    const sum = values.reduce((a, b) => a + b);
    // Every value is rounded to 0.1.
    expect(Math.abs(sum - total)).toBeLessThan(0.05 * rows.length);
    expect(text).toMatch(`${total.toFixed(1)} MiB`);
  }
  // 8 channels of 2 x 66^3 floats with their halos: what lies before and after each of 4 norms, and after the transposed convolution.
  expect(Number(rows.find(([name]) => name === "activations")![2])).toBeGreaterThan((9 * 2 * 66 ** 3 * 32) / 2 ** 20);
});

test("memory as JSON: the uses add up", async () => {
  const { memory } = JSON.parse((await info("unet:4", "--patch", "32x32", "--memory", "--json")).text);
  for (const { total, uses } of Object.values(memory) as { total: number; uses: Record<string, number> }[]) {
    expect(Object.values(uses).reduce((sum, bytes) => sum + bytes)).toBe(total);
  }
  expect(memory.inference.total).toBeLessThan(memory.lowMemory.total);
  expect(memory.lowMemory.total).toBeLessThan(memory.training.total);
  expect(JSON.parse((await info("unet:4", "--patch", "32x32", "--json")).text)).not.toHaveProperty("memory");
});

test("a net from a file of widths has the file's levels", async () => {
  const folder = await mkdtemp(join(tmpdir(), "lunet-info-"));
  const path = join(folder, "net.json");
  const decoder = [4, 6].map((width) => ({ up: width, convs: [width] }));
  await writeFile(path, JSON.stringify({ encoder: [[4], [6]], bottleneck: [3], decoder }));
  const { code, text } = await info(path, "--patch", "8x8x8");
  expect(code).toBe(0);
  expect(text).toMatch(/bottleneck\.0 +conv 3x3x3 +6 +3 +2x2x2 +/);
  await rm(folder, { recursive: true });
});

test("a flat patch makes a 2D net", async () => {
  const { text } = await info("unet:4", "--levels", "3", "--patch", "64x48");
  expect(text).toMatch(/encoder\.0\.pool +maxpool 1x2x2 +4 +4 +1x32x24/);
});

test("JSON, and a model from its file", async () => {
  const folder = await mkdtemp(join(tmpdir(), "lunet-info-"));
  const path = join(folder, "model.safetensors");
  const net = flat(3, { levels: 3, convs: 1, inputChannels: 2, outputChannels: 4 });
  await saveModel(path, sampleModel(net));
  const { text } = await info(path, "--json");
  expect(JSON.parse(text)).toMatchObject({ net, patch: [4, 4, 4], layers: { length: 10 }, provenance: { steps: 10 } });
  expect((await info(folder)).text).toContain("trained      10 steps with preset strong, seed 1");
  await rm(folder, { recursive: true });
});

test.each([
  [["leen:8"], 1, "did you mean lean:8?"],
  [["lean:8", "--patch", "64x64x60"], 1, "Expected axis W of the input to be a multiple of 16"],
  [["lean:8", "--patch", "64"], 2, "Expected DxHxW such as 64x64x64"],
  [["lean:8", "--levels", "0"], 2, "Expected a whole number of 1 or more"],
  [["none.safetensors"], 1, "none.safetensors does not exist"],
])("a wrong call is explained: %j", async (args, expected, message) => {
  const { code, text } = await info(...args);
  expect([code, text]).toEqual([expected, expect.stringContaining(message)]);
});
