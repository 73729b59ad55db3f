import {
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmSync,
  truncateSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { gzipSync } from "node:zlib";
import { afterAll, describe, expect, test, vi } from "vitest";
import { scanExtension } from "./extensions.ts";
import { readChannels, readHeader, readVolume, writeStack, writeVolume } from "./files.ts";
import { smallScan } from "./nifti.fixture.ts";
import { writeNifti } from "./nifti.ts";
import { reorient } from "./orientation.ts";
import { spacingOf, type Vec3, type VoxelArray } from "./volume.ts";

const folder = mkdtempSync(join(tmpdir(), "lunet-volume-"));
afterAll(() => rmSync(folder, { recursive: true }));
const at = (name: string): string => join(folder, name);

const affine = Float64Array.of(-0.5, 0, 0, 12, 0, 0, 2, 5, 0, 3, 0, 6, 0, 0, 0, 1);
const scan = { data: Int16Array.from({ length: 24 }, (_, i) => i * 300 - 999), shape: [2, 3, 4] as Vec3, affine };

test.each(["scan.nii", "scan.nii.gz", "SCAN.NII.GZ"])(
  "%s there and back, header alone, no temporary file left",
  async (name) => {
    await writeVolume(at(name), scan);
    expect(await readVolume(at(name))).toEqual(scan);
    expect(await readHeader(at(name))).toEqual({ shape: [2, 3, 4], affine, channels: 1, type: "int16" });
    expect(readFileSync(at(name))[0] === 0x1f).toBe(name.toLowerCase().endsWith(".gz"));
    expect(readdirSync(folder).filter((file) => file.endsWith(".tmp"))).toEqual([]);
  },
);

test("a header is found in a large packed file without reading it all", async () => {
  const data = Float32Array.from({ length: 60 * 60 * 60 }, (_, i) => Math.sin(i));
  await writeVolume(at("large.nii.gz"), { data, shape: [60, 60, 60], affine });
  expect((await readHeader(at("large.nii.gz"))).shape).toEqual([60, 60, 60]);
});

test("PNG is one slice with the identity affine", async () => {
  const picture = { data: Uint8Array.of(1, 2, 3, 4, 5, 6), shape: [1, 2, 3] as Vec3, affine };
  await writeVolume(at("a.png"), picture);
  const back = await readVolume(at("a.png"));
  expect(back.shape).toEqual([1, 2, 3]);
  expect(back.data).toEqual(picture.data);
  expect([...back.affine]).toEqual([1, 0, 0, 0, 0, 1, 0, 0, 0, 0, 1, 0, 0, 0, 0, 1]);
  expect(await readHeader(at("a.png"))).toEqual({ shape: [1, 2, 3], affine: back.affine, channels: 1, type: "uint8" });
});

test.each(["scan.nrrd", "scan.mha"])("%s there and back, header alone", async (name) => {
  await writeVolume(at(name), scan);
  expect(await readVolume(at(name))).toEqual(scan);
  expect(await readHeader(at(name))).toEqual({ shape: [2, 3, 4], affine, channels: 1, type: "int16" });
});

describe("headers beside their voxels", () => {
  const lines = ["NRRD0004", "type: short", "dimension: 3", "space: RAS", "sizes: 4 3 2", "endian: little"];
  const header = (file: string): string =>
    [...lines, "space directions: (1,0,0) (0,1,0) (0,0,1)", "encoding: raw", `data file: ${file}`].join("\n");
  test("are read together, in one folder only", async () => {
    writeFileSync(at("a.raw"), new Uint8Array(scan.data.buffer));
    writeFileSync(at("a.nhdr"), header("a.raw"));
    expect((await readVolume(at("a.nhdr"))).data).toEqual(scan.data);
    expect((await readHeader(at("a.nhdr"))).shape).toEqual([2, 3, 4]);
    writeFileSync(at("b.nhdr"), header("b.raw"));
    await expect(readVolume(at("b.nhdr"))).rejects.toThrow("b.nhdr: its voxels lie in b.raw, which is not beside it");
    for (const file of ["../a.raw", "/dev/zero"]) {
      writeFileSync(at("b.nhdr"), header(file));
      await expect(readVolume(at("b.nhdr"))).rejects.toThrow(
        `its voxels lie in "${file}"; expected a file in the same folder`,
      );
    }
    mkdirSync(at("b.raw"));
    writeFileSync(at("b.nhdr"), header("b.raw"));
    await expect(readVolume(at("b.nhdr"))).rejects.toThrow("b.raw is no plain file");
  });
  test("an .hdr finds its .img, packed or not", async () => {
    const pair = smallScan({ magic: "ni1\0" });
    new DataView(pair.buffer).setFloat32(108, 0, true);
    writeFileSync(at("p.hdr"), pair.subarray(0, 348));
    await expect(readVolume(at("p.hdr"))).rejects.toThrow("p.hdr: its voxels lie in p.img, which is not beside it");
    writeFileSync(at("p.img.gz"), gzipSync(pair.subarray(352)));
    expect((await readVolume(at("p.hdr"))).data[23]).toBe(16);
    writeFileSync(at("p.img"), pair.subarray(352));
    expect((await readVolume(at("p.hdr"))).data[23]).toBe(16);
    expect(await readHeader(at("p.hdr"))).toMatchObject({ shape: [2, 3, 4], type: "int16" });
  });
});

describe("a folder of PNG slices is a scan", () => {
  const labels = { data: Uint8Array.from({ length: 264 }, (_, i) => i % 5), shape: [11, 4, 6] as Vec3, affine };
  test("there and back, in the order of the numbers, with its spacing", async () => {
    await writeStack(at("stack"), { ...labels, data: new Uint8Array(288), shape: [12, 4, 6] });
    await writeStack(at("stack"), labels);
    expect(readdirSync(at("stack")).length).toBe(12); // the twelfth slice is gone, spacing.json is there
    const back = await readVolume(at("stack"));
    expect([back.data, back.shape]).toEqual([labels.data, labels.shape]);
    expect(spacingOf(back)).toEqual(spacingOf(labels));
    expect(await readHeader(at("stack"))).toEqual({
      shape: labels.shape,
      affine: back.affine,
      channels: 1,
      type: "uint8",
    });
    renameSync(join(at("stack"), "0003.png"), join(at("stack"), "30.png"));
    expect((await readVolume(at("stack"))).data.slice(24 * 10)).toEqual(labels.data.slice(48, 72));
  });
  test("unlike slices, a spacing that is none, and other scans among them", async () => {
    await writeStack(at("odd"), labels);
    const warn = vi.spyOn(console, "warn").mockReturnValue();
    rmSync(join(at("odd"), "spacing.json"));
    expect(spacingOf(await readVolume(at("odd")))).toEqual([1, 1, 1]);
    await readVolume(at("odd"));
    expect(warn.mock.calls).toEqual([
      [expect.stringContaining("odd: pictures do not say how far apart they lie; 1 mm")],
    ]);
    warn.mockRestore();
    writeFileSync(join(at("odd"), "spacing.json"), '{"spacing": [1, 0, 1]}');
    await expect(readVolume(at("odd"))).rejects.toThrow('spacing.json: expected {"spacing": [between slices');
    rmSync(join(at("odd"), "spacing.json"));
    await writeVolume(join(at("odd"), "0012.png"), { data: new Uint8Array(20), shape: [1, 4, 5], affine });
    await expect(readVolume(at("odd"))).rejects.toThrow(/0012.png: 5 x 4 pixels of 8 bits; expected 6 x 4 of 8, as in/);
    await writeVolume(join(at("odd"), "a.nii"), scan);
    await expect(readVolume(at("odd"))).rejects.toThrow("Cannot read");
  });
});

test("4D files: channels, and refused as one volume", async () => {
  writeFileSync(at("four.nii"), await writeNifti([scan, scan]));
  const channels = await readChannels(at("four.nii"));
  expect(channels).toEqual([scan, scan]);
  expect((await readHeader(at("four.nii"))).channels).toBe(2);
  await expect(readVolume(at("four.nii"))).rejects.toThrow("four.nii: holds 2 volumes; expected one");
  writeFileSync(at("one.nii"), smallScan({ dims: [4, 3, 2, 1] }));
  expect((await readVolume(at("one.nii"))).shape).toEqual([2, 3, 4]);
});

describe("bad paths and files are refused in a sentence", () => {
  test("unknown endings, missing files, folders", async () => {
    expect(scanExtension("a.b.nii.gz")).toBe(".nii.gz");
    expect(scanExtension("a.img")).toBeNull();
    await expect(readVolume("a.img")).rejects.toThrow(
      "Cannot read a.img: expected a name ending in .nii.gz, .nii, .nrrd, .nhdr, .mha, .mhd, .hdr, .png.",
    );
    await expect(writeVolume("a.mhd", scan)).rejects.toThrow(
      "Cannot write a.mhd: expected a name ending in .nii.gz, .nii, .nrrd, .mha, .png.",
    );
    for (const read of [readVolume, readHeader]) {
      await expect(read(at("none.nii"))).rejects.toThrow(`${at("none.nii")} does not exist; check the path.`);
    }
    mkdirSync(at("folder.nii"));
    await expect(readVolume(at("folder.nii"))).rejects.toThrow("is a folder where a file was expected");
  });
  test("a file beyond 2 GiB", async () => {
    writeFileSync(at("huge.nii"), "");
    truncateSync(at("huge.nii"), 2 ** 31 + 1); // A hole: it takes no space.
    await expect(readVolume(at("huge.nii"))).rejects.toThrow(`${at("huge.nii")} is larger than 2 GiB`);
    rmSync(at("huge.nii"));
  });
  test("a failed write leaves nothing behind", async () => {
    mkdirSync(at("busy.nii"));
    await expect(writeVolume(at("busy.nii"), scan)).rejects.toThrow(
      `${at("busy.nii")} is a folder where a file was expected; give the path of a file.`,
    );
    await expect(writeVolume(at("scan.nii/a.nii"), scan)).rejects.toThrow(
      `${at("scan.nii")} exists and is not a folder`,
    );
    expect(readdirSync(folder).filter((file) => file.endsWith(".tmp"))).toEqual([]);
  });
  test("PNG holds one slice of bytes only", async () => {
    await expect(writeVolume(at("b.png"), scan)).rejects.toThrow("one slice of 8-bit voxels; got Int16Array [2, 3, 4]");
  });
  test("a damaged file is named", async () => {
    writeFileSync(at("bad.nii.gz"), readFileSync(at("large.nii.gz")).subarray(0, 5000));
    await expect(readVolume(at("bad.nii.gz"))).rejects.toThrow(/bad.nii.gz: compressed data is cut short or damaged/);
    writeFileSync(at("bad.nii"), "no scan");
    await expect(readHeader(at("bad.nii"))).rejects.toThrow("bad.nii: not a NIfTI file");
  });
});

const shared = new URL("../../../shared/data/", import.meta.url);
const present = existsSync(shared);
if (!present) console.log("Skipped the tests on real files: ../shared/data is not here.");
describe.skipIf(!present)("real files", () => {
  test("LIDC pictures", async () => {
    const images = new URL("lidc_nodules/imagesTr/", shared);
    for (const file of readdirSync(images).slice(0, 20)) {
      const { data, shape } = await readVolume(new URL(file, images).pathname);
      expect(shape).toEqual([1, 128, 128]);
      // The set's README: grey values stretched to 0..255.
      expect([Math.min(...data), Math.max(...data)]).toEqual([0, 255]);
    }
  });
  test("a scan and its mask in odd axes fall on the same voxels in RAS", async () => {
    const axes = new URL("formats/nifti_odd_axes/", shared);
    const image = await readVolume(new URL("t2.nii.gz", axes).pathname);
    const mask = await readVolume(new URL("t2_seg-manual.nii.gz", axes).pathname);
    const [a, b] = [reorient(image), reorient(mask)];
    expect(image.shape).toEqual([52, 55, 60]); // PSR: D = R, H = S, W = P
    expect(a.shape).toEqual([55, 60, 52]);
    expect(b.affine).toEqual(a.affine);
    const marked = (data: VoxelArray): number => Array.from(data).filter((value) => value > 0).length;
    expect(marked(b.data)).toBe(marked(mask.data));
    expect(marked(b.data)).toBeGreaterThan(0);
  });
});
