import { type ChildProcess, spawn, spawnSync } from "node:child_process";
import { existsSync } from "node:fs";
import { cp, mkdir, mkdtemp, readdir, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { fileURLToPath } from "node:url";
import { afterAll, beforeAll, describe, expect, it, vi } from "vitest";
import { readModel } from "../src/model/file.ts";
import { loadModel } from "../src/model/files.ts";
import { readCheckpoint } from "../src/train/checkpoint.ts";
import { casesOfTeachers } from "../src/train/distil.ts";
import { parseLog } from "../src/train/log.ts";
import { silentProgress } from "../src/train/progress.ts";
import type { RunFile } from "../src/train/run-folder.ts";
import { type TrainOptions, trainNet } from "../src/train/train.ts";
import { random } from "../src/util/random.ts";
import { writeVolume } from "../src/volume/files.ts";

const program = fileURLToPath(new URL("../bin/lunet.mjs", import.meta.url));
const side = 16;
const engines = [
  { engine: "reference", threads: [1] },
  { engine: "wasm", threads: [1, 2] },
] as const;

let folder: string;
let data: string;

/** Six volumes of noise with a bright block (class 1) and a dark one (class 2). */
async function writeDataset(root: string): Promise<void> {
  await mkdir(join(root, "imagesTr"), { recursive: true });
  await mkdir(join(root, "labelsTr"));
  const affine = Float64Array.of(1, 0, 0, 0, 0, 1, 0, 0, 0, 0, 1, 0, 0, 0, 0, 1);
  const ids = Array.from({ length: 6 }, (_, i) => `case_${i}`);
  for (const [index, id] of ids.entries()) {
    const generator = random(index, 77);
    const image = new Float32Array(side ** 3);
    const label = new Uint8Array(side ** 3);
    const [d0, h0, w0] = [1, 2, 3].map(() => 2 + generator.int(4));
    for (let d = 0, i = 0; d < side; d++) {
      for (let h = 0; h < side; h++) {
        for (let w = 0; w < side; w++, i++) {
          const inside = (at: number, from: number): boolean => at >= from && at < from + 5;
          label[i] = !inside(h, h0) || !inside(w, w0) ? 0 : inside(d, d0) ? 1 : inside(d, d0 + 5) ? 2 : 0;
          image[i] = [0, 3, -3][label[i]] + generator.normal();
        }
      }
    }
    const shape: [number, number, number] = [side, side, side];
    await writeVolume(join(root, "imagesTr", `${id}.nii.gz`), { data: image, shape, affine });
    await writeVolume(join(root, "labelsTr", `${id}.nii.gz`), { data: label, shape, affine });
  }
  const json = {
    name: "Blocks",
    modality: { 0: "MRI" },
    labels: { 0: "background", 1: "bright", 2: "dark" },
    training: ids.map((id) => ({ image: `./imagesTr/${id}.nii.gz`, label: `./labelsTr/${id}.nii.gz` })),
  };
  await writeFile(join(root, "dataset.json"), JSON.stringify(json));
}

const shared = ["--net", "lean:3", "--levels", "2", "--convs", "1", "--patch", "8", "--seed", "3"];
const recipe = ["--augment", "full", "--mirror", "D,W", "--dropout", "0.1", "--ema", "0.9"];
const length = ["--steps", "22", "--epoch-steps", "4"];
/** The same run as options of trainNet. */
const options: Omit<TrainOptions, "out"> = {
  net: "lean:3",
  levels: 2,
  convs: 1,
  mirrorAxes: [0, 2],
  budget: { steps: 22 },
  epochSteps: 4,
  settings: { window: "8", seed: 3, augment: "full", dropout: 0.1, ema: 0.9 },
};

interface Ended {
  code: number | null;
  stdout: string;
  stderr: string;
}

function start(args: string[]): { child: ChildProcess; ended: Promise<Ended> } {
  const child = spawn(process.execPath, [program, "train", ...args], {
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

const stable = ["model.safetensors", "model-last.safetensors", "checkpoint.safetensors", "plan.json"];

/** The files that must not depend on what happened on the way, and the log without its times. */
async function outcome(out: string): Promise<Record<string, unknown>> {
  const files: Record<string, unknown> = {};
  for (const name of stable) files[name] = (await readFile(join(out, name))).toString("base64");
  files.log = parseLog(await readFile(join(out, "log.jsonl"), "utf8")).map(
    ({ seconds, validationSeconds, waitingShare, ...rest }) => rest,
  );
  return files;
}

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), "lunet-train-"));
  data = join(folder, "data");
  await writeDataset(data);
  vi.stubEnv("SOURCE_DATE_EPOCH", "1700000000");
});
afterAll(async () => {
  vi.unstubAllEnvs();
  await rm(folder, { recursive: true });
});

describe.each(engines)("training with the $engine engine", ({ engine, threads }) => {
  let whole: string;
  let expected: Record<string, unknown>;
  beforeAll(async () => {
    whole = join(folder, `${engine}-whole`);
    await trainNet({ ...options, data, engine, threads: 1, out: whole });
    expected = await outcome(whole);
  });

  it("learns, and keeps what it did", async () => {
    const run = JSON.parse(await readFile(join(whole, "run.json"), "utf8")) as RunFile;
    expect(run.state).toBe("finished");
    expect([...run.trainingCases, ...run.validationCases].sort()).toHaveLength(6);
    const model = readModel(await readFile(join(whole, "model.safetensors")), "model.safetensors");
    expect(model.provenance).toMatchObject({
      created: "2023-11-14T22:13:20.000Z",
      fold: 0,
      seed: 3,
      validationDice: run.result?.best.dice,
    });
    const records = parseLog(await readFile(join(whole, "log.jsonl"), "utf8"));
    expect(records.map(({ step }) => step)).toEqual([4, 8, 12, 16, 20, 22]);
    expect(records.at(-1)!.loss).toBeLessThan(0.8 * records[0].loss);
    expect(records.at(-1)!.validationDice).toHaveLength(2);
    expect(await readFile(join(whole, "progress.svg"), "utf8")).toContain("validation bright");
  });

  it.each(threads.map((count) => ({ count })))(
    "comes out the same byte for byte when it is killed and resumed, threads: $count",
    async ({ count }) => {
      const out = join(folder, `${engine}-killed-${count}`);
      const base = ["--engine", engine, "--threads", String(count), "--out", out];
      const generator = random(Date.now());
      let kills = 0;
      for (let attempt = 0; attempt < 3; attempt++) {
        const resume = existsSync(join(out, "run.json"));
        const { child, ended } = start([...(resume ? ["--resume"] : [data, ...shared, ...recipe, ...length]), ...base]);
        // The first two attempts are killed at any moment after the run has begun to write.
        const before = await readFile(join(out, "log.jsonl"), "utf8").catch(() => "");
        while (attempt < 2 && child.exitCode === null) {
          const now = await readFile(join(out, "log.jsonl"), "utf8").catch(() => "");
          if (now.length > before.length) {
            await sleep(generator.uniform(0, 60));
            if (child.exitCode === null && child.kill("SIGKILL")) kills++;
            break;
          }
          await sleep(2);
        }
        const result = await ended;
        if (attempt === 2) expect(result, result.stderr).toMatchObject({ code: 0 });
      }
      expect(kills).toBeGreaterThan(0);
      expect((await readdir(out)).filter((name) => name.endsWith(".tmp"))).toEqual([]);
      expect(await outcome(out)).toEqual(expected);
    },
  );

  it("stops at Ctrl-C with a checkpoint, says how to go on, and then comes out the same", async () => {
    const out = join(folder, `${engine}-interrupted`);
    const stopper = new AbortController();
    let steps = 0;
    const progress = {
      say: () => {},
      close: () => {},
      // Step 6 is in the middle of an epoch of 4.
      live: (text: string) => {
        if (text.includes("step ") && ++steps === 6) stopper.abort();
      },
    };
    const cut = await trainNet({ ...options, data, engine, threads: 1, out, progress, signal: stopper.signal });
    expect(cut.run).toMatchObject({ state: "interrupted", result: null });
    // Less memory may change the time only.
    const resumed = await trainNet({ out, resume: true, threads: 1, lowMemory: true });
    expect(resumed.run.state).toBe("finished");
    expect(await outcome(out)).toEqual(expected);
  });
});

// A limit on the size of files makes the system itself refuse the checkpoint, the largest file, in the middle of its writing.
it.skipIf(process.platform === "win32")(
  "keeps the checkpoint when a newer one cannot be written, and goes on from it later",
  async () => {
    const out = join(folder, "limited");
    const run = { ...options, data, engine: "reference" as const };
    await trainNet({ ...run, out: join(folder, "unlimited") });
    const stopper = new AbortController();
    const stopAt = (text: string): void => {
      if (text.includes("step 6/")) stopper.abort();
    };
    await trainNet({ ...run, out, progress: { ...silentProgress, live: stopAt }, signal: stopper.signal });
    const checkpoint = join(out, "checkpoint.safetensors");
    const before = await readFile(checkpoint);
    const blocks = Math.floor((before.length - 1000) / 512);
    const command = `ulimit -f ${blocks}; exec "$0" "$@"`;
    const args = [process.execPath, program, "train", "--resume", "--out", out];
    const { status, stderr } = spawnSync("sh", ["-c", command, ...args], { encoding: "utf8" });
    expect(stderr).toContain(
      `lunet: ${checkpoint} would be larger than this disk or your limits (ulimit -f) allow; choose another place.\n`,
    );
    expect(status).toBe(1);
    expect(await readFile(checkpoint)).toEqual(before);
    expect((await readdir(out)).filter((name) => name.endsWith(".tmp"))).toEqual([]);
    await trainNet({ out, resume: true });
    expect(await outcome(out)).toEqual(await outcome(join(folder, "unlimited")));
  },
);

describe("the train command", () => {
  const tiny = [...shared, "--engine", "reference"];

  it("exits with 130 after a signal and tells how to resume", async () => {
    const out = join(folder, "signal");
    const { child, ended } = start([data, ...tiny, "--steps", "100000", "--epoch-steps", "4", "--out", out]);
    while (!existsSync(join(out, "log.jsonl")) && child.exitCode === null) await sleep(5);
    child.kill("SIGINT");
    const { code, stderr } = await ended;
    expect(stderr).toContain(`lunet train --resume --out ${out}`);
    expect(code).toBe(130);
    expect(existsSync(join(out, "checkpoint.safetensors"))).toBe(true);
  });

  it("refuses in words what cannot be meant", async () => {
    const { code, stderr } = await start([data, ...tiny, "--out", join(folder, "signal")]).ended;
    expect(stderr).toContain("already holds a run; add --resume");
    expect(code).toBe(1);
    const out = join(folder, "refused");
    await trainNet({ ...options, data, engine: "reference", budget: { steps: 1 }, out });
    const resume = (changed: Partial<TrainOptions>) => trainNet({ out, resume: true, ...changed });
    await expect(resume({ settings: { learningRate: 0.5 } })).rejects.toThrow(
      "another --lr (0.01) than asked for now (0.5)",
    );
    await expect(resume({ net: "lean:4" })).rejects.toThrow("another --net (lean:3)");
    await expect(resume({ budget: { epochs: 2 } })).rejects.toThrow("another --epochs");
    await expect(resume({ plan: "plan.json" })).rejects.toThrow("no --plan with --resume");
    await expect(resume({ folds: 3 })).rejects.toThrow("another --folds (not set) than asked for now (3)");
    await expect(resume({ groups: "^(case)" })).rejects.toThrow("another --groups (not set)");
    expect((await resume({ net: "lean:3", settings: { window: "8" } })).run.state).toBe("finished");
    const other = { ...options, data, out: join(folder, "none") };
    await expect(trainNet({ ...other, fold: 7 })).rejects.toThrow("Expected --fold to be 0 to 4");
    await expect(trainNet({ ...other, settings: { window: "7" } })).rejects.toThrow("--patch to be a multiple of 2");
  });
});

it("trains with another unit and smoothed labels, keeps both in the run and the net, and holds to them", async () => {
  const out = join(folder, "unit");
  const unit = { order: "conv-norm-act", norm: "instance", slope: 0.01 } as const;
  const settings = { ...options.settings, labelSmoothing: 0.1 };
  const run = { ...options, ...unit, settings, data, engine: "reference" as const, budget: { steps: 1 } };
  expect((await trainNet({ ...run, out })).run).toMatchObject({ net: { unit }, settings: { labelSmoothing: 0.1 } });
  const { net } = readModel(await readFile(join(out, "model.safetensors")), "model.safetensors");
  expect(net.unit).toMatchObject(unit);
  const resume = { out, resume: true };
  await expect(trainNet({ ...resume, norm: "none" })).rejects.toThrow("another --norm (instance) than asked for now");
  await expect(trainNet({ ...resume, settings: { labelSmoothing: 0 } })).rejects.toThrow("another --label-smoothing");
  expect((await trainNet({ ...resume, ...unit, settings: { labelSmoothing: 0.1 } })).run.state).toBe("finished");
  const other = { ...run, out: join(folder, "none") };
  await expect(trainNet({ ...other, slope: 2 })).rejects.toThrow("Expected --slope to be a number from 0 (ReLU) to 1");
  const file = join(folder, "net.json");
  await writeFile(file, JSON.stringify({ ...net, unit: { norm: "batch" } }));
  await expect(trainNet({ ...other, net: file })).rejects.toThrow(
    "Expected --order to be conv-act-norm as in the net of --net, but got conv-norm-act",
  );
});

it("supervises coarser levels: heads in the checkpoint, none in the model; the same files when resumed", async () => {
  const settings = { ...options.settings, deepSupervision: true };
  const run = { ...options, levels: 3, settings, data, budget: { steps: 10 } };
  const [whole, cut] = ["deep", "deep-cut"].map((name) => join(folder, name));
  const said: string[] = [];
  const progress = { ...silentProgress, say: (text: string) => said.push(text) };
  await trainNet({ ...run, threads: 1, progress, out: whole });
  // 3 channels and a bias for each of 3 classes.
  expect(said).toContain("deep supervision at level 1: heads of 12 parameters more, which the model does not keep");
  const { tensors } = readModel(await readFile(join(whole, "model.safetensors")), "model.safetensors");
  expect([...tensors.keys()].filter((name) => name.startsWith("head"))).toEqual(["head.weight", "head.bias"]);
  const checkpoint = await readCheckpoint(join(whole, "checkpoint.safetensors"));
  expect(checkpoint.parameters.get("head.1.weight")).toHaveLength(9);
  expect(checkpoint.state.get("ema.head.1.bias")).toHaveLength(3);

  const stopper = new AbortController();
  const live = (text: string): void => {
    if (text.includes("step 6/")) stopper.abort();
  };
  await trainNet({ ...run, threads: 2, progress: { ...silentProgress, live }, signal: stopper.signal, out: cut });
  await trainNet({ out: cut, resume: true, settings: { deepSupervision: true }, threads: 2, lowMemory: true });
  expect(await outcome(cut)).toEqual(await outcome(whole));
  await expect(trainNet({ ...run, levels: 2, out: join(folder, "shallow") })).rejects.toThrow(
    "Expected a net of 3 levels or more for deep supervision, but it has 2.",
  );
});

describe("learning from other models", () => {
  const base = { ...options, fold: 0, epochSteps: 4 };
  let teachers: string[];
  beforeAll(async () => {
    teachers = [join(folder, "teacher-1"), join(folder, "teacher-2", "model-last.safetensors")];
    await trainNet({ ...base, data, budget: { steps: 30 }, settings: { window: "8" }, out: teachers[0] });
    const other = { window: "8", seed: 1 };
    await trainNet({ ...base, data, fold: 1, budget: { steps: 8 }, settings: other, out: join(folder, "teacher-2") });
  });
  const distil = (settings = {}) => ({ ...options.settings, distil: teachers, ...settings });

  it("gives the same files with any number of threads, and when it is stopped and resumed", async () => {
    const run = { ...base, data, budget: { steps: 10 }, settings: distil() };
    const whole = join(folder, "student");
    const said: string[] = [];
    const progress = { ...silentProgress, say: (text: string) => said.push(text) };
    const { run: record } = await trainNet({ ...run, threads: 1, progress, out: whole });
    expect(record.settings).toMatchObject({ distil: teachers, distilWeight: 0.5, distilTemperature: 2 });
    expect(record.teachers?.map(({ path }) => path)).toEqual(teachers);
    const text = said.join("\n");
    expect(text).toContain("learning from 2 models too, with weight 0.5 at temperature 2");
    // The second one was trained on another fold, so with the cases that validate here.
    expect(text).toMatch(/[12] of [12] validation cases? trained a model of --distil/);
    const { provenance } = await loadModel(whole);
    const teacher = (await loadModel(teachers[1])).provenance;
    const more = teacher.trainingCases.filter((id) => !provenance.trainingCases.includes(id)).sort();
    expect(provenance.teacherCases).toEqual(more);
    expect(provenance.validationCases.some((id) => more.includes(id))).toBe(true);
    // Whoever learns from it learns of those cases too.
    const third = casesOfTeachers({ models: [await loadModel(whole)], records: [] }, provenance.trainingCases);
    expect(third).toEqual(more);
    expect((await loadModel(teachers[0])).provenance).not.toHaveProperty("teacherCases");

    const cut = join(folder, "student-cut");
    const stopper = new AbortController();
    const live = (words: string): void => {
      if (words.includes("step 6/")) stopper.abort();
    };
    const { signal } = stopper;
    await trainNet({ ...run, threads: 2, progress: { ...silentProgress, live }, signal, out: cut });
    const resume = { out: cut, resume: true };
    await expect(trainNet({ ...resume, settings: { distilWeight: 1 } })).rejects.toThrow(
      "another --distil-weight (0.5)",
    );
    await trainNet({ ...resume, settings: distil(), threads: 2, lowMemory: true });
    expect(await outcome(cut)).toEqual(await outcome(whole));

    const alone = join(folder, "no-teacher");
    await trainNet({ ...run, settings: options.settings, threads: 1, out: alone });
    expect((await outcome(alone)).log).not.toEqual((await outcome(whole)).log);
  });

  it("refuses a teacher that does not fit, that changed, or that is not there", async () => {
    const out = join(folder, "refused-student");
    const run = { ...base, data, budget: { steps: 4 }, settings: distil(), out };
    await expect(trainNet({ ...run, settings: { window: "8", distilWeight: 1 } })).rejects.toThrow(
      "Expected models to learn from with --distil-weight",
    );
    await expect(trainNet({ ...run, settings: distil({ distil: [join(folder, "none")] }) })).rejects.toThrow("none");
    const coarse = JSON.parse(await readFile(join(teachers[0], "plan.json"), "utf8"));
    await expect(trainNet({ ...run, plan: { ...coarse, spacing: [2, 2, 2] } })).rejects.toThrow(
      "to prepare scans as this run does, but it differs in spacing: [1,1,1], here [2,2,2]; train with the plan.json",
    );
    const stopper = new AbortController();
    const live = (words: string): void => {
      if (words.includes("step 2/")) stopper.abort();
    };
    await trainNet({ ...run, progress: { ...silentProgress, live }, signal: stopper.signal });
    const own = await readFile(teachers[1]);
    await writeFile(teachers[1], await readFile(join(teachers[0], "model.safetensors")));
    await expect(trainNet({ out, resume: true })).rejects.toThrow("is not the model that the run began to learn from");
    await writeFile(teachers[1], own);
    expect((await trainNet({ out, resume: true })).run.state).toBe("finished");
  });
});

it("starts anew beside what is left of a run, and replaces one with --force", async () => {
  const run = { ...options, data, engine: "reference" as const, budget: { steps: 3 } };
  const [first, left] = [join(folder, "first"), join(folder, "left")];
  await trainNet({ ...run, out: first, folds: 3, groups: "^(case_[0-9])" });
  expect(JSON.parse(await readFile(join(first, "run.json"), "utf8"))).toMatchObject({
    folds: 3,
    groups: "^(case_[0-9])",
  });
  await cp(first, left, { recursive: true });
  await rm(join(left, "run.json"));
  // The plan of the run that is replaced may be the plan to use.
  await trainNet({ ...run, out: first, force: true, plan: join(first, "plan.json") });
  await trainNet({ ...run, out: left });
  expect(await outcome(left)).toEqual(await outcome(first));
  expect((await outcome(left)).log).toHaveLength(1);
  expect(
    readModel(await readFile(join(left, "model-last.safetensors")), "last").provenance.validationCases,
  ).toHaveLength(2);
});

describe("a budget in minutes", () => {
  it("stops at the limit on a machine that turns slow, goes on when resumed, and is repeated by its number of steps", async () => {
    const timed = { ...options, data, engine: "reference" as const, epochSteps: 25 };
    const out = join(folder, "minutes");
    const seconds = 3;
    let slept = false;
    const progress = {
      say: () => {},
      close: () => {},
      live: (text: string) => {
        if (slept || !text.includes("step 1/")) return;
        slept = true;
        Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, 1000 * seconds);
      },
    };
    const { run } = await trainNet({ ...timed, budget: { minutes: seconds / 60 }, out, progress });
    expect(run.calibration?.stepSeconds).toBeGreaterThan(0);
    expect(slept).toBe(true);
    if (run.steps > 1) {
      expect(run).toMatchObject({ state: "stopped at the time limit", result: { last: { step: 1 } } });
      expect(readModel(await readFile(join(out, "model.safetensors")), "model").provenance.steps).toBe(1);
      await trainNet({ out, resume: true });
    }
    await trainNet({ ...timed, budget: { steps: run.steps }, out: join(folder, "steps") });
    expect(await outcome(out)).toEqual(await outcome(join(folder, "steps")));
  });

  it("trains on all cases without validation", async () => {
    const out = join(folder, "all");
    const { run } = await trainNet({ ...options, data, engine: "reference", fold: null, budget: { epochs: 2 }, out });
    expect(run).toMatchObject({ fold: null, steps: 8, validationCases: [], result: { best: { step: 8, dice: null } } });
    const [best, last] = ["model", "model-last"].map((name) => readFile(join(out, `${name}.safetensors`)));
    expect(await best).toEqual(await last);
  });
});
