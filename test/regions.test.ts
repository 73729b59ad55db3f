import { mkdir, mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, expect, test, vi } from "vitest";
import { evaluateCommand } from "../src/cli/evaluate.ts";
import { exportCommand } from "../src/cli/export.ts";
import { infoCommand } from "../src/cli/info.ts";
import { predictCommand } from "../src/cli/predict.ts";
import { parseLog } from "../src/train/log.ts";
import { type TrainOptions, trainNet } from "../src/train/train.ts";
import { random } from "../src/util/random.ts";
import { readVolume, writeVolume } from "../src/volume/files.ts";

const side = 16;
const shape: [number, number, number] = [side, side, side];
const affine = Float64Array.of(1, 0, 0, 0, 0, 1, 0, 0, 0, 0, 1, 0, 0, 0, 0, 1);
const ids = Array.from({ length: 8 }, (_, i) => `case_${i}`);
const json = {
  channel_names: { 0: "MRI" },
  // The values are in no order of their own.
  labels: { background: 0, "whole tumour": [2, 4, 9], core: [2, 4], enhancing: 4 },
  regions_class_order: [9, 2, 4],
  file_ending: ".nii.gz",
};

let root = "";
let stdout = "";
const at = (...parts: string[]): string => join(root, ...parts);

/** Balls within balls, each brighter than the one around it. */
async function writeBalls(index: number, id: string): Promise<void> {
  const generator = random(index, 31);
  const centre = [0, 1, 2].map(() => side / 2 + generator.uniform(-1.5, 1.5));
  const label = new Uint8Array(side ** 3);
  const data = new Float32Array(side ** 3);
  for (let i = 0; i < label.length; i++) {
    const position = [Math.floor(i / side ** 2), Math.floor(i / side) % side, i % side];
    const r = Math.hypot(...position.map((x, axis) => x - centre[axis]));
    const ring = r < 2.5 ? 3 : r < 4 ? 2 : r < 5.5 ? 1 : 0;
    label[i] = [0, 9, 2, 4][ring];
    data[i] = 2 * ring + 0.5 * generator.normal();
  }
  await writeVolume(at("imagesTr", `${id}_0000.nii.gz`), { data, shape, affine });
  await writeVolume(at("labelsTr", `${id}.nii.gz`), { data: label, shape, affine });
}

beforeAll(async () => {
  root = await mkdtemp(join(tmpdir(), "lunet-regions-"));
  for (const folder of ["imagesTr", "labelsTr"]) await mkdir(at(folder));
  for (const [index, id] of ids.entries()) await writeBalls(index, id);
  await writeFile(at("dataset.json"), JSON.stringify(json));
  vi.spyOn(process.stdout, "write").mockImplementation((text) => {
    stdout += text;
    return true;
  });
  vi.spyOn(process.stderr, "write").mockImplementation(() => true);
});
afterAll(async () => {
  vi.restoreAllMocks();
  await rm(root, { recursive: true });
});

const options: Omit<TrainOptions, "out"> = {
  net: "lean:4",
  levels: 3,
  convs: 2,
  folds: 4,
  budget: { steps: 200 },
  epochSteps: 100,
  settings: { window: "16", augment: "light", batch: 4 },
};

test("nested regions: training, prediction and evaluation agree; export and info know the outputs", async () => {
  const { run } = await trainNet({ ...options, data: root, threads: 1, out: at("run") });
  expect(run.net).toMatchObject({ output: "sigmoid", outputChannels: 3 });
  const plan = JSON.parse(await readFile(at("run", "plan.json"), "utf8"));
  expect(plan.regions.map(({ name }: { name: string }) => name)).toEqual(["whole tumour", "core", "enhancing"]);
  expect(plan.labels.map(({ value }: { value: number }) => value)).toEqual([0, 2, 4, 9]);
  expect(parseLog(await readFile(at("run", "log.jsonl"), "utf8"))[0].trainDice).toHaveLength(3);
  expect(await readFile(at("run", "progress.svg"), "utf8")).toContain("validation whole tumour");

  const predict = [root, "--cases", "val", "--model", at("run"), "--out", at("predicted"), "--threads", "1"];
  await predictCommand.parseAsync(predict, { from: "user" });
  const { data } = await readVolume(at("predicted", `${run.validationCases[0]}.nii.gz`));
  expect([...new Set(data)].sort()).toEqual([0, 2, 4, 9]);
  stdout = "";
  await evaluateCommand.parseAsync([at("predicted"), root, "--json", at("scores.json")], { from: "user" });
  expect(stdout).toMatch(/^2\+4\+9 whole tumour +0\.9/m);
  const scores = JSON.parse(await readFile(at("scores.json"), "utf8"));
  const dice = scores.classes.map((one: { dice: { mean: number } }) => one.dice.mean);
  // The nets grid is the scans' own here, so both count the same voxels.
  for (const [r, d] of dice.entries()) expect(run.result!.best.dice![r]).toBeCloseTo(d, 12);
  // The innermost ball has 65 voxels: a third of a voxel off its rim of 2.5 is 0.87.
  for (const d of dice) expect(d).toBeGreaterThan(0.85);

  await exportCommand.parseAsync([at("run"), "--onnx", at("net.onnx"), "--probabilities"], { from: "user" });
  expect((await readFile(at("net.onnx"))).includes("Sigmoid")).toBe(true);
  stdout = "";
  await infoCommand.parseAsync([at("run")], { from: "user" });
  expect(stdout).toMatch(/^head +conv 1x1x1 +4 +3 /m);
}, 120_000);

test("the same bits with two threads as with one, and resumed as not, with weights and a share of foreground", async () => {
  const settings = { ...options.settings, classWeights: "auto", foreground: 0.5 };
  const short = { ...options, settings, data: root, budget: { steps: 4 }, epochSteps: 2 };
  const one = await trainNet({ ...short, threads: 1, out: at("one") });
  await trainNet({ ...short, threads: 2, out: at("two") });
  const controller = new AbortController();
  await trainNet({
    ...short,
    threads: 1,
    out: at("again"),
    signal: controller.signal,
    onBegin: () => controller.abort(),
  });
  await trainNet({ resume: true, settings: { classWeights: "auto" }, threads: 1, out: at("again") });
  // The whole ball has 697 voxels of 5.5, the core 268 of 4, the innermost 65 of 2.5: roots of 1, 2.6 and 10.7 over their mean.
  const { auto, values } = one.run.settings.classWeights!;
  expect(auto).toBe(true);
  for (const [r, w] of [0.51, 0.82, 1.67].entries()) expect(values[r]).toBeCloseTo(w, 1);
  const other = trainNet({ resume: true, settings: { classWeights: "1,1,1" }, threads: 1, out: at("again") });
  await expect(other).rejects.toThrow("The run was started with another --class-weights");
  const last = async (folder: string): Promise<string> =>
    JSON.stringify(JSON.parse(await readFile(at(folder, "run.json"), "utf8")).result);
  expect(await last("two")).toBe(JSON.stringify(one.run.result));
  expect(await last("again")).toBe(JSON.stringify(one.run.result));
}, 120_000);
