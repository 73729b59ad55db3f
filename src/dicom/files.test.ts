import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { deflateRawSync } from "node:zlib";
import { zipSync } from "fflate";
import { afterAll, describe, expect, test, vi } from "vitest";
import {
  datasetBytes,
  type Elements,
  EXPLICIT,
  packedFile,
  part10,
  sliceElements,
  sliceFile,
  slicePixels,
} from "./dicom.fixture.ts";
import { holdsDicom, isOneScan, listSeries, readDicomHeader, readDicomVolume } from "./files.ts";
import { readZip } from "./zip.ts";

vi.mock("./zip.ts", { spy: true });

const root = mkdtempSync(join(tmpdir(), "lunet-dicom-"));
afterAll(() => rmSync(root, { recursive: true }));

/** A new folder with these files. */
function folder(name: string, files: Record<string, Uint8Array>): string {
  for (const [file, bytes] of Object.entries(files)) {
    mkdirSync(join(root, name, file, ".."), { recursive: true });
    writeFileSync(join(root, name, file), bytes);
  }
  return join(root, name);
}
const affine = Float64Array.of(-0.5, 0, 0, 10, 0, -0.75, 0, -20, 0, 0, 2, 30, 0, 0, 0, 1);
const hounsfield = [0, 1, 2].flatMap((k) => slicePixels(k).map((value) => value - 1000));

test("a folder of slices in any order of names, in folders below, beside other files", async () => {
  const path = folder("plain", {
    "a/z": sliceFile(0),
    "a/y.dcm": sliceFile(2),
    x: sliceFile(1),
    "read.me": Uint8Array.of(1),
  });
  const scan = await readDicomVolume(path);
  expect(scan).toEqual({ data: Int16Array.from(hounsfield), shape: [3, 3, 4], affine });
  expect(await readDicomHeader(path)).toEqual({ shape: [3, 3, 4], affine, channels: 1, type: "int16" });
  const { series, others } = await listSeries(path);
  expect(
    series.map(({ number, description, modality, images }) => [number, description, modality, images.length]),
  ).toEqual([["7", "HEAD", "CT", 3]]);
  expect(others).toBe(1);
  expect([await holdsDicom(path), await isOneScan(path), await holdsDicom(join(path, "read.me"))]).toEqual([
    true,
    true,
    false,
  ]);
});

test("a zip archive is read without being unpacked on the disk", async () => {
  const files = Object.fromEntries([0, 1, 2].map((k) => [`../../${k}.dcm`, sliceFile(k)]));
  const path = join(folder("zip", { "scan.zip": zipSync(files) }), "scan.zip");
  expect((await readDicomVolume(path)).data).toEqual(Int16Array.from(hounsfield));
  expect(await holdsDicom(path)).toBe(true);
  const unpacked = vi.mocked(readZip).mock.calls.length;
  await readDicomVolume(path);
  expect(vi.mocked(readZip).mock.calls.length - unpacked).toBe(1); // listing and reading share it
  const cut = zipSync({ a: sliceFile(0) }).subarray(0, 200);
  await expect(readDicomVolume(join(folder("cut", { "a.zip": cut }), "a.zip"))).rejects.toThrow("damaged zip archive");
  // A directory that announces 4 GiB for about a kilobyte: more than deflate can make of its packed bytes.
  const bomb = zipSync({ a: new Uint8Array(1 << 20) });
  const directory = bomb.length - 22 - 47;
  new DataView(bomb.buffer).setUint32(directory + 24, 0xfffffff0, true);
  await expect(listSeries(join(folder("bomb", { "a.zip": bomb }), "a.zip"))).rejects.toThrow("more than it can hold");
});

test("several series: named, and one chosen by number or UID; a localiser alone does not count", async () => {
  const other = { "0020000E UI": "1.2.9", "00200011 IS": "8", "0008103E LO": "NECK" };
  const files = [0, 1].flatMap((k) => [
    [`a${k}`, sliceFile(k)],
    [`b${k}`, sliceFile(k, { ...other, "00080018 UI": `1.9.${k}` })],
  ]);
  const path = folder("two", Object.fromEntries(files));
  await expect(readDicomVolume(path)).rejects.toThrow(
    `${path}: 2 series, series 7 (HEAD, CT), series 8 (NECK, CT); expected one: choose with ${path}#7.`,
  );
  for (const choice of ["8", "1.2.9"]) expect((await readDicomVolume(`${path}#${choice}`)).shape).toEqual([2, 3, 4]);
  await expect(readDicomVolume(`${path}#9`)).rejects.toThrow(
    "0 series are 9; expected one of series 7 (HEAD, CT), series 8",
  );
  const local = folder("local", {
    a: sliceFile(0),
    b: sliceFile(1),
    c: sliceFile(0, { ...other, "00080018 UI": "1.9" }),
  });
  expect((await readDicomVolume(local)).shape).toEqual([2, 3, 4]);
});

test("copies of a file are left out; a damaged file is a hole and stops the reading", async () => {
  const path = folder("copies", { a: sliceFile(0), b: sliceFile(1), "b copy": sliceFile(1) });
  expect((await readDicomVolume(path)).shape).toEqual([2, 3, 4]);
  expect((await listSeries(path)).series[0].copies).toBe(1);
  writeFileSync(join(path, "c"), sliceFile(2).subarray(0, 300));
  await expect(readDicomVolume(path)).rejects.toThrow(
    /1 of its DICOM files cannot be read \(.*c: DICOM file that is cut short/,
  );
  writeFileSync(join(path, "c"), sliceFile(2).subarray(0, -6));
  await expect(readDicomVolume(path)).rejects.toThrow(/c: .*cut short/);
});

test("a damaged file of another series does not stop the chosen one; it is said", async () => {
  const said = vi.spyOn(console, "warn").mockImplementation(() => {});
  const other = { "0020000E UI": "1.2.9", "00200011 IS": "8", "0008103E LO": "NECK" };
  // Cut behind the Series Instance UID, and before it.
  const late = sliceFile(3, other).subarray(0, 330);
  const early = sliceFile(3, other).subarray(0, 200);
  const good = { "a/0": sliceFile(0), "a/1": sliceFile(1), "b/0": sliceFile(0, { ...other, "00080018 UI": "1.9.1" }) };
  const beside = folder("damaged-beside", { ...good, "a/2": late });
  expect((await readDicomVolume(`${beside}#7`)).shape).toEqual([2, 3, 4]);
  await expect(readDicomVolume(`${beside}#8`)).rejects.toThrow(
    /: 1 of its DICOM files cannot be read \(.*2: DICOM file that is cut short .*; copy it again\); mend or remove it\.$/,
  );
  const apart = folder("damaged-apart", { ...good, "b/1": early });
  expect((await readDicomVolume(`${apart}#7`)).shape).toEqual([2, 3, 4]);
  await expect(readDicomVolume(`${apart}#8`)).rejects.toThrow("1 of its DICOM files cannot be read");
  expect(said.mock.calls.flat()).toEqual(
    [beside, apart].map((path) =>
      expect.stringMatching(
        `^${path}: 1 DICOM file of another series cannot be read \\(.*\\); the chosen series does not need it\\.$`,
      ),
    ),
  );
  said.mockRestore();
});

test("a folder whose name ends as a choice does is that folder", async () => {
  const path = folder("scan#9", { a: sliceFile(0), b: sliceFile(1) });
  expect((await readDicomVolume(path)).shape).toEqual([2, 3, 4]);
  expect((await readDicomVolume(`${path}#7`)).shape).toEqual([2, 3, 4]);
  await expect(readDicomVolume(`${path}#8`)).rejects.toThrow(`${path}: 0 series are 8`);
});

describe("how pixels are stored", () => {
  const read = async (name: string, bytes: Uint8Array): ReturnType<typeof readDicomVolume> =>
    readDicomVolume(join(folder(name, { a: bytes }), "a"));
  const expected = Int16Array.from(slicePixels(0), (value) => value - 1000);
  test("big endian, deflated, and RLE by hand", async () => {
    const big = part10("1.2.840.10008.1.2.2", datasetBytes(sliceElements(0), true));
    expect((await read("big", big)).data).toEqual(expected);
    const packed = deflateRawSync(Uint8Array.from(datasetBytes(sliceElements(0))));
    expect((await read("deflated", part10("1.2.840.10008.1.2.1.99", packed))).data).toEqual(expected);
    // The high bytes are all 0: one run of 12 (257 - 245). The low bytes 0..11: 12 literals (11).
    const rle = new Uint8Array(64 + 2 + 13);
    new DataView(rle.buffer).setUint32(0, 2, true);
    new DataView(rle.buffer).setUint32(4, 64, true);
    new DataView(rle.buffer).setUint32(8, 66, true);
    rle.set([245, 0, 11, ...slicePixels(0)], 64);
    expect((await read("rle", packedFile("1.2.840.10008.1.2.5", [rle]))).data).toEqual(expected);
    await expect(read("rle-cut", packedFile("1.2.840.10008.1.2.5", [rle.subarray(0, 74)]))).rejects.toThrow(
      "RLE data ends after 7 of 12 pixels",
    );
  });
  test("12 of 16 bits with an overlay above them; signed 12 bits; 8 bits", async () => {
    const twelve: Elements = { "00280101 US": [12], "00280102 US": [11] };
    const pixels = slicePixels(0).map((value) => value | 0xf000);
    const unsigned = sliceFile(0, { ...twelve, "00280103 US": [0], "7FE00010 OW": pixels });
    expect((await read("overlay", unsigned)).data).toEqual(expected);
    const negative = sliceFile(0, { ...twelve, "7FE00010 OW": slicePixels(0).map((value) => (value - 5) & 0xfff) });
    expect((await read("signed", negative)).data).toEqual(expected.map((value) => value - 5));
    const eight = { "00280100 US": [8], "00280101 US": [8], "00280102 US": [7], "00280103 US": [0] };
    const bytes = Uint8Array.from(slicePixels(0));
    expect((await read("bytes", sliceFile(0, { ...eight, "7FE00010 OW": bytes }))).data).toEqual(expected);
  });
  test("rescaling: fractions give float32, large values int32", async () => {
    const half = await read("half", sliceFile(0, { "00281053 DS": "0.5", "00281052 DS": "1" }));
    expect(half.data).toEqual(Float32Array.from(slicePixels(0), (value) => value / 2 + 1));
    const large = await read("large", sliceFile(0, { "00281052 DS": "100000" }));
    expect(large.data).toEqual(Int32Array.from(slicePixels(0), (value) => value + 100_000));
  });
  test("a Modality LUT takes the place of slope and intercept", async () => {
    const { "00281052 DS": _i, "00281053 DS": _s, ...plain } = sliceElements(0);
    const lut = (item: Elements): Uint8Array => part10(EXPLICIT, datasetBytes({ ...plain, "00283000 SQ": [item] }));
    // Stored 0 to 11; entries for 2, 3, 4, 5; what is smaller takes the first, what is larger the last.
    const table = [40, 30, 20, 60_000];
    const mapped = [40, 40, 40, 30, 20, 60_000, 60_000, 60_000, 60_000, 60_000, 60_000, 60_000];
    const words = await read("lut", lut({ "00283002 US": [4, 2, 16], "00283006 US": table }));
    expect(words.data).toEqual(Int32Array.from(mapped));
    const signed = await read("lut-signed", lut({ "00283002 SS": [4, 0x10000 - 2, 16], "00283006 US": [1, 2, 3, 4] }));
    expect(signed.data).toEqual(Int16Array.from([3, ...new Array(11).fill(4)]));
    const bytes = lut({ "00283002 US": [4, 2, 8], "00283006 OW": Uint8Array.of(9, 8, 7, 6) });
    expect((await read("lut-bytes", bytes)).data).toEqual(Int16Array.from([9, 9, 9, 8, 7, ...new Array(7).fill(6)]));
    await expect(read("lut-short", lut({ "00283002 US": [9, 2, 16], "00283006 US": table }))).rejects.toThrow(
      "its Modality LUT has 8 bytes for 9 entries of 16 bits; the file is damaged.",
    );
    await expect(read("lut-bare", lut({ "00283002 US": [4, 2, 16] }))).rejects.toThrow("no descriptor or no data");
  });
  test("MONOCHROME1 says how to show values: they stay, and it is said; Slice Thickness is that of a single slice", async () => {
    const said = vi.spyOn(console, "warn").mockImplementation(() => {});
    const scan = await read("inverse", sliceFile(0, { "00280004 CS": "MONOCHROME1", "00180050 DS": "2.5" }));
    expect([scan.data, scan.affine[10]]).toEqual([expected, 2.5]);
    expect(said.mock.calls.flat()).toEqual([
      expect.stringMatching(
        /: series 7 \(HEAD, CT\) is MONOCHROME1, low values are bright; they are taken as stored, not inverted\.$/,
      ),
    ]);
    said.mockRestore();
  });
  test("an enhanced file of three frames, out of order, each with its place and rescaling", async () => {
    const order = [2, 0, 1];
    const {
      "00200032 DS": _position,
      "00200037 DS": orientation,
      "00280030 DS": spacing,
      "00281052 DS": _intercept,
      ...top
    } = sliceElements(0);
    const enhanced: Elements = {
      ...top,
      "00280008 IS": "3",
      "52009229 SQ": [{ "00209116 SQ": [{ "00200037 DS": orientation }], "00289110 SQ": [{ "00280030 DS": spacing }] }],
      "52009230 SQ": order.map((k) => ({
        "00209113 SQ": [{ "00200032 DS": `-10\\20\\${30 + 2 * k}` }],
        "00289145 SQ": [{ "00281052 DS": "-1000", "00281053 DS": "1" }],
      })),
      "7FE00010 OW": order.flatMap(slicePixels),
    };
    const scan = await read("enhanced", part10(EXPLICIT, datasetBytes(enhanced)));
    expect(scan).toEqual({ data: Int16Array.from(hounsfield), shape: [3, 3, 4], affine });
    const blind = { ...enhanced, "52009230 SQ": [] };
    await expect(read("blind", part10(EXPLICIT, datasetBytes(blind)))).rejects.toThrow(
      "does not say where its slices lie",
    );
  });
  test("a damaged header cannot ask for all memory", async () => {
    const rows = { "00280010 US": [65535], "00280011 US": [65535] };
    await expect(read("vast", sliceFile(0, rows))).rejects.toThrow("impossible size of 65535 x 65535 pixels.");
    const frames = { "00280010 US": [16384], "00280011 US": [16384], "00280008 IS": "9" };
    const places = {
      "52009230 SQ": Array.from({ length: 9 }, (_, k) => ({ "00209113 SQ": [{ "00200032 DS": `0\\0\\${k}` }] })),
    };
    const many = sliceFile(0, { ...frames, ...places });
    await expect(read("many", many)).rejects.toThrow(
      "9 x 16384 x 16384 voxels takes 9663676416 bytes; expected at most",
    );
  });
  test.each<[string, Elements, string]>([
    [
      "colour",
      { "00280004 CS": "RGB", "00280002 US": [3] },
      "pixels of kind RGB with 3 values each; expected grey ones",
    ],
    ["wide", { "00280100 US": [32] }, "32 bits a pixel; expected 8 or 16."],
    ["bits", { "00280101 US": [20] }, "header contradicts itself, 20 bits up to bit 15 of 16."],
    ["short", { "00280010 US": [30] }, "cut short, frame 1 takes 240 bytes and the file holds 24; copy it again."],
    ["frames", { "00280008 IS": "-3" }, "-3 frames (0028,0008); expected 1 to 65536."],
  ])("%s is refused in a sentence", async (name, change, sentence) => {
    await expect(read(name, sliceFile(0, change))).rejects.toThrow(sentence);
  });
  test("no pixels, an unknown compression, and a folder without DICOM", async () => {
    const { "7FE00010 OW": _, ...header } = sliceElements(0);
    await expect(read("bare", part10(EXPLICIT, datasetBytes(header)))).rejects.toThrow("DICOM file without pixels");
    await expect(read("mpeg", packedFile("1.2.840.10008.1.2.4.100", [new Uint8Array(9)]))).rejects.toThrow(
      "voxels in the transfer syntax 1.2.840.10008.1.2.4.100; expected none, RLE, JPEG baseline",
    );
    await expect(listSeries(folder("none", { a: Uint8Array.of(1) }))).rejects.toThrow("no DICOM image found");
    expect(await holdsDicom(folder("none", { a: Uint8Array.of(1) }))).toBe(false);
  });
});

test("slices that make no grid are refused with the reason", async () => {
  const path = folder("gap", { a: sliceFile(0), b: sliceFile(1), c: sliceFile(3) });
  await expect(readDicomVolume(path)).rejects.toThrow(
    `${path}: series 7 (HEAD, CT) lacks 1 of its slices (steps of 2 mm, but 4 mm between 32 mm and 36 mm along the stack); expected`,
  );
});
