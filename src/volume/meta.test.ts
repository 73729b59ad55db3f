import { deflateSync } from "node:zlib";
import { describe, expect, test } from "vitest";
import { readMeta, writeMeta } from "./meta.ts";
import { itkMhaVector, itkMhaZlib, obliqueAffine, obliqueVoxels } from "./others.fixture.ts";
import type { Vec3 } from "./volume.ts";

const encode = (text: string): Uint8Array => new TextEncoder().encode(text);

const plain: Record<string, string> = {
  ObjectType: "Image",
  NDims: "3",
  BinaryData: "True",
  BinaryDataByteOrderMSB: "False",
  CompressedData: "False",
  TransformMatrix: "0 1 0 -1 0 0 0 0 1",
  Offset: "10 20 30",
  CenterOfRotation: "5 5 5",
  ElementSpacing: "2 3 4",
  DimSize: "4 3 2",
  ElementType: "MET_SHORT",
  ElementDataFile: "LOCAL",
};
const voxels = Int16Array.from({ length: 24 }, (_, i) => i * 300 - 999);

/** A small sound MetaImage, with keys changed or (null) left out. */
function meta(
  change: Record<string, string | null> = {},
  data: Uint8Array = new Uint8Array(voxels.buffer),
): Uint8Array {
  const { ElementDataFile, ...rest } = { ...plain, ...change };
  const fields = Object.entries({ ...rest, ElementDataFile }).filter(([, value]) => value !== null);
  return new Uint8Array([...encode(fields.map(([key, value]) => `${key} = ${value}\n`).join("")), ...data]);
}
const read = async (change: Record<string, string | null> = {}, data?: Uint8Array): ReturnType<typeof readMeta> =>
  readMeta(meta(change, data), "scan.mha");
const fives = Array.from({ length: 24 }, (_, i) => i * 5);
/** Largest difference of two affines. */
const distance = (a: ArrayLike<number>, b: ArrayLike<number>): number =>
  Math.max(...Array.from(a, (value, i) => Math.abs(value - b[i])));

test("ITK's files: voxels, and the affine to the rounding of its 17 digits", async () => {
  const [scan] = await readMeta(itkMhaZlib, "itk.mha");
  expect(scan.data).toEqual(obliqueVoxels);
  expect(scan.shape).toEqual([2, 3, 4]);
  expect(distance(scan.affine, obliqueAffine)).toBeLessThan(1e-14);
  const two = await readMeta(itkMhaVector, "itk.mha");
  expect(two.map(({ data }) => [...data])).toEqual([0, 100].map((first) => Array.from(voxels, (_, i) => first + i)));
});

test("there and back: voxels exactly, the affine to 1e-14 mm (directions times spacing round once)", async () => {
  const arrays = [Uint8Array, Int8Array, Uint16Array, Int16Array, Uint32Array, Int32Array, Float32Array, Float64Array];
  for (const array of arrays) {
    const scan = { data: array.of(...fives), shape: [2, 3, 4] as Vec3, affine: obliqueAffine };
    const [back] = await readMeta(await writeMeta(scan), "t");
    expect([back.data, back.shape]).toEqual([scan.data, scan.shape]);
    expect(distance(back.affine, scan.affine)).toBeLessThan(1e-14);
  }
});

describe("the header's forms", () => {
  test("axis i along y, axis j along -x of LPS; the centre of rotation moves nothing", async () => {
    // LPS columns (0, 2, 0), (-3, 0, 0), (0, 0, 4) and origin (10, 20, 30); RAS turns x and y round.
    expect([...(await read())[0].affine]).toEqual([0, 3, 0, -10, -2, 0, 0, -20, 0, 0, 4, 30, 0, 0, 0, 1]);
  });
  test("big endian, zlib, header sizes, old key names, detached data", async () => {
    const swapped = Buffer.from(voxels.buffer.slice(0)).swap16();
    expect((await read({ BinaryDataByteOrderMSB: "True" }, swapped))[0].data).toEqual(voxels);
    expect((await read({ BinaryDataByteOrderMSB: null, ElementByteOrderMSB: "True" }, swapped))[0].data).toEqual(
      voxels,
    );
    const packed = deflateSync(voxels);
    expect((await read({ CompressedData: "True" }, packed))[0].data).toEqual(voxels);
    const old = { TransformMatrix: null, Offset: null, Rotation: plain.TransformMatrix, Position: plain.Offset };
    expect((await read(old))[0].affine).toEqual((await read())[0].affine);
    const header = meta({ ElementDataFile: "a.raw", HeaderSize: "-1" }, new Uint8Array(0));
    const open = async (): Promise<Uint8Array> => new Uint8Array([9, 9, ...new Uint8Array(voxels.buffer)]);
    expect((await readMeta(header, "a.mhd", { open }))[0].data).toEqual(voxels);
  });
  test("flat pictures, and channels along a fourth axis", async () => {
    const flat = { NDims: "2", TransformMatrix: "1 0 0 1", Offset: "1 2", ElementSpacing: "2 3", DimSize: "6 4" };
    const [picture] = await read({ ...flat, CenterOfRotation: "0 0" });
    expect(picture.shape).toEqual([1, 4, 6]);
    expect([...picture.affine]).toEqual([-2, 0, 0, -1, 0, -3, 0, -2, 0, 0, 1, 0, 0, 0, 0, 1]);
    const four = { NDims: "4", DimSize: "2 3 2 2", Offset: "10 20 30 0", ElementSpacing: "2 3 4 1" };
    const channels = await read({ ...four, TransformMatrix: "0 1 0 0 -1 0 0 0 0 0 1 0 0 0 0 1" });
    expect(channels.map(({ data }) => data[0])).toEqual([voxels[0], voxels[12]]);
    expect(channels[0].affine).toEqual((await read())[0].affine);
  });
});

describe("bad files are refused in a sentence", () => {
  test.each<[Record<string, string | null>, string]>([
    [{ ObjectType: "Tube" }, "scan.mha: a MetaIO object of type Tube; expected Image."],
    [{ BinaryData: "False" }, "voxels written as text"],
    [{ NDims: "5" }, "NDims = 5; expected 2 or 3, or 4 with channels last."],
    [{ DimSize: "4 3 -2" }, "impossible size"],
    [{ DimSize: "4 3 3" }, "cut short, 4 x 3 x 3 voxels of int16 take 72 bytes and the file holds 48; copy it again."],
    [{ ElementType: "MET_STRING" }, "ElementType MET_STRING; expected one number a voxel"],
    [{ ElementSpacing: "2 0 4" }, "the affine is singular: voxel axis j has length 0 mm"],
    [{ TransformMatrix: "1 0 0" }, '"TransformMatrix: 1 0 0" is not 9 finite numbers'],
    [{ ElementDataFile: "LIST" }, "voxels spread over several files"],
    [{ ElementToIntensityFunctionSlope: "2" }, "an intensity function (2 x + 0) that programs treat differently"],
    [{ HeaderSize: "-2" }, "HeaderSize = -2 is impossible here"],
    [{ CompressedData: "True" }, "compressed data is cut short or damaged"],
  ])("%j", async (change, sentence) => {
    await expect(read(change)).rejects.toThrow(sentence);
  });
  test("other files, no end of header, a zlib bomb", async () => {
    await expect(readMeta(encode("<html>"), "x.mha")).rejects.toThrow("x.mha: not a MetaImage");
    await expect(readMeta(encode("ObjectType = Image\nNDims = 3\n"), "x.mha")).rejects.toThrow(
      "ends without ElementDataFile",
    );
    const bomb = deflateSync(new Uint8Array(64 * 1024 * 1024));
    const before = process.memoryUsage().arrayBuffers;
    await expect(read({ CompressedData: "True" }, bomb)).rejects.toThrow("holds more data than its header describes");
    expect(process.memoryUsage().arrayBuffers - before).toBeLessThan(8 * 1024 * 1024);
  });
});
