import { mkdir, mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { writeVolume } from "../volume/files.ts";
import { readDataset } from "./read.ts";
import { sharedData } from "./testing.ts";

let root = "";
beforeAll(async () => {
  root = await mkdtemp(join(tmpdir(), "lunet-read-"));
});
afterAll(() => rm(root, { recursive: true }));

/** Writes a set: files by relative path; objects as JSON, strings as text, null as an empty scan file. */
async function folder(name: string, files: Record<string, unknown>): Promise<string> {
  for (const [path, content] of Object.entries(files)) {
    const full = join(root, name, path);
    await mkdir(dirname(full), { recursive: true });
    await writeFile(full, content === null ? "" : typeof content === "string" ? content : JSON.stringify(content));
  }
  return join(root, name);
}

const nnunet = {
  channel_names: { 0: "T1", 1: "CT" },
  labels: { background: 0, organ: 1, tumour: 3 },
  file_ending: ".nii.gz",
  numTraining: 1,
};
/** nnU-Net's example of regions, changed. */
const brats = (change: object) => ({
  ...nnunet,
  labels: { background: 0, w: [1, 2, 3], c: [2, 3], e: 3 },
  regions_class_order: [1, 2, 3],
  ...change,
});
const msd = { name: "Demo", modality: { 0: "MRI" }, labels: { 0: "background", 2: "organ" } };

describe("readDataset", () => {
  test("nnU-Net raw: no list, channel suffixes, labels by name", async () => {
    const path = await folder("nnunet", {
      "dataset.json": nnunet,
      "imagesTr/b_0001_0000.nii.gz": null,
      "imagesTr/b_0001_0001.nii.gz": null,
      "imagesTr/a_0000.nii.gz": null,
      "imagesTr/a_0001.nii.gz": null,
      "imagesTr/notes.txt": "x",
      "labelsTr/a.nii.gz": null,
      "labelsTr/b_0001.nii.gz": null,
      "imagesTs/c_0000.nii.gz": null,
      "imagesTs/c_0001.nii.gz": null,
      "labelsTs/c.nii.gz": null,
      "splits_final.json": [{ train: ["a"], val: ["b_0001"] }],
    });
    const set = await readDataset(path);
    expect(set.name).toBe("nnunet");
    expect(set.channels).toEqual(["T1", "CT"]);
    expect(set.labels.map(({ value, name }) => `${value} ${name}`)).toEqual(["0 background", "1 organ", "3 tumour"]);
    expect(set.training.map(({ id }) => id)).toEqual(["a", "b_0001"]);
    expect(set.training[1].images).toEqual(
      ["b_0001_0000.nii.gz", "b_0001_0001.nii.gz"].map((f) => join(path, "imagesTr", f)),
    );
    expect(set.training[1].label).toBe(join(path, "labelsTr", "b_0001.nii.gz"));
    expect(set.test).toEqual([
      {
        id: "c",
        images: ["c_0000.nii.gz", "c_0001.nii.gz"].map((f) => join(path, "imagesTs", f)),
        label: join(path, "labelsTs", "c.nii.gz"),
      },
    ]);
    expect(set.splits).toEqual([{ train: ["a"], val: ["b_0001"] }]);
  });

  test("nnU-Net: an empty folder of test images is none", async () => {
    const path = await folder("no-test", {
      "dataset.json": { channel_names: { "0": "T1" }, labels: { background: 0, organ: 1 }, file_ending: ".nii.gz" },
      "imagesTr/a_0000.nii.gz": null,
      "labelsTr/a.nii.gz": null,
    });
    await mkdir(join(path, "imagesTs"));
    expect((await readDataset(path)).test).toEqual([]);
  });

  test("MSD: listed cases, labels by number, names that look like channels, nnU-Net v1's missing suffix", async () => {
    const training = ["scan_0000", "scan_0007"].map((id) => ({
      image: `./imagesTr/${id}.nii.gz`,
      label: `./labelsTr/${id}.nii.gz`,
    }));
    const path = await folder("msd", {
      "dataset.json": { ...msd, training, test: ["./imagesTs/t1.nii.gz"] },
      "imagesTr/scan_0000.nii.gz": null,
      "imagesTr/scan_0007_0000.nii.gz": null,
      "labelsTr/scan_0000.nii.gz": null,
      "labelsTr/scan_0007.nii.gz": null,
      "imagesTs/t1.nii.gz": null,
    });
    const set = await readDataset(path);
    expect(set.name).toBe("Demo");
    expect(set.labels).toEqual([
      { value: 0, name: "background" },
      { value: 2, name: "organ" },
    ]);
    expect(set.training.map(({ id, images }) => [id, images[0]])).toEqual([
      ["scan_0000", join(path, "imagesTr/scan_0000.nii.gz")],
      ["scan_0007", join(path, "imagesTr/scan_0007_0000.nii.gz")],
    ]);
    expect(set.test).toEqual([{ id: "t1", images: [join(path, "imagesTs/t1.nii.gz")] }]);
    expect(set.splits).toBeUndefined();
  });

  test("plain folders: labels and channels are discovered", async () => {
    const path = await folder("plain", { "images/a_0000.png": null, "images/a_0001.png": null, "labels/a.png": null });
    const affine = Float64Array.of(1, 0, 0, 0, 0, 1, 0, 0, 0, 0, 1, 0, 0, 0, 0, 1);
    await writeVolume(join(path, "labels/a.png"), { data: Uint8Array.of(0, 255, 7, 7), shape: [1, 2, 2], affine });
    const set = await readDataset(undefined, {
      images: join(path, "images"),
      labels: join(path, "labels"),
      name: "mine",
    });
    expect(set.labels.map(({ value, name }) => `${value} ${name}`)).toEqual([
      "0 background",
      "7 label 7",
      "255 label 255",
    ]);
    expect(set.channels).toEqual(["channel 0", "channel 1"]);
    expect(set.training).toHaveLength(1);
  });

  test("plain folders for verify: a label map that cannot be read or is none does not stop the reading", async () => {
    const path = await folder("plain-bad", {
      "images/a.nii": null,
      "images/b.png": null,
      "images/c.nii": null,
      "labels/a.nii": null,
    });
    const affine = Float64Array.of(1, 0, 0, 0, 0, 1, 0, 0, 0, 0, 1, 0, 0, 0, 0, 1);
    await writeVolume(join(path, "labels/b.png"), { data: Uint8Array.of(0, 2), shape: [1, 1, 2], affine });
    await writeVolume(join(path, "labels/c.nii"), { data: Float32Array.of(0.5, 3), shape: [1, 1, 2], affine });
    const folders = { images: join(path, "images"), labels: join(path, "labels") };
    const set = await readDataset(undefined, { ...folders, allowIncomplete: true });
    expect(set.labels.map(({ value }) => value)).toEqual([0, 2]);
    await expect(readDataset(undefined, folders)).rejects.toThrow("labels/a.nii: not a NIfTI file, only 0 bytes");
    const empty = await folder("plain-empty", { "images/readme.txt": "", "labels/a.nii": null });
    await expect(
      readDataset(undefined, { images: join(empty, "images"), labels: join(empty, "labels") }),
    ).rejects.toThrow(
      `Expected scans (.nii.gz, .nii, .nrrd, .nhdr, .mha, .mhd, .hdr, .png) in ${empty}/images, but the folder holds none; check the path and the file endings.`,
    );
  });

  test("a missing label or image is an error by name, or kept for verify", async () => {
    const files = {
      "dataset.json": { ...msd },
      "imagesTr/a.nii.gz": null,
      "imagesTr/b.nii.gz": null,
      "labelsTr/a.nii.gz": null,
    };
    const unlabelled = await folder("unlabelled", files);
    await expect(readDataset(unlabelled)).rejects.toThrow(
      /label in .*labelsTr for every image, but 1 of 2 cases has none \(b\)/,
    );
    const kept = await readDataset(unlabelled, { allowIncomplete: true });
    expect(kept.training.map(({ id, label }) => [id, label])).toEqual(
      ["a", "b"].map((id) => [id, join(unlabelled, `labelsTr/${id}.nii.gz`)]),
    );
    const lonely = await folder("lonely", { ...files, "labelsTr/b.nii.gz": null, "labelsTr/c.nii.gz": null });
    await expect(readDataset(lonely)).rejects.toThrow(/1 label has none \(c\)/);
    expect((await readDataset(lonely, { allowIncomplete: true })).training[2]).toMatchObject({ id: "c", images: [] });
    const gone = await folder("gone", {
      "dataset.json": { ...msd, training: [{ image: "imagesTr/x.nii.gz", label: "labelsTr/x.nii.gz" }] },
    });
    await expect(readDataset(gone)).rejects.toThrow(
      /every image file that .* calls for, but 1 are missing \(.*x.nii.gz\)/,
    );
    // Channel 2 must not pass for channel 1.
    const gap = await folder("gap", {
      "dataset.json": nnunet,
      "imagesTr/a_0000.nii.gz": null,
      "imagesTr/a_0002.nii.gz": null,
      "labelsTr/a.nii.gz": null,
    });
    await expect(readDataset(gap)).rejects.toThrow(/1 are missing \(.*a_0001.nii.gz\)/);
  });

  test("regions keep the order of the file; labels are all of their values", async () => {
    const files = { "imagesTr/a_0000.nii.gz": null, "imagesTr/a_0001.nii.gz": null, "labelsTr/a.nii.gz": null };
    const { labels, regions } = await readDataset(await folder("regions", { "dataset.json": brats({}), ...files }));
    expect(regions).toEqual([
      { name: "w", values: [1, 2, 3], paint: 1 },
      { name: "c", values: [2, 3], paint: 2 },
      { name: "e", values: [3], paint: 3 },
    ]);
    expect(labels.map(({ value, name }) => `${value} ${name}`)).toEqual([
      "0 background",
      "1 label 1",
      "2 label 2",
      "3 e",
    ]);
    // Lists of one value are labels as ever.
    const plain = { "dataset.json": { ...nnunet, labels: { background: 0, organ: [255] } }, ...files };
    const set = await readDataset(await folder("lists of one", plain));
    expect(set.labels).toEqual([
      { value: 0, name: "background" },
      { value: 255, name: "organ" },
    ]);
    expect(set.regions).toBeUndefined();
  });

  const bad: [string, unknown, RegExp][] = [
    ["no JSON", "{", /Expected JSON in .*dataset.json/],
    ["a wrong type", { ...msd, training: 5 }, /Expected .*Array.* at key "training", but found 5/],
    ["a wrong type inside", { ...msd, modality: { 0: 1 } }, /Expected string in .* at key "modality.0", but found 1/],
    ["no labels", { modality: msd.modality }, /at key "labels", but found undefined/],
    ["no channels", { labels: msd.labels }, /key "channel_names" or "modality", but found neither/],
    ["channel gaps", { ...msd, modality: { 0: "a", 2: "b" } }, /keys "0", "1", \.\.\. .*found 0, 2/],
    [
      "regions without an order",
      brats({ regions_class_order: undefined }),
      /list the value to write for each region, w, c, e,/,
    ],
    ["an order too short", brats({ regions_class_order: [1, 2] }), /Expected 3 values .* \(w, c, e\), but found 2/],
    ["a foreign value", brats({ regions_class_order: [1, 1, 3] }), /"c" is \[2,3\] and would be written as 1/],
    [
      "the inner region first",
      brats({ labels: { background: 0, c: [2, 3], w: [1, 2, 3], e: 3 }, regions_class_order: [2, 1, 3] }),
      /"w" comes after "c" and would paint over all of it/,
    ],
    ["background in a region", brats({ labels: { background: 0, w: [0, 1], c: 2, e: 3 } }), /"w" is \[0,1\]/],
    ["an empty region", brats({ labels: { background: 0, w: [1, 2], c: [], e: 3 } }), /"c" is \[\]/],
    ["regions without background", brats({ labels: { w: [1, 2, 3], c: [2, 3], e: 3 } }), /background label 0/],
    ["a region beyond a byte", brats({ labels: { background: 0, w: [1, 256], c: 2, e: 3 } }), /0 to 255 .* has 256/],
    [
      "nine regions",
      brats({
        labels: Object.fromEntries([
          ["background", 0],
          ["w", [1, 2]],
          ...[1, 2, 3, 4, 5, 6, 7, 8].map((i) => [`r${i}`, i]),
        ]),
      }),
      /at most 8 regions .* found 9/,
    ],
    [
      "an ignored label among regions",
      brats({ labels: { background: 0, w: [1, 2], ignore: 3 } }),
      /but 3 is nnU-Net's "ignore"/,
    ],
    ["MSD's labels among regions", brats({ labels: { 0: "background", w: [1, 2] } }), /write "background": 0/],
    ["a label beyond a byte", { ...msd, labels: { 0: "b", 300: "x" } }, /0 to 255 .* "x" has 300/],
    ["no background", { ...msd, labels: { 1: "x", 2: "y" } }, /background label 0/],
    ["an ignored label", { ...nnunet, labels: { background: 0, a: 1, ignore: 2 } }, /but 2 is nnU-Net's "ignore"/],
    [
      "another format",
      { ...nnunet, file_ending: ".tif" },
      /\.nii\.gz, \.nii, .*\.png in .* but found "\.tif"; convert/,
    ],
    ["a label twice", { ...nnunet, labels: { background: 0, a: 1, b: 1 } }, /1 comes twice/],
  ];
  test.each(bad)("dataset.json with %s", async (name, json, message) => {
    await expect(readDataset(await folder(`bad-${name}`, { "dataset.json": json }))).rejects.toThrow(message);
  });

  test("both ways to call are named; empty folders and bad splits are errors", async () => {
    const ways = /dataset.json .* or plain folders with --images DIR --labels DIR/;
    await expect(readDataset(undefined)).rejects.toThrow(ways);
    await expect(readDataset(join(root, "nowhere"))).rejects.toThrow(ways);
    await expect(readDataset(await folder("empty", { "readme.txt": "" }))).rejects.toThrow(ways);
    await expect(readDataset(undefined, { images: root })).rejects.toThrow(/only --images was given/);
    await expect(readDataset(root, { images: root, labels: root })).rejects.toThrow(
      /and plain folders .*; leave out one/,
    );
    const none = await folder("none", { "dataset.json": msd, "imagesTr/notes.txt": "", "labelsTr/a.nii.gz": null });
    await expect(readDataset(none)).rejects.toThrow(/imagesTr, but the folder holds none/);
    const complete = { "dataset.json": msd, "imagesTr/a.nii.gz": null, "labelsTr/a.nii.gz": null };
    const unknown = await folder("unknown", { ...complete, "splits.json": [{ train: ["a"], val: ["z"] }] });
    await expect(readDataset(unknown)).rejects.toThrow(/fold 0 names "z"/);
    const overlap = await folder("overlap", { ...complete, "splits.json": [{ train: ["a"], val: ["a"] }] });
    await expect(readDataset(overlap)).rejects.toThrow(/fold 0 has "a" in both/);
    const again = await folder("again", { ...complete, "dataset.json": { ...msd, test: ["t/x.nii", "t/x.nii"] } });
    await expect(readDataset(again)).rejects.toThrow(/every case once .* "x" comes twice/);
    const twins = await folder("twins", { ...complete, "imagesTr/a.nii": null });
    await expect(readDataset(twins)).rejects.toThrow(/a.nii and a.nii.gz both claim it|a.nii.gz both claim it/);
  });
});

const lidc = sharedData("lidc_nodules");
test.skipIf(!lidc)("LIDC: 1444 pictures, label 255, patients stay together in its splits", async () => {
  const set = await readDataset(lidc);
  expect(set.training).toHaveLength(1444);
  expect(set.labels[1]).toEqual({ value: 255, name: "nodule" });
  expect(set.splits).toHaveLength(5);
  for (const { train, val } of set.splits!) {
    const patient = (id: string) => id.slice(0, 9);
    const held = new Set(val.map(patient));
    expect(train.some((id) => held.has(patient(id)))).toBe(false);
  }
});
