import { expect, test } from "vitest";
import type { LayerProfile } from "./bench-profile.ts";
import { lunet } from "./testing.ts";

const bench = (...args: string[]) => lunet("bench", ...args);

const small = ["lean:8", "--levels", "2", "--convs", "1", "--patch", "2x16x16", "--threads", "1"];

test("the probe names the tiles, the chosen one, the peak and the Node", async () => {
  const { code, text } = await bench("--threads", "1");
  expect(code).toBe(0);
  expect(text).toContain(`Node ${process.versions.node}, V8 ${process.versions.v8}, 1 thread\n`);
  expect(text.match(/chosen/g)).toHaveLength(1);
  expect(text).toMatch(/mul-add-128 .*\d+\.\d\n/);
  expect(text).toMatch(/peak +\d+\.\d\n/);
});

test("a net's forms without times", async () => {
  const { text } = await bench(...small, "--probe");
  // One input channel does not fill a vector, and a 1x1x1 head has no tiles.
  expect(text).toMatch(/encoder\.0\.0 +conv +1 > 8 +2x16x16 +direct +direct +- +direct +- +- +-\n/);
  expect(text).toMatch(/bottleneck\.0 +conv +8 > 8 +1x8x8( +Winograd 2x2){4} +-/);
  expect(text).toMatch(/encoder\.0\.pool +maxpool +8 > 8 +1x8x8 +- +- +- +-/);
});

test("forced choices are followed and shown as forced", async () => {
  const { text } = await bench(...small, "--probe", "--winograd", "off", "--tiles", "mul-add-128");
  expect(text).toMatch(/mul-add-128 +forced/);
  expect(text).not.toContain("chosen");
  expect(text).toContain("off (forced)");
  expect(text).toMatch(/bottleneck\.0 .* direct +direct +direct +direct /);
  const two = (await bench(...small, "--probe", "--winograd", "2")).text;
  expect(two).toContain("tiles of 2x2 where they fit (forced)");
  expect(two).toMatch(/bottleneck\.0 .*( Winograd 2x2 +){4}/);
});

test("JSON holds times, and the operations of all layers", async () => {
  const { text } = await bench(...small, "--reps", "2", "--json");
  const { engine, net } = JSON.parse(text);
  expect(engine).toMatchObject({ threads: 1, tiles: { forced: false }, winograd: { on: true, forced: false } });
  const { training, inference } = net;
  expect(training).toMatchObject({ mode: "train", batch: 2, ms: expect.any(Number), otherMs: expect.any(Number) });
  const sum = (layers: LayerProfile[], pass: number): number =>
    layers.reduce((total, layer) => total + layer.times[pass].flop, 0);
  expect(sum(inference.layers, 0)).toBe(inference.flop);
  // The usual count has a data gradient for the first layer too: 2 x 2 x 512 voxels x 8 outputs x 27 taps.
  expect(sum(training.layers, 0) + sum(training.layers, 1) + 2 * 2 * 512 * 8 * 27).toBe(training.flop);
  // The head reads 8 channels of 512 voxels, writes 2, and has 8 x 2 weights and 2 biases.
  const head = inference.layers.find((layer: LayerProfile) => layer.name === "head");
  expect(head.times[0]).toMatchObject({ flop: 2 * 512 * 8 * 2, bytes: 4 * (512 * 10 + 18) });
});

test.each([
  [["leen:8"], 1, "did you mean lean:8?"],
  [["lean:8", "--patch", "64x64x60"], 1, "Expected axis W of the input to be a multiple of 16"],
  [["lean:8", "--tiles", "fma-512"], 2, "Allowed choices are merged-256, fma-128, mul-add-128."],
])("a wrong call is explained: %j", async (args, expected, message) => {
  const { code, text } = await bench(...args);
  expect([code, text]).toEqual([expected, expect.stringContaining(message)]);
});
