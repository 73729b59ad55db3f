import { inflateSync } from "node:zlib";
import { describe, expect, it } from "vitest";
import type { Vec3, Volume } from "../volume/volume.ts";
import { fullestSlice, slicePicture } from "./demo-picture.ts";

const affine = Float64Array.of(1, 0, 0, 0, 0, 1, 0, 0, 0, 0, 1, 0, 0, 0, 0, 1);

function volume(shape: Vec3, fill: (d: number, h: number, w: number) => number, matrix = affine): Volume<Float32Array> {
  const data = new Float32Array(shape[0] * shape[1] * shape[2]);
  data.forEach((_, i) => {
    data[i] = fill(Math.floor(i / (shape[1] * shape[2])), Math.floor(i / shape[2]) % shape[1], i % shape[2]);
  });
  return { data, shape, affine: matrix };
}

/** Size and pixels of an RGB PNG whose rows all have filter 0, read by zlib instead of our own inflate. */
function pixelsOf(png: Uint8Array): { width: number; height: number; at: (y: number, x: number) => number[] } {
  const bytes = Buffer.from(png);
  const [width, height] = [bytes.readUInt32BE(16), bytes.readUInt32BE(20)];
  const begin = bytes.indexOf("IDAT") + 4;
  const raw = inflateSync(bytes.subarray(begin, begin + bytes.readUInt32BE(begin - 8)));
  const at = (y: number, x: number): number[] => [...raw.subarray(y * (3 * width + 1) + 1 + 3 * x).subarray(0, 3)];
  return { width, height, at };
}

describe("fullestSlice", () => {
  it("prefers more labels to a larger area", () => {
    // label 1 fills the plane d = 4; only the plane w = 5 cuts both labels
    const label = volume([9, 10, 11], (d, h, w) => (d === 4 ? 1 : d === 5 && h === 2 && w === 5 ? 2 : 0));
    const slice = fullestSlice(label);
    expect([1, 2]).toContain(slice.axis);
    expect(slice.index).toBe(slice.axis === 1 ? 2 : 5);
  });

  it("gives the slice of a picture, and the middle where nothing is labelled", () => {
    expect(fullestSlice(volume([1, 8, 8], (_, h) => (h === 3 ? 1 : 0)))).toEqual({ axis: 0, index: 0 });
    expect(fullestSlice(volume([7, 8, 8], () => 0))).toEqual({ axis: 0, index: 3 });
  });
});

describe("slicePicture", () => {
  const red = [255, 0, 0] as const;
  const blue = [0, 0, 255] as const;

  it("draws equal maps as two lines side by side inside the voxel, over grey", async () => {
    const image = volume([3, 40, 40], (_, h) => h);
    const label = volume([3, 40, 40], (d, h, w) => (d === 1 && h === 20 && w === 20 ? 1 : 0));
    const outlines = [
      { label, colour: red },
      { label, colour: blue },
    ];
    // one voxel with a margin of 8: 17 x 17 voxels of 42 pixels; lines are 7 pixels thick
    const { width, height, at } = pixelsOf(await slicePicture(image, outlines, { axis: 0, index: 1 }));
    expect([width, height]).toEqual([714, 714]);
    const middle = 8 * 42;
    expect(at(middle + 21, middle)).toEqual(red);
    expect(at(middle + 21, middle + 7)).toEqual(blue);
    const centre = at(middle + 21, middle + 21);
    expect(new Set(centre).size).toBe(1);
    // rows run downwards from larger h, so the top is the brightest
    expect(at(0, 0)[0]).toBeGreaterThan(at(height - 1, 0)[0]);
  });

  it("keeps the true proportions of long voxels", async () => {
    const long = Float64Array.of(1, 0, 0, 0, 0, 3, 0, 0, 0, 0, 1, 0, 0, 0, 0, 1);
    const image = volume([2, 10, 10], (_, h, w) => h + w, long);
    const outlines = [{ label: volume([2, 10, 10], () => 0, long), colour: red }];
    const { width, height } = pixelsOf(await slicePicture(image, outlines, { axis: 0, index: 0 }));
    expect(height / width).toBe(3);
  });
});
