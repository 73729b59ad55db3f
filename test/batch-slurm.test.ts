import { spawnSync } from "node:child_process";
import { existsSync } from "node:fs";
import { mkdir, mkdtemp, readdir, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { fileURLToPath } from "node:url";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { makePhantom } from "../src/dataset/phantom.ts";
import { saveModel } from "../src/model/files.ts";
import { sampleModel } from "../src/model/sample.ts";
import { flat } from "../src/net/make.ts";
import { writeVolume } from "../src/volume/files.ts";
import { type Cluster, noSlurmBecause, startCluster } from "./slurm.fixture.ts";

const program = fileURLToPath(new URL("../bin/lunet.mjs", import.meta.url));
const reason = noSlurmBecause();
if (reason) console.log(`The test of prediction on Slurm is skipped: ${reason}.`);

describe.skipIf(reason !== null)("a batch on a real Slurm of one node", () => {
  let root: string;
  let cluster: Cluster;
  const at = (...parts: string[]): string => join(root, ...parts);
  const predict = (...args: string[]) => {
    const common = ["--model", at("model.safetensors"), "--engine", "reference", "--uncertainty"];
    const { env } = cluster;
    return spawnSync(process.execPath, [program, "predict", at("scans"), ...common, ...args], {
      env,
      encoding: "utf8",
    });
  };
  const text = async (path: string): Promise<string> => (existsSync(path) ? readFile(path, "utf8") : "");
  const until = async (met: () => Promise<boolean>, what: string): Promise<void> => {
    const deadline = Date.now() + 80_000;
    while (!(await met())) {
      if (Date.now() > deadline) throw new Error(`waited 80 s for ${what}\n${cluster.ask("squeue")}`);
      await sleep(50);
    }
  };

  beforeAll(async () => {
    // Names with spaces must do.
    root = await mkdtemp(join(tmpdir(), "lunet batch "));
    await mkdir(at("scans"));
    for (let index = 0; index < 9; index++) {
      // About half a second each on the plain engine: time enough to meet a task in its middle.
      const { image } = makePhantom(1, index, { shape: [32, 40, 32] });
      await writeVolume(at("scans", `case_${index}.nii.gz`), image);
    }
    await writeFile(at("scans/case_3.nii.gz"), "this is no scan");
    await saveModel(
      at("model.safetensors"),
      sampleModel(flat(2, { levels: 2, convs: 1, inputChannels: 1, outputChannels: 2 })),
    );
    cluster = await startCluster();
  });
  afterAll(async () => {
    await cluster?.stop();
    await rm(root, { recursive: true, force: true });
  });

  it("shares the cases among tasks, one preempted and one warned of its time limit, and gives what one call gives", async () => {
    const submitted = predict("--out", at("out"), "--executor", "slurm", "--jobs", "2", "--json");
    expect(submitted.status, submitted.stderr).toBe(0);
    const { jobs, open, shares } = JSON.parse(submitted.stdout);
    expect([open, shares]).toEqual([9, 2]);
    const { array, report } = jobs as { array: string; report: string };

    const done = async (share: number): Promise<boolean> =>
      (await text(at("out/slurm", `share-${share}.jsonl`))).includes('"done"');
    const met = { preempted: false, warned: false };
    await until(async () => {
      if (!met.preempted && (await done(1))) {
        met.preempted = true;
        cluster.ask("scontrol", "requeue", `${array}_1`);
      }
      if (!met.warned && (await done(2))) {
        met.warned = true;
        // What --signal=B:USR1@60 sends a minute before the limit.
        cluster.ask("scancel", "--batch", "--signal=USR1", `${array}_2`);
      }
      return met.preempted && met.warned;
    }, "the first case of both tasks");
    const second = predict("--out", at("out"));
    expect(second.status).toBe(1);
    expect(second.stderr).toContain(`is in Slurm's queue as job ${array}; wait for it to end`);

    await until(async () => (await text(cluster.jobRecord)).includes(`JobId=${report} `), "the report");
    const told = await readFile(at("out/slurm/report.txt"), "utf8");
    expect(told).toMatch(/^8 of 9 cases written to .*\n1 failed; the same command tries it again:\n {2}case_3: .*\n$/);
    for (const share of [1, 2]) {
      expect(await readFile(at("out/slurm", `share-${share}.txt`), "utf8")).toMatch(/^going on: \d of \d are done$/m);
    }

    const again = predict("--out", at("out"), "--executor", "slurm");
    expect(again.stderr).toMatch(/^8 of 9 were done already; .*\n1 to predict: 1 again, which failed before\n$/);
    cluster.ask("scancel", /as job (\d+) /.exec(again.stdout)![1]);
    predict("--out", at("alone"));
    const maps = async (folder: string): Promise<string[]> =>
      (await readdir(at(folder))).filter((name) => name.endsWith(".nii.gz")).sort();
    expect(await maps("out")).toEqual(await maps("alone"));
    for (const name of [...(await maps("alone")), "uncertainty.json"]) {
      expect(await readFile(at("out", name), "base64"), name).toBe(await readFile(at("alone", name), "base64"));
    }
  }, 120_000);
});
