import { mkdir, mkdtemp, readdir, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { findDropped } from "./dropped.ts";
import { readDataset } from "./read.ts";

let root: string;
beforeAll(async () => {
  root = await mkdtemp(join(tmpdir(), "lunet-dropped-"));
});
afterAll(() => rm(root, { recursive: true }));

const find = (files: Record<string, string>) =>
  findDropped({ paths: Object.keys(files), readText: async (path) => files[path] });
const empty = (...paths: string[]): Record<string, string> => Object.fromEntries(paths.map((path) => [path, ""]));
const labels = { "0": "background", "1": "one" };

describe("a folder with dataset.json", () => {
  const scans = ["b", "a", "c"].flatMap((id) => [`imagesTr/${id}.nii.gz`, `labelsTr/${id}.nii.gz`]);
  const listed = ["b", "a", "c"].map((id) => ({ image: `./imagesTr/${id}.nii.gz`, label: `./labelsTr/${id}.nii.gz` }));
  const sets: Record<string, Record<string, string>> = {
    "MSD, in the order of its list": {
      "dataset.json": JSON.stringify({ name: "Set", modality: { "0": "MRI" }, labels, training: listed }),
      "splits.json": JSON.stringify([{ train: ["a", "b"], val: ["c"] }]),
      "imagesTr/._a.nii.gz": "",
      ...empty(...scans),
    },
    "nnU-Net, two channels, named by its folder": {
      "dataset.json": JSON.stringify({
        channel_names: { "0": "T1", "1": "T2" },
        labels: { background: 0, whole: [1, 2], core: 2 },
        regions_class_order: [1, 2],
        file_ending: ".nii.gz",
      }),
      ...empty("notes.txt", "imagesTr/x_0000.nii.gz", "imagesTr/x_0001.nii.gz", "labelsTr/x.nii.gz"),
    },
    "nnU-Net's first version: listed without channel numbers": {
      "dataset.json": JSON.stringify({ modality: { "0": "CT" }, labels, training: [listed[1]] }),
      ...empty("imagesTr/a_0000.nii.gz", "labelsTr/a.nii.gz"),
    },
    "numbers in names": {
      "dataset.json": JSON.stringify({ modality: { "0": "CT" }, labels }),
      ...empty("imagesTr/s_0001.mha", "imagesTr/s_0002.mha", "labelsTr/s_0001.mha", "labelsTr/s_0002.mha"),
    },
  };
  it.each(Object.entries(sets))("is read as on the command line: %s", async (name, files) => {
    const folder = join(root, name.replace(/\W+/g, "-"));
    for (const [path, text] of Object.entries(files)) {
      await mkdir(dirname(join(folder, path)), { recursive: true });
      await writeFile(join(folder, path), text);
    }
    const all = await readdir(folder, { recursive: true, withFileTypes: true });
    const paths = all.filter((entry) => entry.isFile()).map((entry) => join(entry.parentPath, entry.name));
    const { described, cases, leftOut, ...found } = await findDropped({
      paths: paths.map((path) => path.slice(root.length + 1)),
      readText: (path) => readFile(join(root, path), "utf8"),
    });
    expect(leftOut).toEqual([]);
    const training = cases.map((entry) => ({
      id: entry.id,
      images: entry.images.map((path) => join(root, path)),
      label: join(root, entry.label!),
    }));
    expect({ ...found, ...described, training, root: folder, test: [] }).toEqual(await readDataset(folder));
  });

  it("leaves out cases whose files are missing, and says which", async () => {
    const { "labelsTr/a.nii.gz": _, ...files } = sets["MSD, in the order of its list"];
    const { cases, leftOut } = await find(files);
    expect(cases.map(({ id }) => id)).toEqual(["b", "c"]);
    expect(leftOut).toEqual([{ name: "a", why: "a.nii.gz is not among the files" }]);
  });

  it("is refused beside another one, and where its file is bad", async () => {
    const json = JSON.stringify({ modality: { "0": "CT" }, labels });
    await expect(find({ "A/dataset.json": json, "B/dataset.json": json })).rejects.toThrow(
      "Expected one data set, but 2 were dropped (A, B)",
    );
    await expect(find({ "A/dataset.json": "{" })).rejects.toThrow("Expected JSON in A/dataset.json");
    await expect(find({ "A/dataset.json": json })).rejects.toThrow("in A/imagesTr, but there are none");
  });
});

describe("plain files", () => {
  it("pairs a folder of images with the one of labels beside it", async () => {
    const files = empty("S/images/a.nii", "S/images/b.nii", "S/labels/a.nii", "S/labels/c.nii", "S/readme.md");
    const set = await find(files);
    expect(set).toMatchObject({ name: "images", described: null });
    expect(set.cases).toEqual([{ id: "a", images: ["S/images/a.nii"], label: "S/labels/a.nii" }]);
    expect(set.leftOut).toEqual([
      { name: "b.nii", why: "an image without a label in S/labels" },
      { name: "c.nii", why: "a label without an image in S/images" },
    ]);
    const marked = await find(empty("img/a.nii", "img/b.nii", "mask/a_mask.nii", "mask/b_mask.nii"));
    expect(marked.cases.map(({ id, label }) => [id, label])).toEqual([
      ["a", "mask/a_mask.nii"],
      ["b", "mask/b_mask.nii"],
    ]);
    await expect(find(empty("A/img/a.nii", "A/seg/a.nii", "B/img/a.nii", "B/seg/a.nii"))).rejects.toThrow(
      "2 were dropped (A/img, B/img)",
    );
  });

  it("pairs by names, with channels and with numbers in names", async () => {
    const set = await find(
      empty("p_0000.nii.gz", "p_0001.nii.gz", "p_seg.nii.gz", "lone.nii.gz", "gone-label.nrrd", "notes.txt"),
    );
    expect(set.cases).toEqual([{ id: "p", images: ["p_0000.nii.gz", "p_0001.nii.gz"], label: "p_seg.nii.gz" }]);
    expect(set.leftOut.map(({ name }) => name)).toEqual(["lone.nii.gz", "gone-label.nrrd"]);
    const numbered = await find(empty("s_0001.nii", "s_0001_mask.nii", "s_0002.nii", "s_0002_mask.nii"));
    expect(numbered.cases.map(({ id }) => id)).toEqual(["s_0001", "s_0002"]);
  });

  it("takes a folder a case, with one label in it", async () => {
    const { cases } = await find(empty("S/p1/t1.nii", "S/p1/t2.nii", "S/p1/seg.nii", "S/p2/t1.nii", "S/p2/seg.nii"));
    expect(cases).toEqual([
      { id: "p1", images: ["S/p1/t1.nii", "S/p1/t2.nii"], label: "S/p1/seg.nii" },
      { id: "p2", images: ["S/p2/t1.nii"], label: "S/p2/seg.nii" },
    ]);
  });

  it("says what is no scan, what has no partner, and what comes twice", async () => {
    await expect(find(empty("notes.txt"))).rejects.toThrow(
      "No labelled case was found, as notes.txt is no scan; expected",
    );
    await expect(find(empty("a.nii"))).rejects.toThrow("a.nii: an image without a label");
    await expect(find(empty("a.nii", "a.nii.gz", "a_seg.nii"))).rejects.toThrow("both claim it");
    await expect(find(empty("A/p/i.nii", "A/p/seg.nii", "B/p/i.nii", "B/p/seg.nii"))).rejects.toThrow(
      '"p" comes twice',
    );
  });
});
