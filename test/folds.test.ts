import { spawn } from "node:child_process";
import { existsSync } from "node:fs";
import { cp, mkdir, mkdtemp, readFile, rm, stat, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join, relative } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { fileURLToPath } from "node:url";
import { afterAll, beforeAll, describe, expect, it, vi } from "vitest";
import { writePhantomDataset } from "../src/dataset/phantom-dataset.ts";
import { chooseBest } from "../src/folds/best.ts";
import type { BestFile } from "../src/folds/best-file.ts";
import { trainFolds } from "../src/folds/folds.ts";
import type { FoldsFile } from "../src/folds/record.ts";
import { loadModels, saveModel } from "../src/model/files.ts";
import { trainNet } from "../src/train/train.ts";

const program = fileURLToPath(new URL("../bin/lunet.mjs", import.meta.url));

let folder: string;
let data: string;
let whole: string;

const budget = { steps: 60 };
const options = { net: "lean:4", levels: 2, convs: 1, folds: 3, epochSteps: 20, threads: 1 };
const words = ["--net", "lean:4", "--levels", "2", "--convs", "1", "--folds", "3", "--epoch-steps", "20"];

interface Ended {
  code: number | null;
  stdout: string;
  stderr: string;
}

function start(args: string[]) {
  const child = spawn(process.execPath, [program, ...args], {
    env: { ...process.env, SOURCE_DATE_EPOCH: "1700000000" },
  });
  const texts = { stdout: "", stderr: "" };
  child.stdout.on("data", (text) => {
    texts.stdout += text;
  });
  child.stderr.on("data", (text) => {
    texts.stderr += text;
  });
  const ended = new Promise<Ended>((resolve) => child.on("close", (code) => resolve({ code, ...texts })));
  return { child, ended };
}

const modelsOf = (out: string): Promise<string[]> =>
  Promise.all([0, 1, 2].map((k) => readFile(join(out, `fold${k}`, "model.safetensors"), "base64")));

const recordOf = async (out: string): Promise<FoldsFile> =>
  JSON.parse(await readFile(join(out, "cross-validation.json"), "utf8"));

beforeAll(async () => {
  vi.stubEnv("SOURCE_DATE_EPOCH", "1700000000");
  folder = await mkdtemp(join(tmpdir(), "lunet-folds-"));
  data = join(folder, "data");
  await writePhantomDataset(data, { cases: 6, test: 2, shape: [16, 24, 16] });
  whole = join(folder, "whole");
  await trainFolds({ ...options, data, out: whole, budget });
}, 240_000);
afterAll(async () => {
  vi.unstubAllEnvs();
  await rm(folder, { recursive: true });
});

describe("training every fold", () => {
  it("leaves a run folder a fold with one plan, each case validated once, and a summary", async () => {
    const record = await recordOf(whole);
    expect(record).toMatchObject({ version: 1, netName: "lean:4", budget, folds: 3 });
    expect(record.cases.flatMap(({ val }) => val).sort()).toHaveLength(6);
    const plans = await Promise.all(["", "fold0", "fold2"].map((k) => readFile(join(whole, k, "plan.json"), "utf8")));
    expect(plans[1]).toBe(plans[0]);
    expect(plans[2]).toBe(plans[0]);
    const { folds, mean, classes } = record.summary!;
    expect(folds.map(({ fold, state }) => [fold, state])).toEqual([0, 1, 2].map((k) => [k, "finished"]));
    const dice = folds.map(({ meanDice }) => meanDice);
    expect(mean.mean).toBeCloseTo((dice[0] + dice[1] + dice[2]) / 3, 12);
    expect(classes.map(({ name }) => name)).toEqual(["anterior", "posterior"]);
    // A fold by itself is the same run.
    const alone = join(folder, "alone");
    await trainNet({ ...options, data, out: alone, budget, fold: 1 });
    expect(await readFile(join(alone, "model.safetensors"), "base64")).toBe((await modelsOf(whole))[1]);
  });

  it("does no finished fold again and comes out the same when it was killed and resumed", async () => {
    const out = join(folder, "killed");
    const first = start(["train", data, ...words, "--fold", "all", "--steps", "60", "--threads", "1", "--out", out]);
    while (!existsSync(join(out, "fold1", "log.jsonl")) && first.child.exitCode === null) await sleep(5);
    first.child.kill("SIGKILL");
    await first.ended;
    const made = (await stat(join(out, "fold0", "run.json"))).mtimeMs;
    expect(existsSync(join(out, "fold2", "run.json"))).toBe(false);
    const { code, stdout, stderr } = await start(["train", "--resume", "--jobs", "2", "--out", out]).ended;
    expect(code, stderr).toBe(0);
    expect(stderr).toContain("2 of 3 folds to train (1 is finished), 2 at a time");
    expect(stdout).toMatch(/mean +\d+\.\d\d +\d+\.\d\d +\d+\.\d\d\nsd/);
    expect((await stat(join(out, "fold0", "run.json"))).mtimeMs).toBe(made);
    expect(await modelsOf(out)).toEqual(await modelsOf(whole));
    expect((await recordOf(out)).summary).toEqual((await recordOf(whole)).summary);
    // Killed between the end of the last fold and its summary.
    await writeFile(join(out, "cross-validation.json"), JSON.stringify({ ...(await recordOf(out)), summary: null }));
    const healed = await trainFolds({ out, resume: true });
    expect(healed.record.summary).toEqual((await recordOf(whole)).summary);
    expect((await recordOf(out)).summary).toEqual(healed.record.summary);
  }, 120_000);

  it("keeps what is done at Ctrl-C and says how to go on", async () => {
    const out = join(folder, "stopped");
    const { child, ended } = start(["train", data, ...words, "--fold", "all", "--steps", "100000", "--out", out]);
    while (!existsSync(join(out, "fold0", "log.jsonl")) && child.exitCode === null) await sleep(5);
    child.kill("SIGINT");
    const { code, stderr } = await ended;
    expect(stderr).toContain(`lunet train --resume --out ${out}`);
    expect(code).toBe(130);
    expect(existsSync(join(out, "fold0", "checkpoint.safetensors"))).toBe(true);
    expect(existsSync(join(out, "fold1"))).toBe(false);
    expect(existsSync(join(out, "fold0.lock"))).toBe(false);
  }, 120_000);

  it("learns from another cross-validation fold by fold, whose models have not seen the fold's cases either", async () => {
    const out = join(folder, "taught");
    const taught = { ...options, net: "lean:2", data, budget: { steps: 2 } };
    await trainFolds({ ...taught, out, settings: { distil: [relative(process.cwd(), whole)] } });
    // A resumed call may come from another folder.
    expect((await recordOf(out)).asked.settings?.distil).toEqual([whole]);
    for (const k of [0, 1, 2]) {
      const run = JSON.parse(await readFile(join(out, `fold${k}`, "run.json"), "utf8"));
      expect(run.teachers.map(({ path }: { path: string }) => path)).toEqual([join(whole, `fold${k}`)]);
    }
    const other = { ...taught, folds: 2, settings: { distil: [whole] }, out: join(folder, "taught-otherwise") };
    await expect(trainFolds(other)).rejects.toThrow("Expected the folds of");
    // What a fold would refuse costs no folds that are there.
    const none = { ...taught, out, force: true, settings: { distil: [join(folder, "nowhere")] } };
    await expect(trainFolds(none)).rejects.toThrow("nowhere");
    expect((await recordOf(out)).summary).not.toBeNull();
    expect(existsSync(join(out, "fold0", "model.safetensors"))).toBe(true);
  }, 120_000);

  it("refuses what cannot be meant", async () => {
    const base = { ...options, data, budget };
    await expect(trainFolds({ ...base, out: whole })).rejects.toThrow("already holds a run; add --resume");
    await expect(trainNet({ ...base, out: whole })).rejects.toThrow("another kind (cross-validation.json)");
    await expect(trainFolds({ ...base, out: join(whole, "fold0") })).rejects.toThrow("another kind (run.json)");
    await expect(trainFolds({ out: join(folder, "none"), resume: true })).rejects.toThrow("no cross-validation.json");
    const resume = { out: whole, resume: true };
    await expect(trainFolds({ ...resume, settings: { learningRate: 0.5 } })).rejects.toThrow("another --lr");
    await expect(trainFolds({ ...resume, folds: 5 })).rejects.toThrow("another --folds (3) than asked for now (5)");
    const result = await trainFolds({ ...resume, net: "lean:4" });
    expect(result.record.summary).toEqual((await recordOf(whole)).summary);
    // Folds without their record are not taken for this one's.
    const orphan = join(folder, "orphan");
    await cp(whole, orphan, { recursive: true });
    await rm(join(orphan, "cross-validation.json"));
    await expect(trainFolds({ ...base, out: orphan })).rejects.toThrow("fold0 already holds a run; add --force");
    await writeFile(join(orphan, "cross-validation.json"), "{}");
    await expect(trainFolds({ out: orphan, resume: true })).rejects.toThrow("to be the record of a cross-validation");
    // What lies in a fold too many and is not a run's stays.
    const many = join(folder, "many");
    await mkdir(join(many, "fold3"), { recursive: true });
    await writeFile(join(many, "fold3", "notes.txt"), "mine");
    await expect(trainFolds({ ...base, out: many })).rejects.toThrow("but it holds notes.txt; move it away");
    expect(await readFile(join(many, "fold3", "notes.txt"), "utf8")).toBe("mine");
    // A mistake that a fold's own process finds comes back as one.
    const wrong = { ...base, out: join(folder, "wrong"), settings: { window: "8x8x8" } };
    await rm(join(data, "labelsTr", "phantom_003.nii.gz"));
    await expect(trainFolds(wrong)).rejects.toThrow("phantom_003");
    await writePhantomDataset(data, { cases: 6, test: 2, shape: [16, 24, 16] });
  }, 120_000);
});

describe("choosing the best", () => {
  const engine = "wasm" as const;
  let other: string;
  beforeAll(async () => {
    other = join(folder, "other");
    await trainFolds({ ...options, net: "lean:2", data, out: other, budget: { steps: 30 } });
  }, 120_000);

  it("scores unseen cases, writes the choice into the models, and predict obeys it", async () => {
    const [a, b, out] = ["a", "b", "exported"].map((name) => join(folder, name));
    await cp(whole, a, { recursive: true });
    await cp(other, b, { recursive: true });
    const { code, stdout, stderr } = await start(["best", a, b, "--try-tta", "--export", out, "--threads", "1"]).ended;
    expect(code, stderr).toBe(0);
    expect(stdout).toContain(
      "Dice in % of 6 cases, each predicted by the models of the 3 folds that have not seen it.",
    );
    const best: BestFile = JSON.parse(await readFile(join(a, "best.json"), "utf8"));
    expect(best.candidates.slice(0, 3).map(({ name }) => name)).toEqual(["a", "b", "a + b"]);
    // What validation measured is on the net's own grid, which for these scans is the file's.
    const { summary } = await recordOf(a);
    expect(best.candidates[0].dice.mean).toBeCloseTo(summary!.mean.mean, 6);
    const means = best.candidates.slice(0, 3).map(({ dice }) => dice.mean);
    expect(best.candidates.find(({ name }) => name === best.chosen)!.dice.mean).toBeGreaterThanOrEqual(
      Math.max(...means) - 0.05,
    );

    // Post-processing after the fact gives the maps that were kept, and their Dice is the one that is told.
    const predicted = join(folder, "crossval");
    const val = await start(["predict", data, "--cases", "val", "--model", out, "--out", predicted, "--threads", "1"])
      .ended;
    expect(val.code, val.stderr).toBe(0);
    const evaluated = await start(["evaluate", predicted, data, "--json", "-"]).ended;
    const { mean } = JSON.parse(evaluated.stdout);
    expect(mean.dice.mean).toBeCloseTo(best.metrics.mean.dice!.mean, 6);
    const kept = await start(["evaluate", join(a, "out-of-fold"), data, "--json", "-"]).ended;
    expect(JSON.parse(kept.stdout).mean.dice.mean).toBeCloseTo(mean.dice.mean, 12);
    expect(val.stderr.includes("as lunet best chose: keep")).toBe(best.postprocessing !== null);
    const exported = await loadModels(out);
    for (const { postprocessing } of exported) expect(postprocessing ?? null).toEqual(best.postprocessing);
    const again = { folders: [a, b], exportTo: out };
    await expect(chooseBest(again)).rejects.toThrow("already holds the models of folds; choose another --export");
  }, 120_000);

  it("shows a choice, and leaves it out when asked to", async () => {
    const own = join(folder, "own");
    await cp(whole, own, { recursive: true });
    const evidence = { cases: 6, before: 0.5, after: 0.6, classes: [] };
    const postprocessing = { keepLargest: [[1, 2]], connectivity: 26 as const, evidence };
    for (const [fold, model] of (await loadModels(own)).entries()) {
      await saveModel(join(own, `fold${fold}`, "model.safetensors"), { ...model, postprocessing });
    }
    const info = await start(["info", join(own, "fold0")]).ended;
    expect(info.stdout).toContain(
      "keep the largest component of the whole foreground (Dice 50.00 -> 60.00 on 6 unseen",
    );
    const predict = (...args: string[]) =>
      start(["predict", data, "--cases", "test", "--out", join(folder, "shown"), "--threads", "1", "--json", ...args])
        .ended;
    const obeyed = await predict("--model", own);
    expect(obeyed.stderr).toContain("averaging 3 models\nas lunet best chose: keep the largest component");
    expect(JSON.parse(obeyed.stdout)).toMatchObject({ models: 3, postprocessing: { keepLargest: [[1, 2]] } });
    const left = await predict("--model", own, "--no-postprocess");
    expect(JSON.parse(left.stdout)).toMatchObject({ postprocessing: null, cases: [{ removed: 0 }, { removed: 0 }] });
    const mixed = await predict("--model", own, "--model", whole);
    expect(mixed.stderr).toContain("Models of an ensemble must share their post-processing");
    // A choice that is made again replaces the one before.
    const { best } = await chooseBest({ folders: [own], engine, threads: 1 });
    const models = await loadModels(own);
    for (const model of models) expect(model.postprocessing ?? null).toEqual(best.postprocessing);
    expect(best.candidates).toHaveLength(1);
    expect(existsSync(join(own, ".out-of-fold"))).toBe(false);
  }, 120_000);

  it("refuses folds that are missing, unfinished, mixed up or not of the same cases", async () => {
    await expect(chooseBest({ folders: [data] })).rejects.toThrow("has no cross-validation.json");
    await expect(chooseBest({ folders: [whole, whole] })).rejects.toThrow("every folder once");
    const broken = join(folder, "broken");
    const afresh = async (): Promise<void> => {
      await rm(broken, { recursive: true, force: true });
      await cp(whole, broken, { recursive: true });
    };
    await afresh();
    await rm(join(broken, "fold1"), { recursive: true });
    await expect(chooseBest({ folders: [broken] })).rejects.toThrow("fold 1 has none; finish it with lunet train");
    await afresh();
    const run = join(broken, "fold2", "run.json");
    await writeFile(
      run,
      JSON.stringify({ ...JSON.parse(await readFile(run, "utf8")), state: "interrupted", result: null }),
    );
    await expect(chooseBest({ folders: [broken] })).rejects.toThrow("fold 2 is not; go on with lunet train --resume");
    await afresh();
    await cp(join(broken, "fold0", "model.safetensors"), join(broken, "fold1", "model.safetensors"));
    await expect(chooseBest({ folders: [broken] })).rejects.toThrow("folds are not of one cross-validation");
    await afresh();
    const [taught] = await loadModels(broken);
    taught.provenance.teacherCases = taught.provenance.validationCases;
    await saveModel(join(broken, "fold0", "model.safetensors"), taught);
    await expect(chooseBest({ folders: [broken] })).rejects.toThrow(
      "a model that it learned from (--distil) was trained on",
    );
    const two = join(folder, "two");
    await trainFolds({ ...options, folds: 2, data, out: two, budget: { steps: 2 } });
    await expect(chooseBest({ folders: [whole, two] })).rejects.toThrow("with the same folds, but those in");
  }, 120_000);
});
