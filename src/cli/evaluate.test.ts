import { cp, mkdir, mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, afterEach, beforeAll, beforeEach, expect, test, vi } from "vitest";
import { readLabelMap, readVolume } from "../dataset/scan.ts";
import { sliceFile } from "../dicom/dicom.fixture.ts";
import { segmentationWriter } from "../dicom/seg/files.ts";
import { random } from "../util/random.ts";
import { writeStack, writeVolume } from "../volume/files.ts";
import type { Vec3, Volume } from "../volume/volume.ts";
import { evaluateCommand } from "./evaluate.ts";

let root = "";
let stdout = "";
let stderr = "";

const at = (...parts: string[]): string => join(root, ...parts);

function mask(seed: number, shape: Vec3 = [4, 5, 6]): Volume<Uint8Array> {
  const generator = random(seed);
  const affine = Float64Array.of(0.5, 0, 0, 1, 0, 1, 0, 2, 0, 0, 2, 3, 0, 0, 0, 1);
  return { data: Uint8Array.from({ length: shape[0] * shape[1] * shape[2] }, () => generator.int(2)), shape, affine };
}

/** Runs the command; text goes to `stdout` and `stderr`. */
async function evaluate(...args: string[]): Promise<void> {
  stdout = "";
  stderr = "";
  await evaluateCommand.parseAsync(args, { from: "user" });
}

beforeAll(async () => {
  root = await mkdtemp(join(tmpdir(), "lunet-evaluate-"));
  for (const folder of ["set/imagesTr", "set/labelsTr", "perfect", "strangers"])
    await mkdir(at(folder), { recursive: true });
  const names = ["a", "b", "c"];
  for (const [seed, name] of names.entries()) {
    for (const folder of ["imagesTr", "labelsTr"]) await writeVolume(at("set", folder, `${name}.nii.gz`), mask(seed));
  }
  const listed = names.map((id) => ({ image: `./imagesTr/${id}.nii.gz`, label: `./labelsTr/${id}.nii.gz` }));
  const json = { name: "tiny", modality: { 0: "MRI" }, labels: { 0: "background", 1: "organ" }, training: listed };
  await writeFile(at("set/dataset.json"), JSON.stringify(json));
  for (const name of ["a", "b"]) await cp(at("set/labelsTr", `${name}.nii.gz`), at("perfect", `${name}.nii.gz`));
  for (const folder of ["perfect", "strangers"]) await cp(at("set/labelsTr/c.nii.gz"), at(folder, "stranger.nii.gz"));
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

test("a data set against itself is perfect, what is missing is said, JSON holds everything", async () => {
  await evaluate(at("perfect"), at("set"), "--per-case", "--json", at("scores.json"));
  expect(stdout).toMatch(/^a +1\.0000/m);
  expect(stdout).toMatch(/^1 organ +1\.0000 .* 1\.0000 - 1\.0000 +2$/m);
  expect(stderr).toBe(
    "Left out: 1 prediction without a true label map (stranger).\nLeft out: 1 true label map without a prediction (c).\n",
  );
  const json = JSON.parse(await readFile(at("scores.json"), "utf8"));
  expect(json).toMatchObject({ tolerance: 1, withoutTruth: ["stranger"], withoutPrediction: ["c"], failed: [] });
  expect(json.mean.dice).toEqual({ n: 2, mean: 1, low: 1, high: 1 });
  expect(json.cases[0].classes[0]).toMatchObject({ name: "organ", dice: 1, hd95: 0, nsd: 1 });
});

test("a labels folder finds the dataset.json above it, bare folders use the values found", async () => {
  await evaluate(at("perfect"), at("set/labelsTr"), "--json", "-");
  expect(JSON.parse(stdout).labels[1]).toEqual({ value: 1, name: "organ" });
  await cp(at("set/labelsTr"), at("bare/labels"), { recursive: true });
  await evaluate(at("perfect"), at("bare/labels"));
  expect(stdout).toMatch(/^1 label 1 +1\.0000/m);
  await evaluate(at("perfect/stranger.nii.gz"), at("set/labelsTr/c.nii.gz"));
  expect(stdout).toMatch(/^1 organ +1\.0000/m);
});

test("a data set that lost an image and a label map still serves as the truth", async () => {
  await cp(at("set"), at("worn"), { recursive: true });
  await rm(at("worn/imagesTr/a.nii.gz"));
  await rm(at("worn/labelsTr/b.nii.gz"));
  await evaluate(at("perfect"), at("worn"));
  expect(stdout).toMatch(/^1 organ +1\.0000 .* 1$/m);
  expect(stderr).toMatch(/^Left out: 2 predictions without a true label map \(b, stranger\)\.$/m);
});

test("a pair that does not fit fails in words, no pair at all is an error", async () => {
  await mkdir(at("odd"));
  await writeVolume(at("odd/a.nii.gz"), mask(1, [2, 2, 2]));
  await cp(at("set/labelsTr/b.nii.gz"), at("odd/b.nii.gz"));
  await evaluate(at("odd"), at("set"));
  expect(stdout).toMatch(/^mean +1\.0000/m);
  expect(stderr).toMatch(/^a: .*odd\/a\.nii\.gz and .* must have the same shape/m);
  expect(process.exitCode).toBe(1);
  await expect(evaluate(at("strangers"), at("set"))).rejects.toThrow("no name in");
});

test("a folder of PNG slices that lost one is refused, not scored as if it were empty", async () => {
  const truth = mask(5);
  for (const folder of ["slices", "slices-true"]) await writeStack(at(folder, "a"), truth);
  await evaluate(at("slices"), at("slices-true"));
  expect(stdout).toMatch(/^mean +1\.0000/m);
  await rm(at("slices/a/0004.png"));
  await evaluate(at("slices"), at("slices-true"));
  expect([stderr, process.exitCode]).toEqual([expect.stringContaining("must have the same shape"), 1]);
});

test("DICOM SEG on either side gives what NIfTI gives, though it holds only the planes with something in them", async () => {
  vi.spyOn(console, "warn").mockReturnValue();
  await mkdir(at("series"));
  for (const k of [0, 1, 2, 3, 4]) await writeFile(at("series", `${k}.dcm`), sliceFile(k));
  const { shape, affine } = await readVolume(at("series"));
  const plane = shape[1] * shape[2];
  // The truth lies in planes 1 and 2, predictions in 2 and 3, and in 0 to 2.
  const planes = { truth: { a: [1, 2], b: [1, 2] }, prediction: { a: [2, 3], b: [0, 1, 2] } };
  for (const [part, cases] of Object.entries(planes)) {
    for (const [id, filled] of Object.entries(cases)) {
      const data = new Uint8Array(shape[0] * plane);
      for (const k of filled) data.fill(1, k * plane + 1, (k + 1) * plane - 2);
      await writeVolume(at(`${part}-nifti`, `${id}.nii.gz`), { data, shape, affine });
      // Of a series of these planes alone, as other programs leave empty planes out.
      const own = at("parts", part, id);
      await mkdir(own, { recursive: true });
      for (const k of filled) await cp(at("series", `${k}.dcm`), join(own, `${k}.dcm`));
      const map = { ...(await readVolume(own)), data: data.filter((_, i) => filled.includes(Math.floor(i / plane))) };
      const writer = await segmentationWriter(own);
      await writer.write(at(`${part}-seg`, `${id}.dcm`), map, [{ value: 1, name: "organ" }], { algorithm: "" });
      // A folder a case, as archives hand them out.
      await mkdir(at(`${part}-folders`, id), { recursive: true });
      await cp(at(`${part}-seg`, `${id}.dcm`), at(`${part}-folders`, id, "IM0001"));
    }
  }
  expect((await readLabelMap(at("truth-seg/a.dcm"))).shape[0]).toBe(2);
  const scores = async (prediction: string, truth: string): Promise<unknown> => {
    await evaluate(at(`prediction-${prediction}`), at(`truth-${truth}`), "--json", "-");
    expect(stderr).toBe("");
    return JSON.parse(stdout).cases.map(({ id, classes }: { id: string; classes: unknown }) => ({ id, classes }));
  };
  const expected = await scores("nifti", "nifti");
  expect(expected).toMatchObject([
    { id: "a", classes: [{ dice: 0.5 }] },
    { id: "b", classes: [{ dice: 0.8 }] },
  ]);
  for (const [prediction, truth] of [
    ["seg", "nifti"],
    ["nifti", "seg"],
    ["seg", "seg"],
    ["folders", "seg"],
    ["nifti", "folders"],
  ]) {
    expect(await scores(prediction, truth), `${prediction} against ${truth}`).toEqual(expected);
  }
});
