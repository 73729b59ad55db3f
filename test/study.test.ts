import { type ChildProcess, spawn } from "node:child_process";
import { existsSync } from "node:fs";
import { cp, mkdir, mkdtemp, readdir, readFile, rm, stat, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { fileURLToPath } from "node:url";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { writePhantomDataset } from "../src/dataset/phantom-dataset.ts";
import type { RunConfigFile } from "../src/study/resolve.ts";
import type { RunStatus } from "../src/study/status.ts";
import type { RunResult, StudyFile } from "../src/study/types.ts";
import { random } from "../src/util/random.ts";

const program = fileURLToPath(new URL("../bin/lunet.mjs", import.meta.url));
let folder: string;
let file: string;
/** A study that nobody disturbed. */
let whole: string;

const study = `
name: little
data: data
split: 3
folds: [1]
levels: 2
convs: 1
steps: 30
epoch-steps: 5
settings: {batch: 1, lr: 0.01}
pruning: {warm: 10, recovery: 3, remove: 2, until: {parameters: "50%"}, rank-batches: 2, sizes: 2}
arms:
  - net: lean:3
  - net: lean:2
    training-cases: 1
  - prune: unet:2
    pick: [stamp, random-at-largest]
`;

interface Ended {
  code: number | null;
  stdout: string;
  stderr: string;
}

function start(args: string[]): { child: ChildProcess; ended: Promise<Ended> } {
  // A fixed time in the models, so that they can be compared byte for byte.
  const env = { ...process.env, SOURCE_DATE_EPOCH: "1700000000" };
  const child = spawn(process.execPath, [program, "study", ...args], { env });
  const out = { stdout: "", stderr: "" };
  child.stdout.on("data", (text) => {
    out.stdout += text;
  });
  child.stderr.on("data", (text) => {
    out.stderr += text;
  });
  return { child, ended: new Promise((resolve) => child.once("close", (code) => resolve({ code, ...out }))) };
}

const json = async <T>(...path: string[]): Promise<T> => JSON.parse(await readFile(join(...path), "utf8")) as T;
const runs = async (out: string): Promise<string[]> => (await readdir(join(out, "runs"))).sort();

/** Everything of a study that must come out the same, times left out. */
async function outcome(out: string): Promise<unknown[]> {
  return Promise.all(
    (await runs(out)).map(async (run) => {
      const { seconds: _, sizes, ...result } = await json<RunResult>(out, "runs", run, "result.json");
      const models = await Promise.all(sizes.map(({ model }) => readFile(join(out, model), "base64")));
      return { ...result, sizes: sizes.map(({ latencyMs: __, ...size }) => size), models };
    }),
  );
}

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), "lunet-study-"));
  file = join(folder, "little.yaml");
  whole = join(folder, "whole");
  await writePhantomDataset(join(folder, "data"), { cases: 6, test: 1, shape: [16, 24, 16] });
  await writeFile(file, study);
});
afterAll(() => rm(folder, { recursive: true }));

describe("a study", () => {
  let said: Ended;
  beforeAll(async () => {
    said = await start([file, "--out", whole, "--json"]).ended;
  });

  it("does every run and tells each in a line", async () => {
    expect(said.code, said.stderr).toBe(0);
    expect(said.stderr.match(/^\[\d\/4\] .+: test Dice .+ parameters, .+$/gm)).toHaveLength(4);
    const printed = JSON.parse(said.stdout) as { runs: RunStatus[]; report: string };
    expect(printed.runs.map(({ run, arm, state }) => [run, arm, state])).toEqual([
      ["0001", "lean-3", "done"],
      ["0002", "lean-2-1-case", "done"],
      ["0003", "stamp-from-unet-2", "done"],
      ["0004", "random-at-largest-from-unet-2", "done"],
    ]);
    expect(await readFile(printed.report, "utf8")).toContain("little");
  });

  it("keeps apart what learns, what chooses and what is judged", async () => {
    const { groups, ...kept } = await json<StudyFile>(whole, "study.json");
    expect(groups).toBe(undefined);
    expect(kept).toMatchObject({
      version: 1,
      name: "little",
      data: "Phantom",
      folds: [1],
      seeds: [0],
      classes: ["anterior", "posterior"],
    });
    for (const run of await runs(whole)) {
      const { cases, label } = await json<RunConfigFile>(whole, "runs", run, "config.json");
      const result = await json<RunResult>(whole, "runs", run, "result.json");
      expect(cases.training).toHaveLength(label.includes("1 case") ? 1 : 2);
      expect(new Set([...cases.training, ...cases.validation, ...cases.test]).size).toBe(cases.training.length + 4);
      for (const size of result.sizes) {
        expect(Object.keys(size.validation).sort()).toEqual(cases.validation);
        expect(Object.keys(size.test!).sort()).toEqual(cases.test);
        expect(size.latencyMs).toBeGreaterThan(0);
      }
    }
  });

  it("judges a pruned net at some sizes and at the one that validation chose", async () => {
    const { sizes, chosen, removals } = await json<RunResult>(whole, "runs", "0003", "result.json");
    expect(sizes.length).toBeGreaterThan(1);
    expect(sizes.map(({ parameters }) => parameters)).toEqual(
      sizes.map(({ parameters }) => parameters).sort((a, b) => b - a),
    );
    const mean = ({ validation }: (typeof sizes)[number]): number => {
      const all = Object.values(validation).flatMap(({ dice }) => dice);
      return all.reduce((sum, d) => sum + d, 0) / all.length;
    };
    expect(mean(sizes[chosen])).toBeCloseTo(Math.max(...sizes.map(mean)), 12);
    const channels = (widths: Record<string, number>): number => Object.values(widths).reduce((sum, w) => sum + w, 0);
    expect(removals).toHaveLength(channels(sizes[0].widths) - channels(sizes.at(-1)!.widths));
    // unet:2 with 2 levels of one convolution: level 0 and the bottleneck.
    expect(removals!.every(({ layer, level }) => level === (layer.startsWith("bottleneck") ? 1 : 0))).toBe(true);
  });

  it("repeats nothing when it is asked for again", async () => {
    const before = await Promise.all((await runs(whole)).map((run) => stat(join(whole, "runs", run, "result.json"))));
    const again = await start([file, "--out", whole]).ended;
    expect(again.code, again.stderr).toBe(0);
    expect(again.stderr).toContain("4 of 4 runs are done");
    const after = await Promise.all((await runs(whole)).map((run) => stat(join(whole, "runs", run, "result.json"))));
    expect(after.map(({ mtimeMs }) => mtimeMs)).toEqual(before.map(({ mtimeMs }) => mtimeMs));
  });
});

describe("a study that is cut off", () => {
  it("killed at any moment ends with the same results, nothing run twice", async () => {
    const out = join(folder, "killed");
    const generator = random(Date.now());
    const results = async (): Promise<[string, number][]> => {
      const done: [string, number][] = [];
      for (const run of existsSync(join(out, "runs")) ? await runs(out) : []) {
        const path = join(out, "runs", run, "result.json");
        if (existsSync(path)) done.push([run, (await stat(path)).mtimeMs]);
      }
      return done;
    };
    const seen = new Map<string, number>();
    let kills = 0;
    for (let attempt = 0; attempt < 3; attempt++) {
      const { child, ended } = start([file, "--out", out]);
      if (attempt < 2) {
        // The first time at any moment, then a while after the next run has ended.
        const before = seen.size;
        if (attempt === 0) await sleep(generator.uniform(500, 4000));
        else while (child.exitCode === null && (await results()).length <= before) await sleep(20);
        if (attempt === 1) await sleep(generator.uniform(0, 500));
        if (child.exitCode === null && child.kill("SIGKILL")) kills++;
      }
      const { code, stderr } = await ended;
      if (attempt === 2) expect(code, stderr).toBe(0);
      for (const [run, time] of await results()) {
        // A result that was there stays as it is.
        expect(time).toBe(seen.get(run) ?? time);
        seen.set(run, time);
      }
    }
    expect(kills).toBeGreaterThan(0);
    expect(await outcome(out)).toEqual(await outcome(whole));
    // A kill costs a new start of the two runs that were on their way, and those go on from their checkpoint.
    let starts = 0;
    for (const run of await runs(out)) {
      const log = await readFile(join(out, "runs", run, "log.txt"), "utf8");
      starts += log.match(/^\d+ steps/gm)!.length;
      const epochs = log.match(/^epoch \d+/gm) ?? [];
      expect(new Set(epochs).size).toBe(epochs.length);
    }
    expect(starts).toBeLessThanOrEqual(4 + 2 * kills);
  });

  it("is refused to a second one in the same folder, and goes on after Ctrl-C", async () => {
    const out = join(folder, "stopped");
    const first = start([file, "--out", out]);
    while (!existsSync(join(out, "study.json"))) await sleep(20);
    const second = await start([file, "--out", out]).ended;
    expect(second).toMatchObject({ code: 1, stdout: "" });
    expect(second.stderr).toMatch(
      /^lunet: The study in .+stopped is being done by process \d+ on .+ already; wait for it, or choose another --out\.\n$/,
    );
    first.child.kill("SIGINT");
    const { code, stderr } = await first.ended;
    expect(code).toBe(130);
    expect(stderr).toMatch(/Stopped \(.+\); run the same command again to go on\.\n$/);
    expect(existsSync(join(out, "study.lock"))).toBe(false);
    const resumed = await start([file, "--out", out]).ended;
    expect(resumed.code, resumed.stderr).toBe(0);
    expect(await outcome(out)).toEqual(await outcome(whole));
  });
});

describe("a run", () => {
  it("whose folder was taken away is made anew", async () => {
    const out = join(folder, "removed");
    await cp(whole, out, { recursive: true, preserveTimestamps: true });
    await rm(join(out, "runs", "0002"), { recursive: true });
    const status = await start(["status", out]).ended;
    expect(status.stdout).toMatch(/^0002 lean:2, 1 case, fold 1, seed 0: missing$/m);
    expect(status.stdout).toMatch(/\n3 done, 1 missing\n$/);
    const { runs: listed } = JSON.parse((await start(["status", out, "--json"]).ended).stdout) as { runs: RunStatus[] };
    expect(listed.map(({ state }) => state)).toEqual(["done", "missing", "done", "done"]);
    expect(await start(["run", out, "2"]).ended).toMatchObject({
      code: 1,
      stderr:
        `lunet: Expected run 0002 of the study in ${join(out, "runs", "0002")}, but its folder or its config.json is gone; start ` +
        "the study again with the same command and --out to make it anew.\n",
    });
    const again = await start([file, "--out", out]).ended;
    expect(again.code, again.stderr).toBe(0);
    expect(again.stderr).toContain("making 1 run anew whose folder is gone: 0002");
    expect(await outcome(out)).toEqual(await outcome(whole));
  });

  it("that failed is reported, does not hold up the others, and can be tried again", async () => {
    const out = join(folder, "failing");
    await cp(whole, out, { recursive: true, preserveTimestamps: true });
    const configOf = (run: string): string => join(out, "runs", run, "config.json");
    const [good] = [await readFile(configOf("0001"), "utf8")];
    for (const run of ["0001", "0002"]) {
      const config = await readFile(configOf(run));
      await rm(join(out, "runs", run), { recursive: true });
      await mkdir(join(out, "runs", run));
      await writeFile(configOf(run), config);
    }
    const spoilt = JSON.parse(good) as RunConfigFile;
    spoilt.cases.training[0] = "nobody";
    await writeFile(configOf("0001"), JSON.stringify(spoilt));
    const words = 'Expected a case of Phantom, but "nobody" is none; check the list of ids.';
    const failed = await start([file, "--out", out]).ended;
    expect(failed.code).toBe(1);
    expect(failed.stderr).toContain(
      `failed: 0001 lean:3, fold 1, seed 0: ${words}\nDo the failed runs again with --retry.\n`,
    );
    expect(failed.stderr).toMatch(/^\[\d\/4\] 0002 .+test Dice/m);
    expect(failed.stdout).toMatch(/^1 failed, 3 done\. Open the report: /);
    await writeFile(configOf("0001"), good);
    const left = await start([file, "--out", out]).ended;
    expect(left.code).toBe(1);
    expect(left.stderr).toContain("1 failed before and is left; do them again with --retry");
    const again = await start([file, "--out", out, "--retry"]).ended;
    expect(again.code, again.stderr).toBe(0);
    expect(await outcome(out)).toEqual(await outcome(whole));
  });
});
