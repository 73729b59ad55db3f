import { spawnSync } from "node:child_process";
import { existsSync } from "node:fs";
import { cp, mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { fileURLToPath } from "node:url";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { writePhantomDataset } from "../src/dataset/phantom-dataset.ts";
import type { RunResult } from "../src/study/types.ts";
import { type Cluster, noSlurmBecause, startCluster } from "./slurm.fixture.ts";

const program = fileURLToPath(new URL("../bin/lunet.mjs", import.meta.url));
const reason = noSlurmBecause();
if (reason) console.log(`Tests on Slurm are skipped: ${reason}.`);

describe.skipIf(reason !== null)("a real Slurm of one node", () => {
  let folder: string;
  let out: string;
  let cluster: Cluster;

  const lunet = (...args: string[]) => {
    const env = { ...cluster.env, SOURCE_DATE_EPOCH: "1700000000" };
    return spawnSync(process.execPath, [program, "study", ...args], { env, encoding: "utf8" });
  };
  const inRun = (run: string, name: string): string => join(out, "runs", run, name);
  const text = async (path: string): Promise<string> => (existsSync(path) ? readFile(path, "utf8") : "");
  const until = async (met: () => boolean | Promise<boolean>, what: string): Promise<void> => {
    const deadline = Date.now() + 80_000;
    while (!(await met())) {
      if (Date.now() > deadline) throw new Error(`waited 80 s for ${what}\n${cluster.ask("squeue")}`);
      await sleep(100);
    }
  };

  beforeAll(async () => {
    // Names with spaces must do.
    folder = await mkdtemp(join(tmpdir(), "lunet slurm "));
    out = join(folder, "study");
    await writePhantomDataset(join(folder, "data"), { cases: 6, test: 1, shape: [16, 24, 16] });
    await writeFile(
      join(folder, "queue.yaml"),
      `name: queue
data: data
split: 3
levels: 2
convs: 1
folds: [0, 1]
steps: 100
epoch-steps: 50
settings: {batch: 1}
arms: [{net: unet:2, steps: 1500}, {net: lean:2}, {net: lean:3}]
`,
    );
    cluster = await startCluster();
  });
  afterAll(async () => {
    await cluster?.stop();
    await rm(folder, { recursive: true, force: true });
  });

  it("does an array of six runs to the end, one preempted and one warned of its time limit on the way", async () => {
    const file = join(folder, "queue.yaml");
    const submitted = lunet(file, "--out", out, "--executor", "slurm", "--processes", "2", "--json");
    expect(submitted.status, submitted.stderr).toBe(0);
    const { array, report } = JSON.parse(submitted.stdout).jobs as { array: string; report: string };

    // The first arm's two runs are long enough to be met in their middle.
    const trains = async (run: string): Promise<boolean> => (await text(inRun(run, "log.jsonl"))) !== "";
    const met = { preempted: false, warned: false };
    await until(async () => {
      if (!met.preempted && (await trains("0001"))) {
        met.preempted = true;
        cluster.ask("scontrol", "requeue", `${array}_1`);
      }
      if (!met.warned && (await trains("0004"))) {
        met.warned = true;
        // What --signal=B:USR1@60 sends a minute before the limit.
        cluster.ask("scancel", "--batch", "--signal=USR1", `${array}_4`);
      }
      return met.preempted && met.warned;
    }, "the long runs to train");

    const second = lunet(file, "--out", out);
    expect(second.status).toBe(1);
    expect(second.stderr).toBe(
      `lunet: The study in ${out} is in Slurm's queue as job ${array}; wait for it (lunet study status ${out} tells), or take it ` +
        `out with scancel ${array}.\n`,
    );

    await until(async () => (await text(cluster.jobRecord)).includes(`JobId=${report} `), "the report");
    expect(lunet("status", out).stdout).toMatch(/\n6 done\n$/);
    expect(await readFile(join(out, "report.html"), "utf8")).toContain("queue");
    for (const run of ["0001", "0004"]) {
      const log = await readFile(inRun(run, "log.txt"), "utf8");
      // Begun twice, and the second time not from the start.
      expect(log.match(/^1500 steps/gm), log).toHaveLength(2);
      expect(log).toMatch(/^resuming after step [1-9]/m);
    }
    const ended = (await readFile(cluster.jobRecord, "utf8"))
      .split("\n")
      .filter((line) => line.includes("JobState=COMPLETED"));
    expect(ended.filter((line) => line.includes(`ArrayJobId=${array} `))).toHaveLength(6);
  }, 120_000);

  it("gave what a run without interruption gives", async () => {
    const again = join(folder, "again");
    await cp(out, again, { recursive: true });
    await rm(join(again, "runs", "0001"), { recursive: true });
    await cp(inRun("0001", "config.json"), join(again, "runs", "0001", "config.json"));
    const done = lunet("run", again, "1");
    expect(done.status, done.stderr).toBe(0);
    const scores = async (root: string) => {
      const { sizes } = JSON.parse(await readFile(join(root, "runs", "0001", "result.json"), "utf8")) as RunResult;
      return sizes.map(({ latencyMs: _, ...size }) => size);
    };
    expect(await scores(again)).toEqual(await scores(out));
    const model = (root: string) => readFile(join(root, "runs", "0001", "model.safetensors"), "base64");
    expect(await model(again)).toBe(await model(out));
  });
});
