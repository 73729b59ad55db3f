import { mkdir, mkdtemp, rm, utimes, writeFile } from "node:fs/promises";
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
  expect(
    sameScan(await stateOfScan(`${at("series")}#3`, at("series/out")), { ...before, path: "/else/series#3" }),
  ).toBe(true);
  await utimes(at("series/b/2"), 1e9, 1e9 + 1);
  expect(sameScan(await state("series"), before)).toBe(false);
  await expect(state("gone.nii")).rejects.toThrow("does not exist");
});
