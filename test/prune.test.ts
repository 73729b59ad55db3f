import { type ChildProcess, spawn } from "node:child_process";
import { existsSync } from "node:fs";
import { cp, mkdtemp, readdir, readFile, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { fileURLToPath } from "node:url";
import { afterAll, beforeAll, describe, expect, it, vi } from "vitest";
import { lunet } from "../src/cli/testing.ts";
import { writePhantomDataset } from "../src/dataset/phantom-dataset.ts";
import { loadModel } from "../src/model/files.ts";
import { countParameters } from "../src/net/count.ts";
import { prunableLayers } from "../src/net/remove.ts";
import { pruneNet } from "../src/prune/prune.ts";
import type { CurveRecord, PruneOptions } from "../src/prune/types.ts";
import { silentProgress } from "../src/train/progress.ts";
import { trainNet } from "../src/train/train.ts";
import { parseLines } from "../src/util/parse-lines.ts";
import { random } from "../src/util/random.ts";

const program = fileURLToPath(new URL("../bin/lunet.mjs", import.meta.url));

let folder: string;
let data: string;
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), "lunet-prune-"));
  data = join(folder, "data");
  await writePhantomDataset(data, { cases: 6, test: 1, shape: [16, 16, 16] });
  vi.stubEnv("SOURCE_DATE_EPOCH", "1700000000");
});
afterAll(async () => {
  vi.unstubAllEnvs();
  await rm(folder, { recursive: true });
});

/** Widths 2, 4, 8, 4, 4, 2, 2: 26 channels, 12 of which go in 4 removals. Epochs of 4 steps cut the phases of 6 and 5. */
const options: Omit<PruneOptions, "out"> = {
  net: "unet:2",
  levels: 3,
  convs: 1,
  warm: { steps: 6 },
  recovery: { steps: 5 },
  epochSteps: 4,
  remove: 3,
  until: { channels: 14 },
  criterion: "taylor",
  rankBatches: 2,
  settings: { window: "8", seed: 3, ema: 0.9 },
};
const command = [
  ...["--net", "unet:2", "--levels", "3", "--convs", "1", "--warm-steps", "6", "--recovery-steps", "5"],
  ...["--epoch-steps", "4", "--remove", "3", "--until", "channels=14", "--criterion", "taylor", "--rank-batches", "2"],
  ...["--patch", "8", "--seed", "3", "--ema", "0.9"],
];

/** The files that must not depend on what happened on the way, and the curve without its times. */
async function outcome(out: string): Promise<Record<string, unknown>> {
  const names = [...["model", "checkpoint"].map((name) => `${name}.safetensors`), "plan.json", "curve.svg"];
  for (const name of await readdir(join(out, "sizes"))) names.push(`sizes/${name}`);
  const files: Record<string, unknown> = {};
  for (const name of names) files[name] = (await readFile(join(out, name))).toString("base64");
  files.curve = (await curveOf(out)).map(({ seconds, ...rest }) => rest);
  files.run = JSON.parse(await readFile(join(out, "prune.json"), "utf8"));
  return files;
}

async function curveOf(out: string): Promise<CurveRecord[]> {
  return parseLines(await readFile(join(out, "curve.jsonl"), "utf8"));
}

function start(args: string[]): { child: ChildProcess; ended: Promise<{ code: number | null; stderr: string }> } {
  const child = spawn(process.execPath, [program, "prune", ...args], {
    env: { ...process.env, SOURCE_DATE_EPOCH: "1700000000" },
  });
  let stderr = "";
  child.stderr.on("data", (text) => {
    stderr += text;
  });
  const ended = new Promise<{ code: number | null; stderr: string }>((resolve) =>
    child.on("close", (code) => resolve({ code, stderr })),
  );
  return { child, ended };
}

describe.each([
  { engine: "reference", threads: 1 },
  { engine: "wasm", threads: 2 },
] as const)("pruning with the $engine engine", ({ engine, threads }) => {
  let whole: string;
  let expected: Record<string, unknown>;
  beforeAll(async () => {
    whole = join(folder, engine);
    await pruneNet({ ...options, data, engine, threads, out: whole });
    expected = await outcome(whole);
  });

  it("writes a curve whose sizes are models, each smaller than the one before", async () => {
    const curve = await curveOf(whole);
    expect(curve.map(({ step }) => step)).toEqual([0, 1, 2, 3, 4]);
    for (const [step, record] of curve.entries()) {
      const { net, provenance, tensors } = await loadModel(join(whole, record.model));
      const widths = Object.fromEntries(prunableLayers(net).map(({ name, width }) => [name, width]));
      expect(record).toMatchObject({ widths, ...countParameters(net) });
      expect(provenance.steps).toBe(6 + 5 * step);
      expect(provenance.validationDice).toEqual(record.validationDice);
      expect([...tensors.values()].every((values) => values.every(Number.isFinite))).toBe(true);
      expect(record.removed).toHaveLength(step === 0 ? 0 : 3);
      for (const { layer } of record.removed) expect(widths[layer]).toBeLessThan(curve[step - 1].widths[layer]);
      expect(record.macs).toBeLessThan(step === 0 ? Number.POSITIVE_INFINITY : curve[step - 1].macs);
    }
    const { result } = JSON.parse(await readFile(join(whole, "prune.json"), "utf8"));
    expect(result).toMatchObject({ ended: "channels", sizes: 5 });
    expect(result.removedByLevel.reduce((sum: number, { removed }: { removed: number }) => sum + removed, 0)).toBe(12);
    const best = Math.max(...curve.map(({ meanDice }) => meanDice!));
    expect(result.chosen.meanDice).toBe(best);
    expect(await readFile(join(whole, "model.safetensors"))).toEqual(await readFile(join(whole, result.chosen.model)));
  });

  it("comes out the same when it is stopped again and again, in training, ranking and checking", {
    timeout: 120_000,
  }, async () => {
    const out = join(folder, `${engine}-stopped`);
    const places = [
      /^size 0 of about 4 {2}step 3\/6/, // in the middle of an epoch
      /^ranking 26 channels {2}batch 1\//,
      /^size 1 of about 4 {2}step 5\/5/, // in an epoch that the phase cuts short
      /^size 2 of about 4 {2}checking/,
      /^ranking 17 channels {2}batch 2\//,
      /^size 4 of about 4 {2}checking/,
    ];
    for (const [at, place] of places.entries()) {
      const stopper = new AbortController();
      let seen = false;
      const live = (text: string): void => {
        if (!place.test(text)) return;
        seen = true;
        stopper.abort();
      };
      // Less memory may change the time only.
      const how = at === 0 ? { ...options, data, engine } : { resume: true, lowMemory: at % 2 === 1 };
      const { run } = await pruneNet({
        ...how,
        out,
        threads: 1,
        progress: { ...silentProgress, live },
        signal: stopper.signal,
      });
      expect([String(place), seen, run.state]).toEqual([String(place), true, "interrupted"]);
    }
    const { run } = await pruneNet({ out, resume: true, threads: 1 });
    expect(run.state).toBe("finished");
    expect(await outcome(out)).toEqual(expected);
  });

  it("comes out the same when it is killed, whenever that is", { timeout: 120_000 }, async () => {
    const out = join(folder, `${engine}-killed`);
    const generator = random(11, engine.length);
    let kills = 0;
    for (let attempt = 0; ; attempt++) {
      const first = !existsSync(join(out, "prune.json"));
      const args = first
        ? [data, ...command, "--engine", engine, ...(attempt > 0 ? ["--force"] : [])]
        : ["--resume", "--threads", "1"];
      const { child, ended } = start([...args, "--out", out]);
      if (attempt < 4) {
        const curve = join(out, "curve.jsonl");
        const before = existsSync(curve) ? (await readFile(curve)).length : 0;
        while (child.exitCode === null) {
          if (existsSync(curve) && (await readFile(curve)).length > before) {
            await sleep(generator.uniform(0, 100));
            if (child.exitCode === null && child.kill("SIGKILL")) kills++;
            break;
          }
          await sleep(2);
        }
        await ended;
        continue;
      }
      const result = await ended;
      expect(result, result.stderr).toMatchObject({ code: 0 });
      break;
    }
    expect(kills).toBeGreaterThan(0);
    expect((await readdir(join(out, "sizes"))).filter((name) => name.endsWith(".tmp"))).toEqual([]);
    expect(await outcome(out)).toEqual(expected);
  });
});

describe("what pruning can begin with and end at", () => {
  const quick = { ...options, engine: "reference" as const, recovery: { steps: 1 }, warm: { steps: 1 }, checkCases: 1 };

  it("a trained model: its net, plan and cases are kept, the first size is the model itself", async () => {
    const trained = join(folder, "trained");
    const net = { net: "unet:2", levels: 3, convs: 1, settings: { window: "8", seed: 3 } };
    await trainNet({ ...net, data, engine: "reference", budget: { steps: 4 }, fold: 1, out: trained });
    const out = join(folder, "from");
    const { net: _, levels, convs, warm, ...rest } = quick;
    const { run, curve } = await pruneNet({ ...rest, data, from: trained, out });
    const model = await loadModel(trained);
    expect(run).toMatchObject({
      fold: 1,
      trainingCases: model.provenance.trainingCases,
      validationCases: model.provenance.validationCases,
      from: { path: trained, steps: model.provenance.steps },
    });
    expect(curve[0].trainLoss).toBeNull();
    const first = await loadModel(join(out, curve[0].model));
    expect(first.tensors).toEqual(model.tensors);
    expect((await loadModel(join(out, curve[2].model))).provenance.steps).toBe(model.provenance.steps + 2);

    const again = { ...rest, data, from: trained, out: join(folder, "refused") };
    await expect(pruneNet({ ...again, net: "unet:4" })).rejects.toThrow("Expected no --net with --from");
    await expect(pruneNet({ ...again, fold: 0 })).rejects.toThrow("the model was trained on");
    const elsewhere = join(folder, "elsewhere");
    await writePhantomDataset(elsewhere, { cases: 5, test: 1, shape: [16, 16, 16], seed: 2 });
    await expect(pruneNet({ ...again, data: elsewhere })).rejects.toThrow(
      "say with --fold which cases of this set train",
    );
  });

  it("a command line that tells what went, and sizes that predict reads", async () => {
    const out = join(folder, "sizes");
    const quickly = ["--engine", "reference", "--recovery-steps", "1", "--pick", "random-at-largest"];
    const pruned = await lunet("prune", data, ...command, ...quickly, "--out", out);
    expect(pruned.code, pruned.stderr).toBe(0);
    expect(pruned.stdout).toContain("level  channels  removed  share  most from\n");
    expect(pruned.stdout).toMatch(/^2 +8 +6 +75 % {2}bottleneck\.0 6$/m);
    expect(pruned.stdout).toMatch(/^5 sizes, ended by channels; .*\nlast {5}size 4, .*\nchosen {3}size \d, /m);
    const again = await lunet("prune", "--resume", "--json", "--out", out);
    expect(JSON.parse(again.stdout)).toMatchObject({ state: "finished", curve: await curveOf(out) });
    const model = join(out, "sizes", "step-0003.safetensors");
    const scan = join(data, "imagesTs", "phantom_007.nii.gz");
    const predicted = await lunet("predict", scan, "--model", model, "--out", join(folder, "predicted"));
    expect(predicted.code, predicted.stderr).toBe(0);
    expect(existsSync(join(folder, "predicted", "phantom_007.nii.gz"))).toBe(true);
  });

  it("the rules differ in what they remove; the largest layer needs no ranking", async () => {
    const removed = async (changes: Partial<PruneOptions>): Promise<string[]> => {
      const out = join(folder, `rule-${Object.values(changes).join("-")}`);
      const { curve } = await pruneNet({ ...quick, data, fold: null, ...changes, out });
      return curve[1].removed.map(({ layer, channel }) => `${layer} ${channel}`);
    };
    const layers = (refs: string[]): string[] => refs.map((ref) => ref.split(" ")[0]);
    const stamp = await removed({ pick: "stamp" });
    const chance = await removed({ pick: "random-at-stamp-layer" });
    expect(layers(chance)).toEqual(layers(stamp));
    expect(layers(await removed({ pick: "random-at-largest" }))).toEqual([
      "bottleneck.0",
      "bottleneck.0",
      "bottleneck.0",
    ]);
    expect(await removed({ pick: "stamp", remove: 3 })).toEqual(stamp);
  });

  it("without validation the last size is the folder's model, and a drop in Dice cannot end it", async () => {
    const out = join(folder, "all");
    const { run, curve } = await pruneNet({ ...quick, data, fold: null, out });
    expect(curve.every(({ meanDice }) => meanDice === null)).toBe(true);
    expect(run.result?.chosen).toEqual(run.result?.last);
    const refused = pruneNet({ ...quick, data, fold: null, until: { diceDrop: 0.1 }, out: join(folder, "drop") });
    await expect(refused).rejects.toThrow("Expected validation cases for --until dice-drop");
  });

  it("no training and no ranking at all: every size is made, and the signal is heard in between", async () => {
    const out = join(folder, "bare");
    const bare = { ...quick, pick: "random-at-largest" as const, warm: { steps: 0 }, recovery: { steps: 0 } };
    const stopper = new AbortController();
    const say = (text: string): void => {
      if (text.startsWith("size 1:")) stopper.abort();
    };
    const { run, curve } = await pruneNet({
      ...{ ...bare, data, fold: null, out },
      ...{ progress: { ...silentProgress, say }, signal: stopper.signal },
    });
    expect([run.state, curve.length]).toEqual(["interrupted", 2]);
    const ended = await pruneNet({ ...bare, resume: true, out });
    expect(ended.curve.map(({ step, trainLoss }) => [step, trainLoss])).toEqual([0, 1, 2, 3, 4].map((s) => [s, null]));
    expect(ended.run.state).toBe("finished");
  });

  it("minutes: training that is planned to fill them, and a stop that can be resumed when they are up", async () => {
    const out = join(folder, "minutes");
    const { warm, recovery, ...rest } = quick;
    const planned = { ...rest, data, remove: 6, minutes: 1, out };
    const stopper = new AbortController();
    const live = (text: string): void => {
      if (/^size 0 of about 2 {2}step/.test(text)) stopper.abort();
    };
    const { run } = await pruneNet({ ...planned, progress: { ...silentProgress, live }, signal: stopper.signal });
    expect(run).toMatchObject({ state: "interrupted", calibration: { minutes: 1, stepSeconds: expect.any(Number) } });
    expect(run.pruning.warmSteps).toBe(10 * run.pruning.recoverySteps);
    // The warm-up and two recoveries of smaller nets, in less than the minute.
    expect(run.pruning.warmSteps * run.calibration!.stepSeconds).toBeLessThan(60);

    // No time: it ends at once, also where the lengths are stated.
    const again = await pruneNet({ resume: true, minutes: 1e-6, out });
    expect(again).toMatchObject({ run: { state: "stopped at the time limit", result: null }, curve: [] });
    expect(again.run.pruning).toEqual(run.pruning);
    const stated = { ...quick, data, minutes: 1e-6, out: join(folder, "late") };
    const late = await pruneNet(stated);
    expect(late.run).toMatchObject({ state: "stopped at the time limit", pruning: { warmSteps: 1 } });
    expect(late.run).not.toHaveProperty("calibration");
    const done = await pruneNet({ resume: true, out: stated.out });
    expect(done.run).toMatchObject({ state: "finished", result: { ended: "channels", sizes: 5 } });
  });

  it("checks as often as asked, the first and the last size always, and stops early in a phase", async () => {
    const out = join(folder, "seldom");
    const { curve } = await pruneNet({
      ...quick,
      data,
      remove: 4,
      checkEvery: 2,
      patience: 1,
      warm: { steps: 20 },
      out,
    });
    expect(curve.map(({ meanDice }) => meanDice !== null)).toEqual([true, false, true, true]);
    const steps = (await loadModel(join(out, curve[0].model))).provenance.steps;
    expect(steps % 4).toBe(0);
    expect(steps).toBeLessThanOrEqual(20);
  });
});

describe("the prune command refuses in words", () => {
  async function refused(args: string[], sentence: string): Promise<void> {
    const { code, stderr } = await lunet("prune", ...args);
    expect(code).toBe(1);
    expect(stderr).toContain(sentence);
  }

  it("what cannot be meant", async () => {
    const out = ["--out", join(folder, "words")];
    await refused([data, "--criterion", "L22", ...out], 'Unknown --criterion "L22"');
    await refused([data, "--pick", "random-at-large", ...out], "did you mean random-at-largest?");
    await refused([data, "--until", "parameter=10%", ...out], "did you mean parameters?");
    await refused([data, ...command, "--until", "channels=2", ...out], "at least 7 channels are left");
    await refused(
      [data, "--warm-steps", "3", "--warm-epochs", "1", ...out],
      "--warm-steps or --warm-epochs, but got both",
    );
    await refused(["--resume", ...out], "there is no prune.json");
    await refused([data, "--from", join(folder, "nowhere"), ...out], "nowhere does not exist");
    expect(existsSync(join(folder, "words", "prune.json"))).toBe(false);
  });

  it("a folder that holds a run, and other settings on resume", async () => {
    const out = ["--out", join(folder, "reference")];
    await refused([data, ...command, ...out], "already holds a run; add --resume");
    await refused(["--resume", "--remove", "5", ...out], "another --remove (3) than asked for now (5)");
    await refused(["--resume", "--criterion", "l1", ...out], "another --criterion (taylor)");
    await refused(
      ["--resume", "--recovery-epochs", "1", ...out],
      "another --recovery-steps (5) than asked for now (4)",
    );
    await refused(
      ["--resume", "--until", "channels=15", ...out],
      "another --until (channels=14) than asked for now (channels=15)",
    );
    await refused(["--resume", "--lr", "0.5", ...out], "another --lr (0.01)");
    const train = join(folder, "trained");
    await cp(train, join(folder, "mixed"), { recursive: true });
    await refused([data, "--force", "--out", join(folder, "mixed")], "holds a run of another kind (run.json)");
  });
});
