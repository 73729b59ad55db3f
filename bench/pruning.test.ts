import { expect, test } from "vitest";
import { pruningTable } from "./pruning.ts";

test("the largest net of the table, by a step and down to one channel a layer", () => {
  const lines = pruningTable(1).split("\n");
  // unet:24 has 3 convolutions at 24, 48, 96 and 192 channels, 3 more at each of three decoder levels, and 3 transposed ones.
  const channels = 3 * (24 + 48 + 96 + 192) + 4 * (96 + 48 + 24);
  const layers = 3 * 4 + 4 * 3;
  expect(lines[3]).toMatch(/^unet:24 +4 x 3 +4,802,521 +4 +[\d.]+$/);
  expect(lines[4]).toMatch(new RegExp(`^unet:24 +4 x 3 +4,802,521 +${channels - layers} +[\\d.]+$`));
});
