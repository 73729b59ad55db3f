import { inflateSync } from "node:zlib";
import { expect, test } from "vitest";
import type { Vec3, Volume } from "../volume/volume.ts";
import { labelColours, thumbnail } from "./report-thumbnail.ts";

const volume = (shape: Vec3, value: (d: number, h: number, w: number) => number, spacing: Vec3 = [1, 1, 1]): Volume => {
  const [, H, W] = shape;
  const data = Float32Array.from({ length: shape[0] * H * W }, (_, i) =>
    value(Math.floor(i / (H * W)), Math.floor(i / W) % H, i % W),
  );
  const [d, h, w] = spacing;
  return { data, shape, affine: Float64Array.of(w, 0, 0, 0, 0, h, 0, 0, 0, 0, d, 0, 0, 0, 0, 1) };
};

/** Pixels of an RGB PNG without row filters, as this program writes them. */
function pixels(png: Uint8Array): { width: number; height: number; at: (x: number, y: number) => number[] } {
  const bytes = Buffer.from(png);
  const [width, height] = [bytes.readUInt32BE(16), bytes.readUInt32BE(20)];
  const start = bytes.indexOf("IDAT");
  const raw = inflateSync(bytes.subarray(start + 4, start + 4 + bytes.readUInt32BE(start - 4)));
  return { width, height, at: (x, y) => [...raw.subarray(y * (3 * width + 1) + 1 + 3 * x).subarray(0, 3)] };
}

test("the fullest slice in true proportions, grey inside and outside, each label in its colour", async () => {
  const shape: Vec3 = [9, 40, 40];
  // Label 4 fills a square of slice 6; rows are twice as far apart as columns.
  const square = (d: number, h: number, w: number): number =>
    d === 6 && h >= 10 && h < 30 && w >= 10 && w < 30 ? 4 : 0;
  const image = volume(shape, (d, _, w) => (d === 6 ? w : 500), [2, 2, 1]);
  const picture = pixels(await thumbnail(image, volume(shape, square, [2, 2, 1]), [1, 4]));
  expect([picture.width, picture.height]).toEqual([110, 220]);
  // The window is all 40 x 40 voxels: 2.75 pixels a column; the square begins at column 10, row 10.
  expect(picture.at(28, 110)).toEqual([...labelColours[1]]);
  expect(picture.at(81, 110)).toEqual([...labelColours[1]]);
  for (const x of [5, 55, 105]) {
    const [r, g, b] = picture.at(x, 110);
    expect([g, b]).toEqual([r, r]);
    // A ramp along W from the 1st to the 99th percentile: columns 0 to 39.
    expect(r / 255).toBeCloseTo(x / 110, 1);
  }
});

test("scans grow upwards, pictures downwards; without a label the whole middle slice is shown", async () => {
  const bright = (d: number, h: number): number => (d === 1 && h > 5 ? 200 : 0);
  const up = pixels(await thumbnail(volume([3, 10, 10], bright), undefined, [1]));
  expect([up.width, up.height]).toEqual([220, 220]);
  expect([up.at(110, 10)[0], up.at(110, 210)[0]]).toEqual([255, 0]);
  const down = pixels(
    await thumbnail(
      volume([1, 10, 10], (_, h) => bright(1, h)),
      volume([1, 10, 10], () => 0),
      [1],
    ),
  );
  expect([down.at(110, 10)[0], down.at(110, 210)[0]]).toEqual([0, 255]);
});
