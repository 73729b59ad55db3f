import { mkdir, mkdtemp, rm, symlink, utimes, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, expect, test } from "vitest";
import { sameScan, stateOfScan } from "./scan-state.ts";

let root = "";
const at = (...parts: string[]): string => join(root, ...parts);
const state = (name: string) => stateOfScan(at(name), at("series/out"));

beforeAll(async () => {
  root = await mkdtemp(join(tmpdir(), "lunet-scan-state-"));
  await mkdir(at("series/b"), { recursive: true });
  for (const name of ["series/1", "series/b/2", "a.mhd", "a.raw", "a.nii", "ab.raw"]) {
    await writeFile(at(name), name);
    await utimes(at(name), 1e9, 1e9);
  }
});
afterAll(() => rm(root, { recursive: true }));

test("a scan is its file, its header with its voxels, or all slices of its folder but no predictions", async () => {
  expect(await state("a.nii")).toEqual({ path: at("a.nii"), files: 1, bytes: 5, modified: 1e12 });
  expect(await state("a.mhd")).toMatchObject({ files: 3, bytes: 15 });
  const before = await state("series");
  expect(before).toMatchObject({ files: 2, bytes: 18 });
  await mkdir(at("series/out"));
  await writeFile(at("series/out/map.nii"), "");
  const chosen = await stateOfScan(`${at("series")}#3`, at("series/out"));
  expect(await sameScan(chosen, { ...before, path: "/else/series#3" }, "")).toBe(true);
  // What the system puts there, a link that leads nowhere, and the folder under another name.
  await writeFile(at("series/.DS_Store"), "");
  await symlink(at("gone"), at("series/b/gone"));
  await symlink(at("series"), at("link"));
  expect(await stateOfScan(at("link"), at("series/out"))).toEqual({ ...before, path: at("link") });
  await utimes(at("series/b/2"), 1e9, 1e9 + 1);
  expect(await sameScan(await state("series"), before, "")).toBe(false);
  await expect(state("gone.nii")).rejects.toThrow("does not exist");
});

test("two scans of one name, length and time are one only where their bytes are", async () => {
  for (const [folder, text] of Object.entries({ ann: "ann", ann2: "ann", bob: "bob" })) {
    await mkdir(at(folder));
    await writeFile(at(folder, "t1.nii"), text);
    await utimes(at(folder, "t1.nii"), 1e9, 1e9);
  }
  const [ann, copy, bob] = await Promise.all(["ann", "ann2", "bob"].map((folder) => state(join(folder, "t1.nii"))));
  expect({ ...bob, path: ann.path }).toEqual(ann);
  expect([await sameScan(ann, copy, ""), await sameScan(ann, bob, "")]).toEqual([true, false]);
});
