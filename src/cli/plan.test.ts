import { mkdir, mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, expect, test, vi } from "vitest";
import { random } from "../util/random.ts";
import { writeVolume } from "../volume/files.ts";
import { parseMirror, parseVec3, planCommand } from "./plan.ts";
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
  const text = await run(planCommand, root);
  expect(text).toMatch(/Tiny: 2 training cases, 3D/);
  expect(text).toMatch(/patch +16 x 20 x 16/);
  expect(text).toMatch(/Mirroring is off by default because sides often carry meaning; turn it on with --mirror\./);
  const { plan } = JSON.parse(await run(planCommand, root, "--json", "--patch", "8x16x8", "--mirror", "D,W"));
  expect([plan.patch, plan.mirrorAxes]).toEqual([
    [8, 16, 8],
    [0, 2],
  ]);
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
  expect(parseMirror("none")).toEqual([]);
  expect(parseMirror("wd")).toEqual([0, 2]);
  for (const wrong of ["D,X", "", "D,,W", ","]) expect(() => parseMirror(wrong)).toThrow(/axes among D, H, W/);
});
