import { existsSync, readdirSync } from "node:fs";
import { describe, expect, test, vi } from "vitest";
import { readVolume } from "../volume/files.ts";
import { reorient } from "../volume/orientation.ts";
import type { Volume } from "../volume/volume.ts";
import { listSeries, readDicomVolume } from "./files.ts";

const folder = new URL("../../../shared/data/formats/", import.meta.url);
if (!existsSync(folder)) console.log("Skipped the tests on real DICOM files: ../shared/data is not here.");
const at = (path: string): string => new URL(path, folder).pathname;
/** Largest difference of two scans of one size. */
function largest({ data: a }: Volume, { data: b }: Volume): number {
  let most = 0;
  for (let i = 0; i < a.length; i++) most = Math.max(most, Math.abs(a[i] - b[i]));
  return most;
}

/** Smallest and largest voxel. */
function extent({ data }: Volume): [number, number] {
  let [low, high] = [data[0], data[0]];
  for (let i = 0; i < data.length; i++) [low, high] = [Math.min(low, data[i]), Math.max(high, data[i])];
  return [low, high];
}

describe.skipIf(!existsSync(folder))("real DICOM files", { timeout: 120_000 }, () => {
  test("one slice in 15 transfer syntaxes", async () => {
    const files = readdirSync(at("ct_slice_syntaxes"));
    const file = (syntax: string): string =>
      at(`ct_slice_syntaxes/${files.find((name) => name.endsWith(`_1.2.840.10008.1.2${syntax}.dcm`))}`);
    const plain = await readDicomVolume(at("ct_slice_syntaxes/CTImage.dcm"));
    // The set's README: int16, -2000..2402, before the intercept of -1024.
    expect(extent(plain)).toEqual([-2000 - 1024, 2402 - 1024]);
    for (const syntax of ["", ".1", ".2", ".1.99", ".5", ".4.57", ".4.70", ".4.80", ".4.90"]) {
      const scan = await readDicomVolume(file(syntax));
      expect([largest(scan, plain), scan.shape, scan.affine], syntax).toEqual([0, plain.shape, plain.affine]);
    }
    // Near-lossless JPEG-LS was written with an error bound; JPEG 2000 here keeps to a few units; 8 bits step by 32.1 (slope).
    expect(largest(await readDicomVolume(file(".4.81")), plain)).toBeLessThanOrEqual(2);
    expect(largest(await readDicomVolume(file(".4.91")), plain)).toBeLessThanOrEqual(10);
    expect(largest(await readDicomVolume(file(".4.50")), plain)).toBeLessThanOrEqual(3 * 32.2);
    for (const syntax of [".4.51", ".4.53", ".4.55"]) {
      await expect(readDicomVolume(file(syntax))).rejects.toThrow(
        /voxels in the transfer syntax JPEG .*save it again without compression/,
      );
    }
    await expect(readDicomVolume(at("ct_slice_syntaxes/no-pixel-data.dcm"))).rejects.toThrow("no DICOM image found");
  });

  test("Philips: the affine by hand from the headers of the first and last slice", async () => {
    // pydicom: ImagePositionPatient (-115.5, -1.85, 696.21) and (-115.5, -1.85, 831.21) of slices 1 and 28, PixelSpacing 0.451171875,
    // axial axes. So i steps -0.451171875 in x, j in y, k (831.21 - 696.21) / 27 = 5 mm up.
    const { series } = await listSeries(at("ct_series_philips"));
    expect(series.map(({ description, stack }) => [description, typeof stack])).toEqual([["STD BRAIN 5MM", "object"]]);
    const scan = await readDicomVolume(at("ct_series_philips"));
    expect(scan.shape).toEqual([28, 512, 512]);
    const byHand = [-0.451171875, 0, 0, 115.5, 0, -0.451171875, 0, 1.85, 0, 0, 5, 696.21, 0, 0, 0, 1];
    for (const [i, value] of byHand.entries()) expect(scan.affine[i]).toBeCloseTo(value, 9);
  });

  test("GE with a tilted gantry and uneven steps is resampled, and said", async () => {
    const warn = vi.spyOn(console, "warn").mockReturnValue();
    const scan = await readDicomVolume(at("ct_series_ge_tilt"));
    const said = warn.mock.calls.flat().join("\n");
    warn.mockRestore();
    expect(said).toMatch(/series 2 \(CT\) has uneven distances between its slices \(1.081 mm to 6.999 mm\)\./);
    expect(said).toMatch(
      /tilted gantry \(each slice is shifted by 1.\d+ mm in its plane, 18.5 degrees, gantry tilt 18.5/,
    );
    expect(said).toMatch(/resampled linearly to a straight grid with slices every 4.002 mm; results lie on that grid/);
    // By hand: 151.94 mm along z, 144.09 mm along the normal (0, 0.3173, 0.9483): 37 slices; 48.2 mm of drift: 99 rows.
    expect(scan.shape).toEqual([37, 512 + 99, 512]);
    // The top slice's middle pixel keeps its place: position + 256 pixels along row and column, found again on the new grid.
    const [r, c, dx] = [[1, 0, 0], [0, 0.9483237, -0.3173047], 0.4882812];
    const corner = [-125, -123.5404569, 5.8360586];
    const lps = [0, 1, 2].map((a) => corner[a] + 256 * dx * (r[a] + c[a]));
    const ras = [-lps[0], -lps[1], lps[2]];
    const from = [3, 7, 11].map((at, a) => ras[a] - scan.affine[at]);
    const index = [0, 1, 2].map((axis) => {
      const column = [0, 4, 8].map((row) => scan.affine[row + axis]);
      const length = Math.hypot(...column);
      return column.reduce((sum, value, a) => sum + value * from[a], 0) / length ** 2;
    });
    expect(index[0]).toBeCloseTo(256, 3);
    expect(index[1]).toBeCloseTo(256 + 99, 3);
    expect(index[2]).toBeCloseTo(0, 3);
  });

  test("other programs put the same scans in the same place", async () => {
    // dcmqi's NRRD files come from ITK's reading of these series; TotalSegmentator's labels from dcm2niix's.
    const pairs = [
      ["dcmqi_segmentations/ct-3slice", "dcmqi_segmentations/liver_seg.nrrd"],
      ["dcmqi_segmentations/24x38x3/image", "dcmqi_segmentations/24x38x3/nrrd/label.nrrd"],
      ["ct_volume_organs/dicom", "ct_volume_organs/dicom_seg.nii.gz"],
    ];
    for (const [dicom, other] of pairs) {
      const [a, b] = [reorient(await readDicomVolume(at(dicom))), reorient(await readVolume(at(other)))];
      expect(a.shape, dicom).toEqual(b.shape);
      // Single precision of headers a few hundred mm from the origin.
      for (let i = 0; i < 16; i++) expect(Math.abs(a.affine[i] - b.affine[i]), dicom).toBeLessThan(1e-3);
    }
  });

  test("an enhanced file holds the same volume as its classic slices", async () => {
    const classic = await readDicomVolume(at("dcmqi_segmentations/24x38x3/image"));
    const enhanced = await readDicomVolume(at("dcmqi_segmentations/24x38x3/multiframe"));
    expect([enhanced.shape, enhanced.affine]).toEqual([classic.shape, classic.affine]);
    expect(largest(enhanced, classic)).toBe(0);
  });
});
