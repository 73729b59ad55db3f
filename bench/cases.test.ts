import { expect, test } from "vitest";
import { batchOf, caseName, flopsOf, netOf, pickCases, shapeOf, suite } from "./cases.ts";

const names = (...patterns: string[]): string[] => pickCases(patterns).map(caseName);

test("the suite: 4 nets in 3 ways in 3D, 3 nets in 2 ways in 2D, each name its own", () => {
  expect(suite).toHaveLength(18);
  expect(names("")).toEqual(suite);
});

test("cases are picked by part, pattern and whole name, in the suite's order", () => {
  expect(names("unet:4")).toEqual(["unet:4/train/64", "unet:4/infer/64", "unet:4/infer/128"]);
  expect(names("2d512", "lean:8/train/64")).toEqual([
    ...["lean:8/train/64", "lean:8/infer/2d512", "lean:16/infer/2d512", "unet:16/infer/2d512"],
  ]);
  expect(names("lean:*/infer/64")).toEqual(["lean:8/infer/64", "lean:16/infer/64"]);
  // A whole name is no part of another, and may lie outside the suite.
  expect(names("lean:8/infer/32", "lean:8/infer/64")).toEqual(["lean:8/infer/64", "lean:8/infer/32"]);
});

test.each([
  ["lean:9", 'but got "lean:9": see --list.'],
  ["leen:8/train/64", "did you mean lean:8?"],
  ["lean:8/train/60", "Expected axis D of the input to be a multiple of 16"],
])("what picks nothing is explained: %s", (pattern, message) => {
  expect(() => pickCases([pattern])).toThrow(message);
});

test("2D nets have one slice, flat kernels and pools, and a batch of 4 to train", () => {
  const [flat] = pickCases(["lean:8/train/2d256"]);
  expect([shapeOf(flat), batchOf(flat)]).toEqual([[1, 256, 256], 4]);
  const net = netOf(flat);
  expect([net.kernels[0], net.pools[0]]).toEqual([
    [1, 3, 3],
    [1, 2, 2],
  ]);
  // Level 0: 1 > 8, 8 > 8, 16 > 8, 8 > 8 with 9 taps, 8 > 8 with one (transposed), 8 > 2; each level below a quarter of the
  // voxels of the one above and 4 convolutions of 8 > 8 and one of 16 > 8, the last with two only.
  const level0 = 9 * (8 + 64 + 128 + 64) + 64 + 16;
  const middle = 9 * (64 + 64 + 128 + 64) + 64;
  const macs = 256 ** 2 * (level0 + middle * (1 / 4 + 1 / 16 + 1 / 64) + (9 * 128) / 256);
  expect(flopsOf({ ...flat, batch: 4 })).toBe(3 * 2 * 4 * macs);
});
