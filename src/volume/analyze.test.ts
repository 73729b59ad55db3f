import { gunzipSync, gzipSync } from "node:zlib";
import { describe, expect, test } from "vitest";
import { readAnalyze } from "./analyze.ts";
import { smallScan } from "./nifti.fixture.ts";
import { nibabelAnalyze } from "./others.fixture.ts";

const voxels = Int16Array.from({ length: 24 }, (_, i) => i);
const image = new Uint8Array(voxels.buffer);

/** nibabel's header with changes. */
function header(change: (view: DataView) => void = () => undefined): Uint8Array {
  const bytes = new Uint8Array(gunzipSync(nibabelAnalyze));
  change(new DataView(bytes.buffer));
  return bytes;
}
const read = (
  bytes: Uint8Array,
  data: Uint8Array = image,
  warn?: (s: string) => void,
): ReturnType<typeof readAnalyze> =>
  readAnalyze(bytes, "dir/scan.hdr", {
    warn,
    open: async (file) => (file === "scan.img" ? data : expect.unreachable(file)),
  });

test("nibabel's file lies where nibabel puts it, and the guess is said", async () => {
  const warnings: string[] = [];
  const [scan] = await read(header(), image, (sentence) => warnings.push(sentence));
  expect([...scan.data]).toEqual([...voxels]);
  expect(scan.shape).toEqual([2, 3, 4]);
  // nibabel 5.4: load(...).affine of the same file.
  expect([...scan.affine]).toEqual([-2, 0, 0, 3, 0, 3, 0, -3, 0, 0, 4, -2, 0, 0, 0, 1]);
  expect(warnings).toEqual([
    expect.stringMatching(/^dir\/scan.hdr: Analyze 7.5 does not say where left and right are/),
  ]);
});

test("SPM's scale and origin, packed voxels, big endian", async () => {
  const spm = header((view) => {
    view.setFloat32(112, 0.5, true);
    for (const axis of [0, 1, 2]) view.setInt16(253 + 2 * axis, axis + 1, true);
  });
  const [scan] = await read(spm, new Uint8Array(gzipSync(image)));
  expect([...scan.data.slice(0, 3)]).toEqual([0, 0.5, 1]);
  expect([scan.affine[3], scan.affine[7], scan.affine[11]]).toEqual([0, -3, -8]);
  const swapped = header((view) => {
    view.setInt32(0, 348);
    for (const [i, n] of [4, 4, 3, 2, 1].entries()) view.setInt16(40 + 2 * i, n);
    for (const [at, n] of [
      [70, 4],
      [72, 16],
    ])
      view.setInt16(at, n);
    for (const [i, mm] of [2, 3, 4].entries()) view.setFloat32(80 + 4 * i, mm);
    view.setFloat32(112, 0);
  });
  const [big] = await read(swapped, Buffer.from(voxels.buffer.slice(0)).swap16());
  expect([...big.data]).toEqual([...voxels]);
  expect([...big.affine]).toEqual([-2, 0, 0, 3, 0, 3, 0, -3, 0, 0, 4, -2, 0, 0, 0, 1]);
});

test("a NIfTI pair brings its own geometry, without a word", async () => {
  const pair = smallScan({ magic: "ni1\0" }).slice(0, 348);
  new DataView(pair.buffer).setFloat32(108, 0, true);
  const warnings: string[] = [];
  const [scan] = await read(pair, image, (sentence) => warnings.push(sentence));
  expect([...scan.affine]).toEqual([2, 0, 0, 10, 0, 3, 0, 20, 0, 0, 4, 30, 0, 0, 0, 1]);
  expect([[...scan.data], warnings]).toEqual([[...voxels], []]);
  await expect(read(smallScan())).rejects.toThrow(
    "a whole NIfTI file named like the header of a pair; rename it to .nii",
  );
});

describe("bad files are refused in a sentence", () => {
  test.each<[string, (view: DataView) => void, string]>([
    ["another file", (view) => view.setInt32(0, 7), "not an Analyze header, it does not begin with its size 348."],
    ["coronal slices", (view) => view.setUint8(252, 1), "slices of the Analyze orientation code 1; expected 0 (axial)"],
    ["RGB", (view) => view.setInt16(70, 128, true), "datatype 128 is not one number a voxel"],
    ["bits", (view) => view.setInt16(72, 32, true), "datatype says int16 and bitpix says 32"],
    ["sizes", (view) => view.setInt16(44, -3, true), "impossible sizes 4 x -3 x 2"],
    ["large", (view) => view.setInt16(44, 300, true), "cut short, 4 x 300 x 2 voxels of int16 take 4800 bytes"],
  ])("%s", async (_, change, sentence) => {
    await expect(read(header(change))).rejects.toThrow(sentence);
  });
  test("short files and a missing partner", async () => {
    await expect(read(header().subarray(0, 100))).rejects.toThrow("only 100 bytes where one takes 348");
    await expect(readAnalyze(header(), "scan.hdr")).rejects.toThrow(
      "its voxels lie in another file, scan.img; give both",
    );
  });
});
