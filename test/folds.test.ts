import { spawn } from "node:child_process";
import { existsSync } from "node:fs";
import { cp, mkdtemp, readFile, rm, stat, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { fileURLToPath } from "node:url";
import { afterAll, beforeAll, describe, expect, it, vi } from "vitest";
import { writePhantomDataset } from "../src/dataset/phantom-dataset.ts";
import { trainFolds } from "../src/folds/folds.ts";
import type { FoldsFile } from "../src/folds/record.ts";
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
}, 120_000);
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
    expect(stderr).toContain("2 of 3 folds to train (1 are finished), 2 at a time");
    expect(stdout).toMatch(/mean +\d+\.\d\d +\d+\.\d\d +\d+\.\d\d\nsd/);
    expect((await stat(join(out, "fold0", "run.json"))).mtimeMs).toBe(made);
    expect(await modelsOf(out)).toEqual(await modelsOf(whole));
    expect((await recordOf(out)).summary).toEqual((await recordOf(whole)).summary);
  }, 60_000);

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
  }, 60_000);

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
    // A mistake that a fold's own process finds comes back as one.
    const wrong = { ...base, out: join(folder, "wrong"), settings: { window: "8x8x8" } };
    await rm(join(data, "labelsTr", "phantom_003.nii.gz"));
    await expect(trainFolds(wrong)).rejects.toThrow("phantom_003");
    await writePhantomDataset(data, { cases: 6, test: 2, shape: [16, 24, 16] });
  }, 60_000);
});
