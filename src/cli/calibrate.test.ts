import { cp, mkdir, mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, afterEach, beforeAll, beforeEach, expect, test, vi } from "vitest";
import { loadModel, saveModel } from "../model/files.ts";
import { sampleModel } from "../model/sample.ts";
import { flat } from "../net/make.ts";
import { random } from "../util/random.ts";
import { writeVolume } from "../volume/files.ts";
import type { Vec3 } from "../volume/volume.ts";
import { calibrateCommand } from "./calibrate.ts";
import { evaluateCommand } from "./evaluate.ts";
import { predictCommand } from "./predict.ts";

let root = "";
let stdout = "";

const at = (...parts: string[]): string => join(root, ...parts);
const ids = Array.from({ length: 8 }, (_, i) => `case${i}`);

const run =
  (command: typeof calibrateCommand) =>
  async (...args: string[]): Promise<void> => {
    stdout = "";
    await command.parseAsync(args, { from: "user" });
  };
const calibrate = (...args: string[]): Promise<void> => run(calibrateCommand)(...args, "--engine", "reference");
const predict = (...args: string[]): Promise<void> => run(predictCommand)(...args, "--engine", "reference");
const evaluate = run(evaluateCommand);

beforeAll(async () => {
  root = await mkdtemp(join(tmpdir(), "lunet-calibrate-"));
  for (const folder of ["set/imagesTr", "set/labelsTr"]) await mkdir(at(folder), { recursive: true });
  const shape: Vec3 = [4, 6, 6];
  const affine = Float64Array.of(1, 0, 0, 0, 0, 1, 0, 0, 0, 0, 1, 0, 0, 0, 0, 1);
  for (const [seed, id] of ids.entries()) {
    const generator = random(seed);
    const data = Float32Array.from({ length: 144 }, () => generator.normal());
    await writeVolume(at("set/imagesTr", `${id}.nii.gz`), { data, shape, affine });
    await writeVolume(at("set/labelsTr", `${id}.nii.gz`), { data: data.map((x) => (x > 0.3 ? 1 : 0)), shape, affine });
  }
  const training = ids.map((id) => ({ image: `./imagesTr/${id}.nii.gz`, label: `./labelsTr/${id}.nii.gz` }));
  const json = { name: "tiny", modality: { 0: "channel 0" }, labels: { 0: "background", 1: "organ" }, training };
  await writeFile(at("set/dataset.json"), JSON.stringify(json));
  const net = flat(2, { levels: 2, convs: 1, inputChannels: 1, outputChannels: 2 });
  for (const fold of [0, 1]) {
    await mkdir(at(`cv/fold${fold}`), { recursive: true });
    const model = sampleModel(net, fold + 1);
    model.provenance.validationCases = fold === 0 ? ids.slice(0, 3) : ids.slice(3, 5);
    model.provenance.trainingCases = fold === 0 ? ids.slice(3) : [...ids.slice(0, 3), ...ids.slice(5)];
    await saveModel(at(`cv/fold${fold}/model.safetensors`), model);
    await writeFile(at(`cv/fold${fold}/run.json`), JSON.stringify({ version: 1, data: { path: at("set") } }));
  }
  const whole = sampleModel(net, 3);
  whole.provenance.trainingCases = ids.slice(0, 5);
  await saveModel(at("whole.safetensors"), whole);
});

afterAll(() => rm(root, { recursive: true }));

beforeEach(() => {
  vi.spyOn(process.stdout, "write").mockImplementation((text) => {
    stdout += text;
    return true;
  });
  vi.spyOn(process.stderr, "write").mockImplementation(() => true);
});

afterEach(() => {
  vi.restoreAllMocks();
  process.exitCode = 0;
});

test("every fold of a cross-validation gets its own temperature from its own validation cases", async () => {
  await cp(at("cv"), at("cv2"), { recursive: true });
  await calibrate(at("cv2"), "--dry-run", "--json");
  const measured = JSON.parse(stdout);
  expect(measured.map(({ cases }: { cases: number }) => cases)).toEqual([3, 2]);
  expect(await loadModel(at("cv2/fold0"))).not.toHaveProperty("calibration");
  await rm(at("cv2/fold0"), { recursive: true });
  await expect(calibrate(at("cv2"))).rejects.toThrow("fold 0 has none");
  await cp(at("cv/fold0"), at("cv2/fold0"), { recursive: true });
  await calibrate(at("cv2"));
  for (const fold of [0, 1]) {
    const { model, ...calibration } = measured[fold];
    expect(model).toBe(at(`cv2/fold${fold}/model.safetensors`));
    const kept = await loadModel(at(`cv2/fold${fold}`));
    expect(kept.calibration).toEqual(calibration);
    expect(calibration.nllAfter).toBeLessThan(calibration.nllBefore);
    const { tensors, provenance } = await loadModel(at(`cv/fold${fold}`));
    expect(kept).toMatchObject({ tensors, provenance });
  }
  expect(stdout).toMatch(/temperature.*\n.*fold0.* 3 /);
  // Again: fitted to the net's own logits, not on top of the temperature that is there.
  await calibrate(at("cv2"), "--json");
  expect(JSON.parse(stdout)).toEqual(measured);
});

test("cases must be named for a model of all cases, and be unseen and labelled", async () => {
  const refused = (...args: string[]) => expect(calibrate(...args)).rejects;
  await refused(at("whole.safetensors")).toThrow("trained on all cases; name labelled cases");
  const named = [at("whole.safetensors"), "--data", at("set"), "--cases"];
  await refused(...named, "case5,case0").toThrow("but it was on case0");
  await refused(...named, "case9").toThrow("Expected labelled cases case9 in");
  const taught = await loadModel(at("whole.safetensors"));
  taught.provenance.teacherCases = ["case6"];
  await saveModel(at("taught.safetensors"), taught);
  await refused(at("taught.safetensors"), ...named.slice(1), "case5,case6").toThrow("nor a model that it learned from");
  await refused(at("whole.safetensors"), "--cases", "case5").toThrow("give --data");
  await refused(at("nowhere")).toThrow("does not exist");
  await calibrate(...named, "case5, case6", "--json");
  expect(JSON.parse(stdout)).toMatchObject([{ cases: 2 }]);
});

test("predict measures uncertainty beside the label maps, evaluate sets it against Dice", async () => {
  const models = ["--model", at("cv/fold0"), "--model", at("cv/fold1")];
  const all = [at("set"), "--cases", "all", ...models, "--out", at("out")];
  await predict(...all, "--uncertainty", "--json");
  const { cases } = JSON.parse(stdout);
  expect(cases).toHaveLength(8);
  expect(cases[0].uncertainty).toMatchObject({ classes: [{ name: "class 1" }], disagreement: { members: 2 } });
  const truth = at("set/labelsTr");
  await evaluate(at("out"), truth, "--json", "-");
  const { uncertainty } = JSON.parse(stdout);
  expect(uncertainty.map(({ cases: n }: { cases: number }) => n)).toEqual([8, 8, 8, 8, 8]);
  for (const { rho, low, high } of uncertainty) {
    expect(rho).toBeGreaterThanOrEqual(low);
    expect(rho).toBeLessThanOrEqual(high);
  }
  await evaluate(at("out"), truth);
  expect(stdout).toMatch(/entropy of the predicted foreground +-?\d\.\d\d +-?\d\.\d\d to -?\d\.\d\d +8 +near -1/);

  // What is predicted again without measuring loses its measures; the others keep theirs.
  await predict(at("set/imagesTr/case0.nii.gz"), ...models, "--out", at("out"));
  await evaluate(at("out"), truth, "--json", "-");
  expect(JSON.parse(stdout).uncertainty[0].cases).toBe(7);
  await predict(...all);
  await evaluate(at("out"), truth, "--json", "-");
  expect(JSON.parse(stdout).uncertainty).toEqual([]);
  await writeFile(at("out/uncertainty.json"), "{}");
  await expect(evaluate(at("out"), truth)).rejects.toThrow("measures of uncertainty, version 1");
  // Before the label maps change.
  await expect(predict(...all)).rejects.toThrow("measures of uncertainty, version 1");
});
