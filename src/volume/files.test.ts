import {
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  truncateSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, describe, expect, test } from "vitest";
import { readChannels, readHeader, readVolume, scanExtension, writeVolume } from "./files.ts";
import { smallScan } from "./nifti.fixture.ts";
import { writeNifti } from "./nifti.ts";
import { reorient } from "./orientation.ts";
import type { Vec3, VoxelArray } from "./volume.ts";

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
    expect(scanExtension("a.hdr")).toBeNull();
    await expect(readVolume("a.hdr")).rejects.toThrow(
      "Cannot read a.hdr: expected a name ending in .nii.gz, .nii, .png.",
    );
    await expect(writeVolume("a.mha", scan)).rejects.toThrow("Cannot write a.mha: expected a name ending in");
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
