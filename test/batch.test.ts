import { type ChildProcess, spawn } from "node:child_process";
import { existsSync, readFileSync } from "node:fs";
import { appendFile, cp, mkdir, mkdtemp, readdir, readFile, rm, stat, utimes, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { fileURLToPath } from "node:url";
import { afterAll, beforeAll, describe, expect, it, vi } from "vitest";
import { predictCommand } from "../src/cli/predict.ts";
import { makePhantom } from "../src/dataset/phantom.ts";
import { sliceFile } from "../src/dicom/dicom.fixture.ts";
import { saveModel } from "../src/model/files.ts";
import { sampleModel } from "../src/model/sample.ts";
import { flat } from "../src/net/make.ts";
import { takeLock } from "../src/study/lock.ts";
import { writeVolume } from "../src/volume/files.ts";

const program = fileURLToPath(new URL("../bin/lunet.mjs", import.meta.url));
const net = flat(2, { levels: 2, convs: 1, inputChannels: 1, outputChannels: 2 });

let root = "";
const at = (...parts: string[]): string => join(root, ...parts);

const common = (): string[] => ["--model", at("model.safetensors"), "--engine", "reference", "--threads", "1"];

interface Ended {
  code: number | null;
  stdout: string;
  stderr: string;
}

/** The plain engine takes about 0.2 s a scan here, time enough to be met at work. */
function start(...args: string[]): { child: ChildProcess; ended: Promise<Ended> } {
  const child = spawn(process.execPath, [program, "predict", ...args, ...common()]);
  const texts = { stdout: "", stderr: "" };
  child.stdout.on("data", (text) => {
    texts.stdout += text;
  });
  child.stderr.on("data", (text) => {
    texts.stderr += text;
  });
  return { child, ended: new Promise((resolve) => child.on("close", (code) => resolve({ code, ...texts }))) };
}

/** The same in this process, which is quicker. */
async function predict(...args: string[]): Promise<Ended> {
  const texts = { stdout: "", stderr: "" };
  const spies = (["stdout", "stderr"] as const).map((name) =>
    vi.spyOn(process[name], "write").mockImplementation((text) => {
      texts[name] += text;
      return true;
    }),
  );
  const warnings = vi.spyOn(console, "warn").mockReturnValue();
  try {
    process.exitCode = undefined;
    await predictCommand.parseAsync([...args, ...common()], { from: "user" });
    return { code: Number(process.exitCode ?? 0), ...texts };
  } finally {
    process.exitCode = undefined;
    for (const spy of [...spies, warnings]) spy.mockRestore();
  }
}

const ids = Array.from({ length: 12 }, (_, i) => `case_${String(i + 1).padStart(2, "0")}`);
const bad = ["case_03", "case_07"];
const good = ids.filter((id) => !bad.includes(id));

const recordOf = (out: string): string => at(out, "predictions.jsonl");
const linesOf = (out: string, state: string): number =>
  existsSync(recordOf(out)) ? readFileSync(recordOf(out), "utf8").split(`"state":"${state}"`).length - 1 : 0;
async function until(met: () => boolean, what: string): Promise<void> {
  const deadline = Date.now() + 60_000;
  while (!met()) {
    if (Date.now() > deadline) throw new Error(`waited a minute for ${what}`);
    await sleep(2);
  }
}
const mapsOf = (out: string): Promise<string[]> =>
  Promise.all(good.map((id) => readFile(at(out, `${id}.nii.gz`), "base64")));

beforeAll(async () => {
  root = await mkdtemp(join(tmpdir(), "lunet-batch-"));
  await mkdir(at("scans"));
  for (const [index, id] of ids.entries()) {
    // Sizes differ, so that programs do.
    const { image } = makePhantom(1, index, { shape: [12 + 2 * (index % 3), 18, 16] });
    await writeVolume(at("scans", `${id}.nii.gz`), image);
  }
  await writeFile(at("scans/case_03.nii.gz"), "this is no scan");
  const whole = await readFile(at("scans/case_07.nii.gz"));
  await writeFile(at("scans/case_07.nii.gz"), whole.subarray(0, whole.length / 2));
  await saveModel(at("model.safetensors"), sampleModel(net));
});
afterAll(() => rm(root, { recursive: true }));

describe("a folder of twelve scans, two of them damaged", () => {
  let undisturbed: string[];
  beforeAll(async () => {
    const { code, stdout, stderr } = await predict(at("scans"), "--out", at("whole"));
    expect(code).toBe(1);
    expect(stderr).toMatch(/^3\/12 case_03 {2}failed: .*case_03\.nii\.gz/m);
    expect(stderr).toMatch(/^8\/12 case_08 {2}\d+ ms {2}\d+ s left$/m);
    expect(stdout).toMatch(
      /^10 of 12 cases written to .*\n2 failed; the same command tries them again:\n {2}case_03: .*\n {2}case_07: .*\n$/,
    );
    expect((await readdir(at("whole"))).sort()).toEqual([...good.map((id) => `${id}.nii.gz`), "predictions.jsonl"]);
    undisturbed = await mapsOf("whole");
  });

  it("comes out the same when it was killed, and goes on where it was", async () => {
    const first = start(at("scans"), "--out", at("killed"));
    await until(() => linesOf("killed", "done") >= 4 || first.child.exitCode !== null, "four cases");
    first.child.kill("SIGKILL");
    await first.ended;
    const done = linesOf("killed", "done");
    expect(done).toBeLessThan(good.length);
    // What a kill in the middle of writing leaves.
    await appendFile(recordOf("killed"), '{"id":"case_12","sta');
    await writeFile(at("killed/.case_12.nii.gz.0123abcd.tmp"), "half");
    const times = async (): Promise<number[]> =>
      Promise.all(["case_01", "case_02"].map(async (id) => (await stat(at("killed", `${id}.nii.gz`))).mtimeMs));
    const before = await times();
    const { code, stderr, stdout } = await predict(at("scans"), "--out", at("killed"), "--jobs", "2");
    expect(code).toBe(1);
    expect(stderr).toContain(`${done} of 12 were done already`);
    expect(stderr).toMatch(/\d+ to predict: 1 again, which failed before/);
    expect(stdout).toContain(`; ${done} of them were there before.\n2 failed; `);
    expect(await mapsOf("killed")).toEqual(undisturbed);
    expect(await times()).toEqual(before);
    expect((await readdir(at("killed"))).filter((name) => !name.endsWith(".nii.gz"))).toEqual(["predictions.jsonl"]);
    // Each once: nothing that is done was done again.
    expect(linesOf("killed", "done")).toBe(good.length);
  });

  it("shares the work among processes, and replaces one that is killed", async () => {
    const { child, ended } = start(at("scans"), "--out", at("shared"), "--jobs", "2", "--json");
    const children = `/proc/${child.pid}/task/${child.pid}/children`;
    const linux = existsSync("/proc/self/task");
    if (linux) {
      await until(() => linesOf("shared", "done") >= 2 || child.exitCode !== null, "two cases");
      const [worker] = readFileSync(children, "utf8").trim().split(" ").map(Number);
      process.kill(worker, "SIGKILL");
    } else console.log("No process of a job is killed here: they are found by /proc, which only Linux has.");
    const { code, stdout, stderr } = await ended;
    expect(code, stderr).toBe(1);
    expect(stdout, stderr).not.toBe("");
    const { cases, failed, total, before, stopped } = JSON.parse(stdout);
    expect(cases.map(({ id }: { id: string }) => id)).toEqual(good);
    expect(failed.map(({ id }: { id: string }) => id)).toEqual(bad);
    expect([total, before, stopped]).toEqual([12, 0, false]);
    expect(stderr.includes("its process was ended by SIGKILL, perhaps for want of memory; trying once more")).toBe(
      linux,
    );
    expect(await mapsOf("shared")).toEqual(undisturbed);
  });

  it("stops at Ctrl-C and says how to go on", async () => {
    for (const jobs of ["1", "2"]) {
      const out = `stopped${jobs}`;
      const { child, ended } = start(at("scans"), "--out", at(out), "--jobs", jobs);
      await until(() => linesOf(out, "done") >= 2 || child.exitCode !== null, "two cases");
      child.kill("SIGINT");
      const { code, stderr } = await ended;
      expect(code, stderr).toBe(130);
      const done = linesOf(out, "done");
      expect(stderr).toContain(`Stopped; ${done} of 12 are done. Run the same command again to go on.\n`);
      expect((await readdir(at(out))).filter((name) => name.endsWith(".nii.gz"))).toHaveLength(done);
      expect(existsSync(at(out, "predictions.lock"))).toBe(false);
    }
  });

  it("predicts again what has changed, and nothing else", async () => {
    await cp(at("scans"), at("mine"), { recursive: true, preserveTimestamps: true });
    for (const id of [...bad, ...good.slice(3)]) await rm(at("mine", `${id}.nii.gz`));
    const args = [at("mine"), "--out", at("again")];
    expect((await predict(...args)).stdout).toMatch(/^3 of 3 cases written to [^;]*\.\n$/);
    const nothing = await predict(...args);
    expect(nothing.stderr).toBe("3 of 3 were done already; --force predicts them again\n");
    expect(nothing.stdout).toMatch(/; 3 of them were there before\.\n$/);
    await utimes(at("mine/case_01.nii.gz"), 1e9, 1e9);
    await rm(at("again/case_02.nii.gz"));
    await writeFile(at("again/case_04.nii.gz"), "corrected by hand");
    const some = (await predict(...args)).stderr;
    expect(some).toContain("2 to predict: 1 again, whose scan has changed; 1 again, whose label map is gone\n");
    expect(some).toContain("changed since they were written, and kept: case_04.nii.gz; --force predicts it again\n");
    expect(await readFile(at("again/case_04.nii.gz"), "utf8")).toBe("corrected by hand");
    expect((await predict(...args, "--step", "0.4")).stderr).toContain(
      "3 to predict: 3 again, predicted with other options",
    );
    expect((await predict(...args, "--step", "0.4", "--force")).stderr).toContain("3 to predict: 3 again (--force)\n");
    await saveModel(at("model.safetensors"), sampleModel(net, 2));
    const other = await predict(...args, "--step", "0.4");
    await saveModel(at("model.safetensors"), sampleModel(net));
    expect(other.stderr).toContain("3 to predict: 3 again, predicted by other models\n");
    // A scan at which the call before was killed must not keep the others waiting.
    await appendFile(recordOf("again"), `${JSON.stringify({ id: "case_01", time: "", state: "begun" })}\n`);
    const cut = (await predict(...args)).stderr;
    expect(cut).toContain("1 at the end, at which an earlier call was cut off\n");
    expect(cut).toMatch(/1\/3 case_02 .*\n2\/3 case_04 .*\n3\/3 case_01 .*\n$/);
    // Files may lie elsewhere, as on another machine.
    await cp(at("mine"), at("moved"), { recursive: true, preserveTimestamps: true });
    expect((await predict(at("moved"), "--out", at("again"))).stderr).toMatch(/^3 of 3 were done already/);
  });

  it("lets one call at a time have the folder", async () => {
    await mkdir(at("held"));
    const lock = await takeLock(at("held/predictions.lock"));
    await expect(predict(at("scans"), "--out", at("held"))).rejects.toThrow(
      new RegExp(`Process ${process.pid} on .* is predicting into .*held; wait for it to end`),
    );
    if ("release" in lock) lock.release();
    expect(await readdir(at("held"))).toEqual([]);
  });
});

describe("inputs of a batch", () => {
  it("takes a list, and scans whose names are numbers", async () => {
    await mkdir(at("numbers"));
    const names = Array.from({ length: 17 }, (_, i) => `p_${String(i).padStart(4, "0")}`);
    const { image } = makePhantom(1, 0, { shape: [4, 6, 6] });
    for (const name of names) await writeVolume(at("numbers", `${name}.nii`), image);
    await writeFile(at("list.txt"), `# two scans\n${at("numbers/p_0001.nii")}\n\n${at("scans/case_01.nii.gz")}\n`);
    const listed = await predict("--list", at("list.txt"), "--out", at("listed"), "--json");
    expect(JSON.parse(listed.stdout).cases.map(({ id }: { id: string }) => id)).toEqual(["p_0001", "case_01"]);
    // Not 17 channels of one case.
    const numbers = await predict(at("numbers"), "--out", at("numbers-out"), "--json");
    expect(JSON.parse(numbers.stdout).cases.map(({ id }: { id: string }) => id)).toEqual(names);
    await writeFile(at("list.txt"), `${at("scans/case_01.nii.gz")}\n${at("mine/case_01.nii.gz")}`);
    await mkdir(at("mine"), { recursive: true });
    await cp(at("scans/case_01.nii.gz"), at("mine/case_01.nii.gz"));
    const refused = (...args: string[]) => expect(predict(...args, "--out", at("never"))).rejects;
    await refused("--list", at("list.txt")).toThrow("are both named case_01");
    await refused().toThrow("give files or folders, or a list of them");
    await refused(at("scans"), "--sbatch=-p x").toThrow("--executor slurm");
    expect(existsSync(at("never"))).toBe(false);
  });

  it("does not read predictions that lie among the scans", async () => {
    for (const patient of ["p1", "p2"]) {
      await mkdir(at("patients", patient), { recursive: true });
      for (const k of [0, 1, 2]) {
        const own = { "00080018 UI": `1.2.${patient.length}.${k}`, "0020000E UI": `1.2.${patient === "p1" ? 1 : 2}` };
        await writeFile(at("patients", patient, `${k}.dcm`), sliceFile(k, own));
      }
    }
    const args = [at("patients"), "--format", "seg", "--out", at("patients/masks")];
    const first = await predict(...args);
    expect(first.code, first.stderr).toBe(0);
    expect((await readdir(at("patients/masks"))).sort()).toEqual(["p1.dcm", "p2.dcm", "predictions.jsonl"]);
    const second = await predict(...args);
    expect(second.stdout).toMatch(/^2 of 2 cases written to .*; 2 of them were there before\.\n$/);
    const inside = [at("patients/p1"), "--format", "seg", "--out", at("patients/p1/masks")];
    expect((await predict(...inside)).code).toBe(0);
    expect((await predict(...inside)).stdout).toMatch(/^1 of 1 case written to .*; it was there before\.\n$/);
    await expect(predict(at("patients/p1"), "--out", at("patients/p1"))).rejects.toThrow("among inputs");
  });
});
