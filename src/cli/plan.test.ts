import { mkdir, mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, expect, test, vi } from "vitest";
import { random } from "../util/random.ts";
import { writeVolume } from "../volume/files.ts";
import { parseBytes, parseMirror, parseVec3, planCommand } from "./plan.ts";
import { verifyCommand } from "./verify.ts";

let root = "";
beforeAll(async () => {
  root = await mkdtemp(join(tmpdir(), "lunet-cli-"));
  const affine = Float64Array.of(1, 0, 0, 0, 0, 1, 0, 0, 0, 0, 1, 0, 0, 0, 0, 1);
  const shape: [number, number, number] = [16, 20, 16];
  for (const part of ["imagesTr", "labelsTr"]) await mkdir(join(root, part));
  for (const [i, id] of ["a", "b"].entries()) {
    const r = random(i);
    const data = Float32Array.from({ length: 5120 }, () => 1 + r.next());
    await writeVolume(join(root, `imagesTr/${id}.nii.gz`), { data, shape, affine });
    await writeVolume(join(root, `labelsTr/${id}.nii.gz`), {
      data: Uint8Array.from(data, (v) => (v > 1.5 ? 1 : 0)),
      shape,
      affine,
    });
  }
  await writeFile(
    join(root, "dataset.json"),
    JSON.stringify({ name: "Tiny", modality: { 0: "MRI" }, labels: { 0: "background", 1: "organ" } }),
  );
});
afterAll(() => rm(root, { recursive: true }));

/** Runs a command and returns what it printed. */
async function run(command: typeof planCommand, ...args: string[]): Promise<string> {
  const log = vi.spyOn(console, "log").mockImplementation(() => {});
  try {
    await command.parseAsync(args, { from: "user" });
    return log.mock.calls.flat().join("\n");
  } finally {
    log.mockRestore();
  }
}

test("plan prints the plan with reasons, or JSON, and takes overrides", async () => {
  const text = await run(planCommand, root, "--no-nets");
  expect(text).toMatch(/Tiny: 2 training cases, 3D/);
  expect(text).toMatch(/patch +16 x 20 x 16/);
  expect(text).toMatch(/Mirroring is off by default because sides often carry meaning; turn it on with --mirror\./);
  const asked = ["--patch", "8x16x8", "--mirror", "D,W", "--normalise", "scale:2", "--no-nets"];
  const { plan, nets } = JSON.parse(await run(planCommand, root, "--json", ...asked));
  expect(nets).toBeUndefined();
  expect(plan.channels[0].normalisation).toEqual({ kind: "scale", divisor: 2 });
  expect([plan.patch, plan.mirrorAxes]).toEqual([
    [8, 16, 8],
    [0, 2],
  ]);
});

test("plan times a net and proposes widths; budgets in memory and seconds set patch and batch", async () => {
  const text = await run(planCommand, root);
  expect(text).toMatch(/Nets on this machine, trained with --preset strong on 2 x 16x20x16 a step \(.* are free\):/);
  expect(text).toMatch(/\n {2}lean:8 +\d\d,\d{3} +\d+ MiB +\d+ ms +[\d,]+ +[\d,]+\n/);
  expect(text).toMatch(/Times are estimated from lean:8, measured here: [\d.]+ ms a step on 2 windows of 16x20x16\./);
  expect(text).toMatch(/\n {2}For 10( or 30)? minutes take lean:\d+: .*\.$/m);
  const roomy = ["--memory", "4GB", "--seconds-per-step", "100", "--net", "lean:4", "--batch", "3"];
  const { plan, nets } = JSON.parse(await run(planCommand, root, "--json", ...roomy));
  expect([plan.patch, plan.batch]).toEqual([[16, 20, 16], 3]);
  expect(plan.reasons.at(-1)).toMatch(
    /^Training lean:4 .* MiB of memory and .* ms a step \(estimated from lean:4, measured here: .*\); allowed are 4\.0 GiB of memory and 100000 ms a step\.$/,
  );
  expect(nets.measured.net).toBe("lean:4");
  expect(nets.nets).toHaveLength(7);
  await expect(run(planCommand, root, "--memory", "1MB", "--no-nets")).rejects.toThrow(
    "Expected steps of lean:8 within 1 MiB of memory, but even a patch of 8x8x8 with batch 1 takes",
  );
  await expect(run(planCommand, root, "--patch", "1024x1024x1024")).rejects.toThrow(
    /needs .* GiB in the engine, which can address 4\.0 GiB; --patch .* would fit\./,
  );
});

test("verify prints a readable list and sets the exit code only for problems", async () => {
  expect(await run(verifyCommand, root)).toMatch(
    /Tiny: 2 training cases, 0 test cases\n[\s\S]*0 problems, 0 warnings\./,
  );
  expect(process.exitCode).toBeUndefined();
  await rm(join(root, "labelsTr/b.nii.gz"));
  expect(await run(verifyCommand, root)).toMatch(
    /Problems:\n {2}b: expected a label file [\s\S]*1 problem, 0 warnings\./,
  );
  expect(process.exitCode).toBe(1);
  process.exitCode = undefined;
  const { problems } = JSON.parse(await run(verifyCommand, root, "--json"));
  expect(problems).toHaveLength(1);
  process.exitCode = undefined;
});

test("option values are checked", () => {
  expect(parseVec3("40,56,40")).toEqual([40, 56, 40]);
  expect(() => parseVec3("40,56")).toThrow(/three positive numbers/);
  expect(["2GB", "1.5 GiB", "800mb"].map(parseBytes)).toEqual([2 ** 31, 1.5 * 2 ** 30, 800 * 2 ** 20]);
  for (const wrong of ["2", "2TB", "GB", "0MB"]) expect(() => parseBytes(wrong)).toThrow(/size such as 2GB/);
  expect(parseMirror("none")).toEqual([]);
  expect(parseMirror("wd")).toEqual([0, 2]);
  for (const wrong of ["D,X", "", "D,,W", ","]) expect(() => parseMirror(wrong)).toThrow(/axes among D, H, W/);
});
