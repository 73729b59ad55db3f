import { zipSync } from "fflate";
import { describe, expect, it } from "vitest";
import { type FoundScan, findScans, maxBytes } from "../app/shared/read-scans.ts";
import type { NamedFile } from "../app/shared/scan.ts";
import { sliceElements, sliceFile } from "../src/dicom/dicom.fixture.ts";
import { writeNifti } from "../src/volume/nifti.ts";
import { writeNrrd } from "../src/volume/nrrd.ts";
import { encodePng } from "../src/volume/png.ts";
import type { Volume } from "../src/volume/volume.ts";

const affine = Float64Array.of(2, 0, 0, 1, 0, 3, 0, 2, 0, 0, 4, 3, 0, 0, 0, 1);
const scan = (first: number): Volume => ({
  data: Int16Array.from({ length: 60 }, (_, i) => first + i),
  shape: [3, 4, 5],
  affine,
});
const file = (path: string, bytes: Uint8Array | string): NamedFile => ({
  path,
  file: new Blob([bytes as Uint8Array<ArrayBuffer>]),
});
const titles = (found: FoundScan[]): string[] => found.map(({ title }) => title);

describe("scans among dropped files", () => {
  it("are told apart, and the channels of one belong together", async () => {
    const found = await findScans([
      file("set/b_0001.nii", await writeNifti(scan(500))),
      file("set/b_0000.nii.gz", await writeNifti(scan(0), { gzip: true })),
      file("set/a.nrrd", await writeNrrd(scan(9))),
      file("set/notes.txt", "hello"),
      file("set/.hidden.nii", "not looked at"),
    ]);
    expect(titles(found)).toEqual(["b", "a"]);
    const [b, a] = await Promise.all(found.map((one) => one.read()));
    expect(b.volumes.map(({ data }) => data[0])).toEqual([0, 500]);
    expect(a.volumes[0]).toMatchObject({ shape: [3, 4, 5], affine });
    expect([b.format, a.format]).toEqual(["NIfTI", "NRRD"]);
  });

  it("are no channels of one where their numbers do not count up from 0, or their shapes differ", async () => {
    const names = (first: number, count: number, ending: string): string[] =>
      Array.from({ length: count }, (_, i) => `set/s_${String(first + i).padStart(4, "0")}${ending}`);
    const found = async (paths: string[]): Promise<string[]> =>
      (await findScans(paths.map((path) => file(path, "")))).map(({ title, detail }) => `${title}: ${detail}`);
    expect(await found(names(0, 2, ".nii"))).toEqual(["s: NIfTI, 2 channels, 0 bytes"]);
    expect(await found(names(1, 2, ".nii"))).toEqual(["s_0001: NIfTI, 0 bytes", "s_0002: NIfTI, 0 bytes"]);
    expect(await found(names(1, 20, ".png"))).toEqual(["set: PNG, 20 slices, 0 bytes"]);
    expect(await found(names(0, 17, ".png"))).toEqual(["set: PNG, 17 slices, 0 bytes"]);
    const small = { ...scan(0), data: new Int16Array(40), shape: [2, 4, 5] as Volume["shape"] };
    const [unlike] = await findScans([
      file("b_0000.nii", await writeNifti(scan(0))),
      file("b_0001.nii", await writeNifti(small)),
    ]);
    await expect(unlike.read()).rejects.toThrow("b_0001.nii has 2 x 4 x 5 voxels");
  });

  it("of PNG slices and of zip archives are read like folders", async () => {
    const slice = (value: number) =>
      encodePng({ width: 2, height: 1, channels: 1, data: Uint8Array.of(value, value + 1) });
    const zip = zipSync({
      "case/s10.png": await slice(30),
      "case/s2.png": await slice(20),
      "case/spacing.json": new TextEncoder().encode('{"spacing": [5, 1, 1]}'),
    });
    const [found] = await findScans([file("case.zip", zip)]);
    const { volumes, notes } = await found.read();
    expect([...volumes[0].data]).toEqual([20, 21, 30, 31]);
    expect(volumes[0].affine[10]).toBe(5);
    expect(notes).toEqual([]);
    const slices = [file("s1.png", await slice(1)), file("s2.png", await slice(2))];
    const [stack] = await findScans([...slices, file("spacing.json", "{")]);
    await expect(stack.read()).rejects.toThrow('spacing.json: expected {"spacing"');
    const [single] = await findScans(slices.slice(0, 1));
    expect((await single.read()).notes).toEqual(["A picture does not say how large its pixels are; 1 mm is taken."]);
  });

  it("of DICOM are one a series, with what a segmentation refers to", async () => {
    const other = { "0020000E UI": "1.2.3.99", "00200011 IS": "9" };
    const slices = [0, 1, 2].map((k) => file(`dicom/${k}`, sliceFile(k)));
    const others = [0, 1].map((k) => file(`dicom/o${k}`, sliceFile(k, { ...other, "00080018 UI": `1.2.9.${k}` })));
    const found = await findScans([...others, ...slices]);
    expect(found).toHaveLength(2);
    const { volumes, dicom, format } = await found.find(({ detail }) => detail.includes("3 files"))!.read();
    expect(volumes[0].shape[0]).toBe(3);
    expect(format).toBe("DICOM");
    expect(dicom?.series.uid).toBe(sliceElements(0)["0020000E UI"]);
    const damaged = file("dicom/3", sliceFile(3).slice(0, 300));
    await expect((await findScans([...slices, damaged]))[0].read()).rejects.toThrow(
      "1 of the DICOM files cannot be read",
    );
  });

  it("that are none, cut short or too large are refused in a sentence", async () => {
    await expect(findScans([file("letter.txt", "hello")])).rejects.toThrow(/^letter\.txt is no scan; expected NIfTI/);
    const cut = (await writeNifti(scan(0))).slice(0, 400);
    await expect((await findScans([file("cut.nii", cut)]))[0].read()).rejects.toThrow("cut.nii: cut short");
    // Of the large file only the size is looked at.
    const large = { path: "large.nii", file: { size: 4e9 } as Blob };
    await expect(findScans([large])).rejects.toThrow("large.nii has 4.0 GB, and a page reads files of up to 2.0 GB");
    expect(maxBytes).toBe(2e9);
    const header = file(
      "x.mhd",
      "ObjectType = Image\nNDims = 3\nDimSize = 1 1 1\nElementType = MET_UCHAR\nElementDataFile = x.raw\n",
    );
    await expect((await findScans([header]))[0].read()).rejects.toThrow(
      "its voxels lie in x.raw; drop both files together",
    );
    expect((await (await findScans([header, file("x.raw", Uint8Array.of(7))]))[0].read()).volumes[0].data[0]).toBe(7);
  });
});
