import { spawnSync } from "node:child_process";
import { existsSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, describe, expect, test, vi } from "vitest";
import { datasetBytes, type Elements, EXPLICIT, part10, sliceFile } from "../dicom/dicom.fixture.ts";
import { readDicomVolume } from "../dicom/files.ts";
import { imageOf } from "../dicom/image.ts";
import { parseDicom } from "../dicom/parse.ts";
import { segmentationWriter } from "../dicom/seg/files.ts";
import { openSegmentation } from "../dicom/seg/read.ts";
import { UserError } from "../util/errors.ts";
import { random } from "../util/random.ts";
import { readVolume } from "../volume/files.ts";
import { reorient } from "../volume/orientation.ts";
import type { Vec3, Volume } from "../volume/volume.ts";
import { scanFiles } from "./layout.ts";
import { countLabels } from "./load.ts";
import { readDataset } from "./read.ts";
import { type LabelMapOptions, readLabelMap } from "./scan.ts";
import { labelMapOf } from "./segmentation.ts";
import { verifyDataset } from "./verify.ts";

const root = mkdtempSync(join(tmpdir(), "lunet-seg-"));
afterAll(() => rmSync(root, { recursive: true }));

/** A segmentation with the planes of the fixture's slices k; frames of 4 x 3 voxels. */
function segFile(
  frames: [segment: number, k: number][],
  pixels: Elements,
  names: string[],
  change: Elements = {},
): Uint8Array {
  const header = {
    "00080016 UI": "1.2.840.10008.5.1.4.1.1.66.4",
    "00080018 UI": "1.7",
    "00080060 CS": "SEG",
    "0020000E UI": "1.2.7",
    "00280002 US": [1],
    "00280004 CS": "MONOCHROME2",
    "00280008 IS": `${frames.length}`,
    "00280010 US": [3],
    "00280011 US": [4],
    "00280100 US": [8],
    "00280101 US": [8],
    "00280102 US": [7],
    "00280103 US": [0],
    "00620002 SQ": names.map((name, s) => ({ "00620004 US": [s + 1], "00620005 LO": name })),
    "52009229 SQ": [
      {
        "00209116 SQ": [{ "00200037 DS": "1\\0\\0\\0\\1\\0" }],
        "00289110 SQ": [{ "00180088 DS": "2", "00280030 DS": "0.75\\0.5" }],
      },
    ],
    "52009230 SQ": frames.map(([segment, k]) => ({
      "00209113 SQ": [{ "00200032 DS": `-10\\20\\${30 + 2 * k}` }],
      "0062000A SQ": [{ "0062000B US": [segment] }],
    })),
  };
  return part10(EXPLICIT, datasetBytes({ ...header, ...pixels, ...change }));
}
/** 1 bit a voxel; `at` holds the voxels, counted through all frames, that are inside. */
function bits(frames: number, at: number[]): Elements {
  const bytes = new Uint8Array(Math.ceil((frames * 12) / 8));
  for (const i of at) bytes[i >> 3] |= 1 << (i & 7);
  return { "00620001 CS": "BINARY", "00280100 US": [1], "00280101 US": [1], "00280102 US": [0], "7FE00010 OB": bytes };
}
let count = 0;
async function read(bytes: Uint8Array, options?: LabelMapOptions): Promise<Volume> {
  const path = join(root, `${count++}.dcm`);
  writeFileSync(path, bytes);
  return readLabelMap(path, options);
}
const inside = ({ data }: Volume): [number, number][] =>
  [...data].flatMap((value, i): [number, number][] => (value > 0 ? [[i, value]] : []));
const background = { value: 0, name: "background" };

test("BINARY: numbers of segments, or values by name; planes that have no frame are background", async () => {
  const file = segFile(
    [
      [1, 0],
      [2, 0],
      [1, 2],
    ],
    bits(3, [0, 12 + 5, 24 + 11]),
    ["Liver", "Cyst"],
  );
  const map = await read(file);
  expect(map.shape).toEqual([3, 3, 4]);
  expect([...map.affine]).toEqual([-0.5, 0, 0, 10, 0, -0.75, 0, -20, 0, 0, 2, 30, 0, 0, 0, 1]);
  expect(inside(map)).toEqual([
    [0, 1],
    [5, 2],
    [35, 1],
  ]);
  const labels = [background, { value: 7, name: "cyst" }, { value: 9, name: "liver" }];
  expect(inside(await read(file, { targets: { labels } }))).toEqual([
    [0, 9],
    [5, 7],
    [35, 9],
  ]);
  await expect(read(file, { targets: { labels: labels.slice(0, 2) } })).rejects.toThrow(
    'segments "Liver" are none of the labels "cyst"; rename them or take them out.',
  );
});

test("FRACTIONAL above half of the maximum; LABELMAP with padding as background", async () => {
  const warn = vi.spyOn(console, "warn").mockReturnValue();
  const fractions = {
    "00620001 CS": "FRACTIONAL",
    "0062000E US": [100],
    "7FE00010 OB": Uint8Array.from({ length: 12 }, (_, i) => 48 + i),
  };
  // 48, 49, 50 are out, 51 to 59 are in.
  expect(inside(await read(segFile([[1, 0]], fractions, ["a"]))).map(([i]) => i)).toEqual([
    3, 4, 5, 6, 7, 8, 9, 10, 11,
  ]);
  expect(warn.mock.calls.flat().join()).toContain("voxels above half of the maximum are taken as inside");
  warn.mockRestore();
  const map = {
    "00620001 CS": "LABELMAP",
    "00280120 US": [9],
    "7FE00010 OB": Uint8Array.of(0, 1, 2, 9, 9, 1, 0, 0, 0, 0, 0, 0),
  };
  expect(inside(await read(segFile([[1, 0]], map, ["a", "b"])))).toEqual([
    [1, 1],
    [2, 2],
    [5, 1],
  ]);
  await expect(read(segFile([[1, 0]], map, ["a"]))).rejects.toThrow("voxels of segment 2, which it does not describe");
});

test("overlap is refused in words, but for regions whose combinations are labels", async () => {
  const file = segFile(
    [
      [1, 0],
      [2, 0],
    ],
    bits(2, [0, 1, 2, 12 + 2]),
    ["whole", "core"],
  );
  await expect(read(file)).rejects.toThrow(
    /segments overlap in 1 voxel \("whole", "core"\), and a label map has one label a voxel/,
  );
  const labels = [background, { value: 1, name: "edema" }, { value: 2, name: "necrosis" }];
  const whole = { name: "whole", values: [1, 2], paint: 1 };
  const core = { name: "core", values: [2], paint: 2 };
  expect(inside(await read(file, { targets: { labels, regions: [whole, core] } }))).toEqual([
    [0, 1],
    [1, 1],
    [2, 2],
  ]);
  const alone = segFile(
    [
      [1, 0],
      [2, 0],
    ],
    bits(2, [0, 12 + 2]),
    ["whole", "core"],
  );
  await expect(read(alone, { targets: { labels, regions: [whole, core] } })).rejects.toThrow(
    'a voxel lies in "core" and no other region, and no label of the data set does',
  );
});

test("on the grid of a scan: turned, larger; refused where voxels would fall outside, left alone on another lattice", async () => {
  const file = segFile([[1, 1]], bits(1, [0, 6]), ["a"]);
  // The fixture's slices 0 to 2 turned to RAS: both in-plane axes run the other way.
  const like = reorient({
    data: new Uint8Array(36),
    shape: [3, 3, 4] as Vec3,
    affine: (await read(segFile([[1, 0]], bits(1, []), ["a"]))).affine,
  });
  const map = await read(file, { like });
  expect([map.shape, map.affine]).toEqual([like.shape, like.affine]);
  expect(inside(map).map(([i]) => i)).toEqual([12 + 5, 12 + 11]);
  const below = { ...like, shape: [1, 3, 4] as Vec3 };
  await expect(read(file, { like: below })).rejects.toThrow("2 labelled voxels lie outside the scan");
  const shifted = { ...like, affine: like.affine.map((value, i) => (i === 3 ? value + 0.2 : value)) };
  expect((await read(file, { like: shifted })).shape).toEqual([1, 3, 4]);
});

test("what is no segmentation of a scan is refused in words", async () => {
  const cases: [Elements, string][] = [
    [{ "00620001 CS": "SURFACE" }, 'segmentation of type "SURFACE"; expected BINARY, FRACTIONAL or LABELMAP.'],
    [{ "00480006 UL": [50, 0] }, "whole-slide image"],
    [{ "52009230 SQ": [{ "0062000A SQ": [{ "0062000B US": [1] }] }] }, "does not say where its frames lie"],
    [{ "7FE00010 OB": Uint8Array.of(1) }, "cut short, 2 frames take 3 bytes"],
    [{ "52009229 SQ": [] }, "does not say where its frames lie"],
  ];
  for (const [change, words] of cases) {
    await expect(
      read(
        segFile(
          [
            [1, 0],
            [1, 1],
          ],
          bits(2, [0]),
          ["a"],
          change,
        ),
      ),
      words,
    ).rejects.toThrow(words);
  }
  const uneven = segFile(
    [
      [1, 0],
      [1, 1],
      [1, 1.7],
    ],
    bits(3, []),
    ["a"],
  );
  await expect(read(uneven)).rejects.toThrow("planes lie unevenly");
});

async function mutated(bytes: Uint8Array): Promise<void> {
  const parsed = await parseDicom(bytes, "seg");
  const image = imageOf(parsed, "seg");
  if (image) await labelMapOf(openSegmentation(parsed, image));
}

test("2,000 mutated segmentations are read or refused in a sentence", async () => {
  const seed = segFile(
    [
      [1, 0],
      [2, 1],
    ],
    bits(2, [0, 13]),
    ["a", "b"],
  );
  const r = random(6);
  let refused = 0;
  for (let i = 0; i < 2000; i++) {
    const bytes = seed.slice(0, r.int(5) ? seed.length : 140 + r.int(seed.length - 140));
    for (let n = 1 + r.int(3); n > 0; n--)
      bytes[140 + r.int(bytes.length - 140)] = r.int(2) ? r.int(256) : 48 + r.int(10);
    await mutated(bytes).catch((error) => {
      if (!(error instanceof UserError)) throw new Error(`${i}: ${error}`, { cause: error });
      refused++;
    });
  }
  expect(refused).toBeGreaterThan(200);
}, 60_000);

test("a folder of label maps may hold segmentations; slices of scans in it are no cases", async () => {
  const folder = join(root, "labels");
  mkdirSync(folder);
  writeFileSync(join(folder, "one.dcm"), segFile([[1, 0]], bits(1, []), ["a"]));
  writeFileSync(join(folder, "slice.dcm"), sliceFile(0));
  expect([...(await scanFiles(folder)).keys()]).toEqual(["one"]);
});

test("a data set of DICOM series with segmentations that cover a part of them: sound, counted on the scan's grid", async () => {
  const set = join(root, "set");
  for (const id of ["one", "two"]) {
    mkdirSync(join(set, "imagesTr", id), { recursive: true });
    // Other voxels in each case: the same ones twice are a finding.
    const change: Elements = id === "two" ? { "00281052 DS": "5" } : {};
    for (const k of [0, 1, 2]) writeFileSync(join(set, "imagesTr", id, `${k}`), sliceFile(k, change));
    mkdirSync(join(set, "labelsTr"), { recursive: true });
    writeFileSync(join(set, "labelsTr", `${id}.dcm`), segFile([[1, 1]], bits(1, [0, 6]), ["Organ"]));
  }
  const labels = { background: 0, other: 1, organ: 3 };
  writeFileSync(join(set, "dataset.json"), JSON.stringify({ channel_names: { 0: "CT" }, labels }));
  const dataset = await readDataset(set);
  const { problems, summary } = await verifyDataset(dataset);
  expect(problems).toEqual([]);
  expect(summary.labels.map(({ cases }) => cases)).toEqual([2, 0, 2]);
  expect(await countLabels(dataset, ["one", "two"])).toEqual([2 * 34, 0, 2 * 2]);
});

const data = new URL("../../../shared/data/formats/", import.meta.url);
if (!existsSync(data)) console.log("Skipped the tests on real DICOM segmentations: ../shared/data is not here.");
const at = (path: string): string => new URL(path, data).pathname;
const checker = spawnSync("dciodvfy", ["-h"]).error === undefined;
if (!checker) console.log("Skipped the check of written segmentations: dciodvfy (Debian's dicom3tools) is not here.");

/** Lines in which dciodvfy finds fault. */
const faults = (path: string): string[] =>
  spawnSync("dciodvfy", [path], { encoding: "utf8" })
    .stderr.split("\n")
    .filter((line) => line.startsWith("Error"));

test.skipIf(!checker)(
  "dciodvfy finds no error in a segmentation of the fixture's series, or of one without identifiers",
  async () => {
    for (const [folder, change] of [
      ["plain", { "00080016 UI": "1.2.840.10008.5.1.4.1.1.2", "00200052 UI": "1.5" }],
      ["bare", { "00080018 UI": "" }],
    ] as const) {
      mkdirSync(join(root, folder));
      for (const k of [0, 1, 2]) writeFileSync(join(root, folder, `${k}`), sliceFile(k, change));
      const scan = await readDicomVolume(join(root, folder));
      const map = { ...scan, data: Uint8Array.from(scan.data, (_, i) => i % 3) };
      const out = join(root, `${folder}-seg.dcm`);
      const labels = [background, { value: 1, name: "Lebergewebe, krank" }, { value: 2, name: "Milz" }];
      const warn = vi.spyOn(console, "warn").mockReturnValue();
      await (await segmentationWriter(join(root, folder))).write(out, map, labels, { algorithm: "lunet test" });
      warn.mockRestore();
      expect(faults(out)).toEqual([]);
      expect(await readLabelMap(out)).toEqual(map);
    }
  },
);

describe.skipIf(!existsSync(data))("real segmentations", { timeout: 240_000 }, () => {
  test("series, segmentation and back: every voxel, the affine to the last bit, no error by dciodvfy", async () => {
    vi.spyOn(console, "warn").mockReturnValue();
    for (const folder of [
      "dcmqi_segmentations/ct-3slice",
      "ct_volume_organs/dicom",
      "dcmqi_segmentations/24x38x3/multiframe",
    ]) {
      const scan = await readDicomVolume(at(folder));
      const map = { ...scan, data: Uint8Array.from(scan.data, (value) => (value > 150 ? 4 : value > 20 ? 2 : 0)) };
      const labels = [background, { value: 2, name: "soft tissue" }, { value: 4, name: "bone" }];
      const out = join(root, "real.dcm");
      await (await segmentationWriter(at(folder))).write(out, map, labels, { algorithm: "lunet test" });
      const back = await readLabelMap(out, { targets: { labels } });
      expect([back.shape, back.affine], folder).toEqual([map.shape, map.affine]);
      expect(Buffer.compare(back.data as Uint8Array, map.data), folder).toBe(0);
      if (checker) expect(faults(out), folder).toEqual([]);
    }
    vi.restoreAllMocks();
  });

  test("what dcmqi and highdicom wrote reads as dcmqi's NRRD twins and as one another", async () => {
    vi.spyOn(console, "warn").mockReturnValue();
    for (const [seg, twin] of [
      ["liver.dcm", "liver_seg.nrrd"],
      ["sparse-labelmap-noppv.dcm", "sparse_labelmap_noppv_seg.nrrd"],
      ["sparse-labelmap-ppv5.dcm", "sparse_labelmap_noppv_seg.nrrd"], // its own twin holds the padding, 5, in the slice without a frame
    ]) {
      const [a, b] = [
        await readLabelMap(at(`dcmqi_segmentations/${seg}`)),
        await readVolume(at(`dcmqi_segmentations/${twin}`)),
      ];
      expect(a.shape, seg).toEqual(b.shape);
      expect(Buffer.compare(Uint8Array.from(a.data), Uint8Array.from(b.data)), seg).toBe(0);
      // Decimal strings of 8 digits.
      for (let i = 0; i < 16; i++) expect(Math.abs(a.affine[i] - b.affine[i]), seg).toBeLessThan(1e-6);
    }
    const scan = await readDicomVolume(at("dcmqi_segmentations/ct-3slice"));
    const liver = await readLabelMap(at("dcmqi_segmentations/liver.dcm"), { like: scan });
    expect([liver.shape, liver.affine]).toEqual([scan.shape, scan.affine]);
    const highdicom = (name: string): Promise<Volume> =>
      readLabelMap(at(`highdicom/data/test_files/seg_image_${name}.dcm`));
    const binary = await highdicom("ct_binary");
    expect(binary.shape).toEqual([3, 16, 16]);
    for (const name of ["ct_binary_fractional", "ct_true_fractional"]) expect(await highdicom(name)).toEqual(binary);
    await expect(highdicom("ct_binary_overlap")).rejects.toThrow("segments overlap in 16 voxels");
    await expect(highdicom("sm_control_labelmap")).rejects.toThrow("whole-slide image");
    await expect(readLabelMap(at("dcmqi_segmentations/partial_overlaps.dcm"))).rejects.toThrow("segments overlap");
    vi.restoreAllMocks();
  });

  test("a tilted series, which is resampled to be read, cannot carry a segmentation", async () => {
    await expect(segmentationWriter(at("ct_series_ge_tilt"))).rejects.toThrow(
      /is resampled to be read .*do not lie on its slices/,
    );
  });
});
