import { existsSync, readFileSync } from "node:fs";
import { gzipSync } from "node:zlib";
import { describe, expect, test } from "vitest";
import { readVolume } from "./files.ts";
import { readNrrd, writeNrrd } from "./nrrd.ts";
import { axisCodes } from "./orientation.ts";
import { itkNrrdGzip, itkNrrdVector, obliqueAffine, obliqueVoxels } from "./others.fixture.ts";
import type { Vec3 } from "./volume.ts";

const encode = (text: string): Uint8Array => new TextEncoder().encode(text);

const plain: Record<string, string> = {
  type: "short",
  dimension: "3",
  space: "left-posterior-superior",
  sizes: "4 3 2",
  "space directions": "(2,0,0) (0,3,0) (0,0,4)",
  kinds: "domain domain domain",
  endian: "little",
  encoding: "raw",
  "space origin": "(10,20,30)",
};
const voxels = Int16Array.from({ length: 24 }, (_, i) => i * 300 - 999);

/** A small sound NRRD file, with fields changed or (null) left out. */
function nrrd(
  change: Record<string, string | null> = {},
  data: Uint8Array = new Uint8Array(voxels.buffer),
): Uint8Array {
  const fields = Object.entries({ ...plain, ...change }).filter(([, value]) => value !== null);
  const header = encode(`NRRD0004\n# made by hand\n${fields.map(([key, value]) => `${key}: ${value}\n`).join("")}\n`);
  return new Uint8Array([...header, ...data]);
}
const read = async (change: Record<string, string | null> = {}, data?: Uint8Array): ReturnType<typeof readNrrd> =>
  readNrrd(nrrd(change, data), "scan.nrrd");
const fives = Array.from({ length: 24 }, (_, i) => i * 5);
/** Largest difference of two affines. */
const distance = (a: ArrayLike<number>, b: ArrayLike<number>): number =>
  Math.max(...Array.from(a, (value, i) => Math.abs(value - b[i])));

test("ITK's file: voxels, and the affine to the rounding of its 17 digits", async () => {
  const [scan] = await readNrrd(itkNrrdGzip, "itk.nrrd");
  expect(scan.data).toEqual(obliqueVoxels);
  expect(scan.shape).toEqual([2, 3, 4]);
  expect(distance(scan.affine, obliqueAffine)).toBeLessThan(1e-14);
  const two = await readNrrd(itkNrrdVector, "itk.nrrd");
  expect(two.map(({ data }) => [...data])).toEqual([0, 100].map((first) => Array.from(voxels, (_, i) => first + i)));
});

test("there and back: voxels and affine to the last bit, every type", async () => {
  const arrays = [Uint8Array, Int8Array, Uint16Array, Int16Array, Uint32Array, Int32Array, Float32Array, Float64Array];
  for (const array of arrays) {
    const scan = { data: array.of(...fives), shape: [2, 3, 4] as Vec3, affine: obliqueAffine };
    expect(await readNrrd(await writeNrrd(scan), "t")).toEqual([scan]);
  }
});

describe("the header's forms", () => {
  test("spaces: LPS, RAS and LAS to RAS+", async () => {
    const affineIn = async (space: string): Promise<number[]> => [...(await read({ space }))[0].affine];
    expect(await affineIn("LPS")).toEqual([-2, 0, 0, -10, 0, -3, 0, -20, 0, 0, 4, 30, 0, 0, 0, 1]);
    expect(await affineIn("right-anterior-superior")).toEqual([2, 0, 0, 10, 0, 3, 0, 20, 0, 0, 4, 30, 0, 0, 0, 1]);
    expect(await affineIn("Left-Anterior-Superior")).toEqual([-2, 0, 0, -10, 0, 3, 0, 20, 0, 0, 4, 30, 0, 0, 0, 1]);
    const metres = await read({ "space units": '"m" "m" "m"' });
    expect(metres[0].affine[0]).toBe(-2000);
    expect(metres[0].affine[11]).toBe(30000);
  });
  test("big endian, gzip, CRLF, byte and line skips, key/value pairs", async () => {
    const swapped = Buffer.from(voxels.buffer.slice(0)).swap16();
    expect((await read({ endian: "big" }, swapped))[0].data).toEqual(voxels);
    expect((await read({ encoding: "gz" }, gzipSync(voxels)))[0].data).toEqual(voxels);
    const tail = new Uint8Array([7, 7, 7, ...new Uint8Array(voxels.buffer)]);
    expect((await read({ "byte skip": "3" }, tail))[0].data).toEqual(voxels);
    expect((await read({ byteskip: "-1" }, tail))[0].data).toEqual(voxels);
    expect((await read({ "line skip": "1" }, new Uint8Array([88, 10, ...tail.subarray(3)])))[0].data).toEqual(voxels);
    const text = Object.entries(plain).map(([key, value]) => `${key}: ${value}\r\n`);
    const windows = encode(`NRRD0004\r\n${text.join("")}Note:=a: b\r\n\r\n`);
    expect((await readNrrd(new Uint8Array([...windows, ...tail.subarray(3)]), "t"))[0].data).toEqual(voxels);
  });
  test("detached: the voxels come from the file it names", async () => {
    const header = nrrd({ "data file": "a.raw" }, new Uint8Array(0));
    const open = async (file: string): Promise<Uint8Array> =>
      file === "a.raw" ? new Uint8Array(voxels.buffer) : header;
    expect((await readNrrd(header, "a.nhdr", { open }))[0].data).toEqual(voxels);
    await expect(readNrrd(header, "a.nhdr")).rejects.toThrow(
      "a.nhdr: its voxels lie in another file, a.raw; give both",
    );
  });
  test("without directions: spacings, taken as LPS, and said so", async () => {
    const warnings: string[] = [];
    const bare = nrrd({ space: null, "space directions": null, "space origin": null, spacings: "2 3 4" });
    const [scan] = await readNrrd(bare, "bare.nrrd", { warn: (sentence) => warnings.push(sentence) });
    expect([...scan.affine]).toEqual([-2, 0, 0, 0, 0, -3, 0, 0, 0, 0, 4, 0, 0, 0, 0, 1]);
    expect(warnings).toEqual([
      "bare.nrrd: the NRRD header names no anatomical space; its axes are taken as LPS, as ITK does.",
    ]);
  });
  test("channels before and after the axes of space; flat pictures", async () => {
    const directions = "(2,0,0) (0,3,0) (0,0,4)";
    const first = await read({
      dimension: "4",
      sizes: "2 2 3 2",
      "space directions": `none ${directions}`,
      kinds: "vector space space space",
    });
    const last = await read({
      dimension: "4",
      sizes: "2 3 2 2",
      "space directions": `${directions} none`,
      kinds: "domain domain domain list",
    });
    expect([...first[1].data.slice(0, 2)]).toEqual([voxels[1], voxels[3]]);
    expect([...last[1].data.slice(0, 2)]).toEqual([voxels[12], voxels[13]]);
    expect([first.length, first[0].shape, last.length, last[0].shape]).toEqual([2, [2, 3, 2], 2, [2, 3, 2]]);
    const flat = { space: null, "space dimension": "2", dimension: "2", sizes: "6 4", kinds: "domain domain" };
    const [picture] = await read({ ...flat, "space directions": "(2,0) (0,3)", "space origin": "(1,2)" });
    expect(picture.shape).toEqual([1, 4, 6]);
    expect([...picture.affine]).toEqual([-2, 0, 0, -1, 0, -3, 0, -2, 0, 0, 1, 0, 0, 0, 0, 1]);
  });
});

describe("bad files are refused in a sentence", () => {
  test.each<[Record<string, string | null>, string]>([
    [{ type: "block" }, 'scan.nrrd: voxels of type "block"; expected integers of 8 to 64 bits, float or double.'],
    [{ encoding: "bzip2" }, 'encoding "bzip2"; expected raw or gzip: save the file again.'],
    [{ endian: null }, 'byte order "not given"; expected "endian: little" or "endian: big".'],
    [{ sizes: "4 3" }, '"sizes: 4 3" is not 3 finite numbers'],
    [{ sizes: "4 0 2" }, "impossible size"],
    [{ sizes: null }, 'the NRRD header has no field "sizes"'],
    [{ sizes: "4 3 3" }, "cut short, 4 x 3 x 3 voxels of int16 take 72 bytes and the file holds 48; copy it again."],
    [{ sizes: "400000 300000 900000" }, "take 216000000000000000 bytes; expected at most 8589934592."],
    [{ dimension: "7", sizes: "1 1 1 1 1 1 1" }, "7 dimensions; expected 2 or 3, and one more for channels."],
    [{ "space directions": "(2,0,0) (0,3,0)" }, "gives 2 axes; expected 3."],
    [
      { "space directions": "(2,0,0) (2,0,0) (0,0,4)" },
      "the affine is singular: its three voxel axes lie in one plane",
    ],
    [{ "space directions": "(nan,0,0) (0,3,0) (0,0,4)" }, "is not 3 finite numbers"],
    [{ space: "left-posterior-superior-time" }, "has a time axis"],
    [{ "space directions": null, kinds: "RGB-color domain domain" }, 'voxels of kind "rgb-color"; expected one number'],
    [{ "space directions": "(2,0,0) none (0,0,4)" }, "channels along axis 2 of 3; expected them first or last"],
    [{ "data file": "slice%03d.raw 1 9 1" }, "voxels spread over several files"],
    [{ encoding: "gzip" }, "compressed data is cut short or damaged"],
  ])("%j", async (change, sentence) => {
    await expect(read(change)).rejects.toThrow(sentence);
  });
  test("other files, no end of header, a gzip bomb", async () => {
    await expect(readNrrd(encode("P5 4 4 255"), "x.nrrd")).rejects.toThrow("x.nrrd: not a NRRD file");
    await expect(readNrrd(encode("NRRD0004\ntype: short\n"), "x.nrrd")).rejects.toThrow("header does not end");
    const bomb = gzipSync(new Uint8Array(64 * 1024 * 1024));
    const before = process.memoryUsage().arrayBuffers;
    await expect(read({ encoding: "gzip" }, bomb)).rejects.toThrow(
      "holds more data than its header describes (4 x 3 x 2 voxels of int16, 48 bytes)",
    );
    expect(process.memoryUsage().arrayBuffers - before).toBeLessThan(8 * 1024 * 1024);
  });
});

const folder = new URL("../../../shared/data/formats/dcmqi_segmentations/", import.meta.url);
if (!existsSync(folder)) console.log("Skipped the tests on real NRRD files: ../shared/data is not here.");
test.skipIf(!existsSync(folder))("dcmqi's label map has the geometry in its header", async () => {
  const path = new URL("24x38x3/nrrd/label.nrrd", folder).pathname;
  const scan = await readVolume(path);
  expect(readFileSync(path, "latin1")).toContain(
    "space origin: (46.464900970458984,5.0188097953796378,-177.75000000000006)",
  );
  expect(scan.shape).toEqual([3, 38, 24]);
  expect(axisCodes(scan.affine)).toBe("LPS");
  expect([scan.affine[3], scan.affine[7], scan.affine[11]]).toEqual([
    -46.464900970458984, -5.0188097953796378, -177.75000000000006,
  ]);
  expect(scan.data.some((value) => value > 0)).toBe(true);
});
