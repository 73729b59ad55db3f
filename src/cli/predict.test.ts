import { existsSync } from "node:fs";
import { cp, mkdir, mkdtemp, readdir, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, afterEach, beforeAll, beforeEach, expect, test, vi } from "vitest";
import { windowsText } from "../batch/case.ts";
import { recordName } from "../batch/record.ts";
import { readLabelMap } from "../dataset/scan.ts";
import { sliceFile } from "../dicom/dicom.fixture.ts";
import { saveModel } from "../model/files.ts";
import { sampleModel } from "../model/sample.ts";
import { flat } from "../net/make.ts";
import { random } from "../util/random.ts";
import { readVolume, writeStack, writeVolume } from "../volume/files.ts";
import type { Vec3, Volume } from "../volume/volume.ts";
import { predictCommand } from "./predict.ts";

let root = "";
let stdout = "";
let stderr = "";

const at = (...parts: string[]): string => join(root, ...parts);

function scan(seed: number, shape: Vec3 = [4, 5, 6]): Volume<Float32Array> {
  const generator = random(seed);
  const affine = Float64Array.of(0.5, 0, 0, 1, 0, 1, 0, 2, 0, 0, 2, 3, 0, 0, 0, 1);
  return {
    data: Float32Array.from({ length: shape[0] * shape[1] * shape[2] }, () => generator.normal()),
    shape,
    affine,
  };
}

/** What predictions went into a folder, beside the record of them. */
async function maps(folder: string): Promise<string[]> {
  return (await readdir(at(folder))).filter((name) => name !== recordName).sort();
}

/** Runs the command; text goes to `stdout` and `stderr`. */
async function predict(...args: string[]): Promise<void> {
  stdout = "";
  stderr = "";
  await predictCommand.parseAsync([...args, "--engine", "reference"], { from: "user" });
}

beforeAll(async () => {
  root = await mkdtemp(join(tmpdir(), "lunet-predict-"));
  for (const folder of ["set/imagesTr", "set/labelsTr", "set/imagesTs", "run"])
    await mkdir(at(folder), { recursive: true });
  const names = ["a", "b", "c"];
  for (const [seed, name] of names.entries()) {
    await writeVolume(at("set/imagesTr", `${name}.nii.gz`), scan(seed));
    const truth = scan(seed + 10);
    await writeVolume(at("set/labelsTr", `${name}.nii.gz`), {
      ...truth,
      data: Uint8Array.from(truth.data, (x) => (x > 0 ? 1 : 0)),
    });
  }
  await writeVolume(at("set/imagesTs/t.nii.gz"), scan(7));
  const listed = names.map((id) => ({ image: `./imagesTr/${id}.nii.gz`, label: `./labelsTr/${id}.nii.gz` }));
  const json = { name: "tiny", modality: { 0: "MRI" }, labels: { 0: "background", 1: "organ" }, training: listed };
  await writeFile(at("set/dataset.json"), JSON.stringify(json));
  const net = flat(2, { levels: 2, convs: 1, inputChannels: 1, outputChannels: 2 });
  const model = sampleModel(net);
  model.provenance = { ...model.provenance, trainingCases: ["a", "b"], validationCases: ["c"] };
  await saveModel(at("run/model.safetensors"), model);
  const other = sampleModel(net, 2);
  other.provenance = { ...other.provenance, trainingCases: ["b", "c"], validationCases: ["a"] };
  await saveModel(at("other.safetensors"), other);
});

afterAll(() => rm(root, { recursive: true }));

beforeEach(() => {
  vi.spyOn(process.stdout, "write").mockImplementation((text) => {
    stdout += text;
    return true;
  });
  vi.spyOn(process.stderr, "write").mockImplementation((text) => {
    stderr += text;
    return true;
  });
});

afterEach(() => {
  vi.restoreAllMocks();
  process.exitCode = 0;
});

test("validation cases of a data set are predicted by the models that did not see them", async () => {
  await predict(
    at("set"),
    "--model",
    at("run"),
    "--model",
    at("other.safetensors"),
    "--cases",
    "val",
    "--out",
    at("val"),
    "--json",
  );
  const result = JSON.parse(stdout);
  expect(result.cases.map(({ id }: { id: string }) => id)).toEqual(["a", "c"]);
  expect(result).toMatchObject({ failed: [], trainedOn: [] });
  await predict(at("set/imagesTr/a.nii.gz"), "--model", at("other.safetensors"), "--out", at("single"));
  expect(stdout).toMatch(/^1 of 1 case written to /);
  const [a, alone, image] = await Promise.all(
    ["val", "single", "set/imagesTr"].map((folder) => readVolume(at(folder, "a.nii.gz"))),
  );
  expect(a.data).toEqual(alone.data);
  expect(a.shape).toEqual(image.shape);
  expect(a.affine).toEqual(image.affine);
});

test("a folder of scans: a damaged file fails in words, the rest are written", async () => {
  await cp(at("set/imagesTr"), at("scans"), { recursive: true });
  await writeFile(at("scans/b.nii.gz"), "this is no scan");
  await predict(at("scans"), "--model", at("run"), "--out", at("from-folder"));
  expect(await maps("from-folder")).toEqual(["a.nii.gz", "c.nii.gz"]);
  expect(stderr).toMatch(/2\/3 b {2}failed: .*b\.nii\.gz/);
  expect(stdout).toMatch(
    /^2 of 3 cases written to .*\n1 failed; the same command tries it again:\n {2}b: .*b\.nii\.gz.*\n$/,
  );
  expect(process.exitCode).toBe(1);
});

test("progress of one scan: the share of windows, and the time left at the pace since the first", async () => {
  expect(windowsText(1, 300, 0)).toBe("0 %");
  expect(windowsText(101, 301, 50)).toBe("33 %  1 min 40 s left");
  expect(windowsText(301, 301, 150)).toBe("100 %  0 s left");
  const terminal = process.stderr.isTTY;
  try {
    process.stderr.isTTY = true;
    vi.spyOn(performance, "now").mockImplementation(
      (
        (ms) => () =>
          (ms += 1000)
      )(0),
    );
    await predict(at("set/imagesTr/a.nii.gz"), "--model", at("run"), "--window", "patch", "--out", at("live"));
  } finally {
    process.stderr.isTTY = terminal;
  }
  const shares = [...stderr.matchAll(/1\/1 a {2}(\d+) %/g)].map(([, share]) => Number(share));
  expect(shares.length).toBeGreaterThan(10);
  expect(shares).toEqual(shares.toSorted((a, b) => a - b));
  expect(shares.at(-1)).toBe(100);
  expect(stderr).toMatch(/reading.*preparing.*50 % {2}\d+ .*left.*writing/s);
});

test("PNG in, PNG out; test cases; training cases are marked", async () => {
  const slice = sampleModel(flat(2, { levels: 2, convs: 1, inputChannels: 1, outputChannels: 2, dimensions: 2 }));
  await saveModel(at("slice.safetensors"), slice);
  const affine = Float64Array.of(1, 0, 0, 0, 0, 1, 0, 0, 0, 0, 1, 0, 0, 0, 0, 1);
  await mkdir(at("png"));
  await writeVolume(at("png/p_0000.png"), {
    data: Uint8Array.from({ length: 30 }, (_, i) => 8 * i),
    shape: [1, 5, 6],
    affine,
  });
  await predict(at("png/p_0000.png"), "--model", at("slice.safetensors"), "--out", at("png-out"));
  expect(await maps("png-out")).toEqual(["p.png"]);
  expect((await readVolume(at("png-out/p.png"))).shape).toEqual([1, 5, 6]);
  await predict(at("set"), "--model", at("run"), "--cases", "test", "--out", at("test"));
  expect(await maps("test")).toEqual(["t.nii.gz"]);
  expect(stdout).not.toContain("used to train");
  await predict(at("set"), "--model", at("run"), "--cases", "all", "--out", at("all"));
  expect(stdout).toContain("2 of these cases were used to train a model");
});

test("formats: as the input, or as --format says; PNG slices in a folder are one scan for a 3D model", async () => {
  const image = await readVolume(at("set/imagesTr/a.nii.gz"));
  await mkdir(at("forms"));
  await writeVolume(at("forms/a.nrrd"), image);
  await writeVolume(at("forms/b.mha"), image);
  const bytes = { ...image, data: Uint8Array.from(image.data, (value) => 100 + 20 * value) };
  await writeStack(at("slices"), bytes);
  await predict(at("forms"), at("slices"), "--model", at("run"), "--out", at("like"));
  expect(await maps("like")).toEqual(["a.nrrd", "b.mha", "slices"]);
  const [a, b, png] = await Promise.all(["a.nrrd", "b.mha", "slices"].map((name) => readVolume(at("like", name))));
  expect([a.data, a.affine]).toEqual([b.data, image.affine]);
  expect(png.shape).toEqual(image.shape);
  await predict(at("forms/a.nrrd"), "--model", at("run"), "--format", "nii.gz", "--out", at("forced"));
  expect((await readVolume(at("forced/a.nii.gz"))).data).toEqual(a.data);
  // A folder of such folders is a folder of scans, for predict and evaluate alike.
  await mkdir(at("stacks"));
  await cp(at("slices"), at("stacks/one"), { recursive: true });
  await predict(at("stacks"), "--model", at("run"), "--format", "nrrd", "--out", at("from-stacks"));
  expect((await readVolume(at("from-stacks/one.nrrd"))).data).toEqual(png.data);
});

test("DICOM: a folder of slices, a folder of such folders, a series of several", async () => {
  const write = async (folder: string, change = {}): Promise<void> => {
    await mkdir(at(folder), { recursive: true });
    const series = JSON.stringify(change).length;
    for (const k of [0, 1, 2]) {
      await writeFile(at(folder, `${series}-${k}`), sliceFile(k, { "00080018 UI": `1.2.${series}.${k}`, ...change }));
    }
  };
  await write("patients/p1");
  await write("patients/p2");
  await write("patients/p2", { "0020000E UI": "1.2.9", "00200011 IS": "8" });
  await predict(at("patients/p1"), `${at("patients/p2")}#8`, "--model", at("run"), "--out", at("dicom"));
  expect(await maps("dicom")).toEqual(["p1.nii.gz", "p2-8.nii.gz"]);
  const labels = await readVolume(at("dicom/p1.nii.gz"));
  expect(labels.shape).toEqual([3, 3, 4]);
  expect([...labels.affine]).toEqual([-0.5, 0, 0, 10, 0, -0.75, 0, -20, 0, 0, 2, 30, 0, 0, 0, 1]);
  await predict(at("patients"), "--model", at("run"), "--out", at("patients-out"));
  expect(await maps("patients-out")).toEqual(["p1.nii.gz"]);
  expect(stderr).toMatch(
    /2\/2 p2 {2}failed: .*p2: 2 series, series 7 \(HEAD, CT\), series 8 \(HEAD, CT\); expected one: choose with .*p2#7\./,
  );
});

test("DICOM SEG: for a series; refused in words for other scans and a table without it", async () => {
  await mkdir(at("series"), { recursive: true });
  for (const k of [0, 1, 2]) await writeFile(at("series", `${k}.dcm`), sliceFile(k));
  await writeFile(at("terms.json"), JSON.stringify({ "class 1": { colour: [1, 2, 3] } }));
  vi.spyOn(console, "warn").mockReturnValue();
  const common = ["--model", at("run"), "--out", at("seg")];
  await predict(at("series"), ...common, "--format", "seg", "--segments", at("terms.json"));
  await predict(at("series"), ...common);
  expect(await maps("seg")).toEqual(["series.dcm", "series.nii.gz"]);
  const [seg, nifti] = [await readLabelMap(at("seg/series.dcm")), await readVolume(at("seg/series.nii.gz"))];
  expect([seg.data, seg.shape]).toEqual([nifti.data, nifti.shape]);
  await predict(at("set/imagesTs/t.nii.gz"), ...common, "--format", "seg");
  expect(stderr).toMatch(/t\.nii\.gz: .*expected a DICOM series for --format seg/);
  await expect(predict(at("series"), ...common, "--segments", at("terms.json"))).rejects.toThrow("give both");
});

test("what cannot be predicted is refused before anything is written", async () => {
  const refused = (...args: string[]) => expect(predict(...args, "--model", at("run"), "--out", at("never")));
  await refused(at("set")).rejects.toThrow("say which of its cases to predict with --cases");
  await refused(at("set/imagesTr"), "--cases", "val").rejects.toThrow("there is no dataset.json");
  await refused(at("set/imagesTr/a.nii.gz"), at("scans")).rejects.toThrow("both named a");
  await refused(at("missing.nii")).rejects.toThrow("does not exist");
  await refused(at("set/dataset.json")).rejects.toThrow("Expected a scan");
  expect(existsSync(at("never"))).toBe(false);
  await expect(predict(at("set/imagesTr"), "--model", at("run"), "--out", at("set/imagesTr"))).rejects.toThrow(
    "among inputs",
  );
  const labels = predict(at("set"), "--cases", "all", "--model", at("run"), "--out", at("set/labelsTr"));
  await expect(labels).rejects.toThrow("among inputs");
});
