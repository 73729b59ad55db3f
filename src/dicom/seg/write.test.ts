import { expect, test } from "vitest";
import type { Vec3 } from "../../volume/volume.ts";
import { type Elements, sliceFile } from "../dicom.fixture.ts";
import { imageOf } from "../image.ts";
import { parseDicom } from "../parse.ts";
import { groupSeries } from "../series.ts";
import { decimal } from "../write.ts";
import { cieLab, known, parseTerms, termsOf } from "./codes.ts";
import { openSegmentation } from "./read.ts";
import { type SegmentationSource, sourceFault, writeSegmentation } from "./write.ts";

async function sourceOf(change: Elements = {}, ks = [0, 1, 2]): Promise<SegmentationSource> {
  const headers = await Promise.all(ks.map((k) => parseDicom(sliceFile(k, change), `${k}`)));
  return { series: groupSeries(headers.map((header, k) => imageOf(header, `${k}`)!))[0], header: headers[0] };
}

const labels = [
  { value: 2, name: "Liver", ...termsOf("Liver") },
  { value: 5, name: "Ödem", ...termsOf("Ödem", { Ödem: { colour: [255, 0, 0] } }) },
];
let counter = 0;
const options = { algorithm: "net", version: "1.0", now: new Date(0), newUid: () => `2.25.${++counter}` };
const mapOf = (values: Record<number, number>) => {
  const data = new Uint8Array(36);
  for (const [at, value] of Object.entries(values)) data[Number(at)] = value;
  return { data, shape: [3, 3, 4] as Vec3, affine: new Float64Array(16) };
};
async function written(source: SegmentationSource, values: Record<number, number>) {
  return parseDicom(writeSegmentation(mapOf(values), labels, source, options), "seg");
}

test("frames: every slice of the first segment, the slices of the others; bits from the lowest up, without breaks", async () => {
  // Slices of 12 voxels: the 2s are voxel 0 of slice 0 and voxel 1 of slice 2, the 5s voxel 11 of slices 1 and 2.
  const data = await written(await sourceOf(), { 0: 2, 25: 2, 23: 5, 35: 5 });
  const { dataOffset, length } = data.elements.x7fe00010;
  // 5 frames of 12 bits: bits 0, 24 + 1, 36 + 11, 48 + 11; 60 bits are 8 bytes.
  expect([...data.byteArray.subarray(dataOffset, dataOffset + length)]).toEqual([1, 0, 0, 2, 0, 128, 0, 8]);
  const seg = openSegmentation(data, imageOf(data, "seg")!);
  expect(seg.frames).toEqual([0, 1, 2].map((k) => ({ segment: 1, k })).concat([1, 2].map((k) => ({ segment: 2, k }))));
  expect(seg.segments).toEqual([
    { number: 1, name: "Liver" },
    { number: 2, name: "Ödem" },
  ]);
  expect([seg.shape, [...seg.affine]]).toEqual([
    [3, 3, 4],
    [-0.5, 0, 0, 10, 0, -0.75, 0, -20, 0, 0, 2, 30, 0, 0, 0, 1],
  ]);
  expect(Array.from(await seg.voxels(4))).toEqual([0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1]);
});

test("the source's study, frame of reference and patient, byte for byte; its character set decides about names", async () => {
  const latin = {
    "00080005 CS": "ISO_IR 100",
    "00100010 PN": Uint8Array.of(0x4d, 0xfc, 0x6c, 0x6c),
    "00080016 UI": "1.2.840.10008.5.1.4.1.1.2",
  };
  const data = await written(await sourceOf({ ...latin, "00200052 UI": "1.9.9" }), { 0: 2 });
  expect([
    data.string("x0020000d"),
    data.string("x00200052"),
    data.string("x00100010"),
    data.string("x00080005"),
  ]).toEqual(["1.2.3", "1.9.9", "M\xfcll", "ISO_IR 100"]);
  const segment = data.elements.x00620002.items![1].dataSet!;
  expect(segment.string("x00620005")).toBe("Odem");
  const series = data.elements.x00081115.items![0].dataSet!;
  expect([series.string("x0020000e"), series.elements.x0008114a.items!.length]).toEqual(["1.2.3.4", 3]);
  // Without identifiers there is nothing to refer to, and places in space remain.
  const bare = await written(await sourceOf({ "00080018 UI": "" }, [0]).then(one), { 0: 2 });
  expect(bare.elements.x00081115).toBeUndefined();
});
/** A source of one slice is as good as one of three for a map of three: its shape is told to be so. */
const one = async (source: SegmentationSource): Promise<SegmentationSource> => {
  const { series } = await sourceOf();
  for (const image of series.images) image.instance = "";
  return { ...source, series };
};

test("what cannot carry a segmentation, and what is no label, in words", async () => {
  const tilted = await sourceOf();
  const slices = await Promise.all(
    [0, 1, 2].map(
      async (k) => imageOf(await parseDicom(sliceFile(k, { "00200032 DS": `0\\${k}\\${2 * k}` }), "s"), "s")!,
    ),
  );
  tilted.series = groupSeries(slices)[0];
  expect(sourceFault(tilted.series)).toMatch(
    /series 7 .* is resampled to be read \(was taken with a tilted gantry .*do not lie on its slices/,
  );
  expect(() => writeSegmentation(mapOf({}), labels, tilted, options)).toThrow(
    "choose another format, such as --format nii.gz.",
  );
  const source = await sourceOf();
  expect(() => writeSegmentation(mapOf({ 3: 9 }), labels, source, options)).toThrow(
    "Label value 9 has no name; expected 0, 2, 5.",
  );
  expect(() => writeSegmentation({ ...mapOf({}), shape: [2, 3, 6] }, labels, source, options)).toThrow(
    "3 x 3 x 4 (D, H, W); got 2 x 3 x 6",
  );
});

test("terms: the user's, those of common names, the generic ones; tables are checked in words", () => {
  expect(termsOf(" liver ").type).toEqual({ value: "10200004", scheme: "SCT", meaning: "Liver" });
  expect([termsOf("anterior").category.meaning, termsOf("anterior").type.meaning]).toEqual([
    "Anatomical Structure",
    "Tissue",
  ]);
  expect(termsOf("constructor").type.meaning).toBe("Tissue");
  const type = { value: "1", scheme: "99LAB", meaning: "Ours" };
  expect(termsOf("a", parseTerms({ a: { type } }, ["a"], "t.json")).type).toEqual(type);
  expect(() => parseTerms({ b: {} }, ["a"], "t.json")).toThrow('t.json: "b" is no label of the model; expected a.');
  expect(() => parseTerms({ a: { type: { value: "1" } } }, ["a"], "t.json")).toThrow(
    /^t\.json: a\.type\.scheme: .*expected label names/,
  );
});

/** Verhoeff's check over the digits of the dihedral group of order 10: 0 for every SNOMED CT identifier (its File Formats Guide). */
function verhoeff(digits: string): number {
  const turn = [1, 5, 7, 6, 2, 8, 3, 0, 9, 4];
  const times = (a: number, b: number): number =>
    a < 5 ? (b < 5 ? (a + b) % 5 : 5 + ((a + b) % 5)) : b < 5 ? 5 + ((a - b + 5) % 5) : (a - b + 5) % 5;
  return [...digits].reverse().reduce((sum, digit, place) => {
    let value = Number(digit);
    for (let i = 0; i < place % 8; i++) value = turn[value];
    return times(sum, value);
  }, 0);
}

test("every code of ours is a sound SNOMED CT concept identifier, and no two meanings share one", () => {
  expect([verhoeff("10200004"), verhoeff("10200005")]).toEqual([0, expect.not.closeTo(0)]);
  const meanings = new Map<string, string>();
  for (const { category, type } of Object.values(known)) {
    for (const { value, meaning } of [category, type]) {
      expect([meaning, verhoeff(value), value.slice(-3, -1)]).toEqual([meaning, 0, "00"]); // 00: a concept
      expect(meanings.get(value) ?? meaning).toBe(meaning);
      meanings.set(value, meaning);
    }
  }
  expect(meanings.size).toBe(30);
  expect(termsOf("Tumour").type.value).toBe("108369006");
});

test("colours: sRGB red is L* 54.29, a* 80.81, b* 69.89 under D50 (CSS Color 4), each over 16 bits", () => {
  const [l, a, b] = cieLab(0, [255, 0, 0]);
  expect((l / 65535) * 100).toBeCloseTo(54.29, 1);
  expect((a / 65535) * 255 - 128).toBeCloseTo(80.8, 0);
  expect((b / 65535) * 255 - 128).toBeCloseTo(69.89, 0);
  expect(cieLab(0, [255, 255, 255])).toEqual([65535, 32896, 32896]); // (0 + 128) / 255 of 65535
  expect(new Set(Array.from({ length: 50 }, (_, i) => cieLab(i).join())).size).toBe(50);
});

test("decimal strings: at most 16 characters, all digits where they fit", () => {
  for (const [value, text] of [
    [-128.690002, "-128.690002"],
    [1 / 3, "0.33333333333333"],
    [-1e-9 / 3, "-3.333333333e-10"],
    [0, "0"],
  ] as const) {
    expect(decimal(value)).toBe(text);
  }
});
