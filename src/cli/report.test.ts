import { cp, mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, afterEach, beforeAll, beforeEach, expect, test, vi } from "vitest";
import { writePhantomDataset } from "../dataset/phantom-dataset.ts";
import type { DatasetReport } from "../dataset/report.ts";
import { readVolume, writeVolume } from "../volume/files.ts";
import { decodePng } from "../volume/png.ts";
import { reportCommand } from "./report.ts";

let root = "";
let stdout = "";

const at = (...parts: string[]): string => join(root, ...parts);

async function report(...args: string[]): Promise<void> {
  stdout = "";
  await reportCommand.parseAsync(args, { from: "user" });
}

beforeAll(async () => {
  root = await mkdtemp(join(tmpdir(), "lunet-report-"));
  await writePhantomDataset(at("set"), { cases: 10, test: 2, shape: [12, 16, 12] });
  // Case 3: a cut label, a thousand times as bright. Case 5: a copy of case 4. Case 7: no file that can be read.
  const file = (folder: string, n: number): string => at("set", folder, `phantom_00${n}.nii.gz`);
  const image = await readVolume(file("imagesTr", 3));
  await writeVolume(file("imagesTr", 3), { ...image, data: Float32Array.from(image.data, (x) => 1000 * x) });
  const label = await readVolume(file("labelsTr", 3));
  let kept = 0;
  const cut = Uint8Array.from(label.data, (x) => (x === 2 && kept++ >= 3 ? 0 : x));
  await writeVolume(file("labelsTr", 3), { ...label, data: cut });
  for (const folder of ["imagesTr", "labelsTr"]) await cp(file(folder, 4), file(folder, 5));
  await writeFile(file("imagesTr", 7), "this is no scan");
});

afterAll(() => rm(root, { recursive: true }));

beforeEach(() => {
  vi.spyOn(process.stdout, "write").mockImplementation((text) => {
    stdout += text;
    return true;
  });
  vi.spyOn(process.stderr, "write").mockImplementation(() => true);
});

afterEach(() => vi.restoreAllMocks());

test("one page: unusual, double and damaged cases are named, every picture is inside", async () => {
  await report(at("set"), "--out", at("page.html"), "--json");
  const result: DatasetReport = JSON.parse(stdout);
  expect(result.cases).toHaveLength(11);
  expect(result.unreadable.map(({ id }) => id)).toEqual(["phantom_007"]);
  expect(result.outliers.map((one) => [one.case, one.what])).toContainEqual(["phantom_003", "volume of posterior"]);
  expect(result.outliers.map((one) => [one.case, one.what])).toContainEqual([
    "phantom_003",
    "mean MRI inside the labels",
  ]);
  expect(result.typical).not.toContain("phantom_003");
  expect(result.folds).toMatchObject({ own: false, unvalidated: [] });
  expect(result.folds.list.map(({ validation }) => validation)).toEqual([2, 2, 2, 2, 2]);

  const page = await readFile(at("page.html"), "utf8");
  expect(page).toMatch(/^<!doctype html>/);
  expect(page).toContain("the same voxels as case phantom_004");
  expect(page).toMatch(/Not measured, phantom_007: .*phantom_007\.nii\.gz/);
  expect(page).toMatch(/phantom_003<\/td><td>.*volume of posterior is/);
  // Nothing is asked of a network or of another file.
  expect(page).not.toMatch(/https?:|src="(?!data:)|href=|url\(|@import/);
  const pictures = [...page.matchAll(/<img src="data:image\/png;base64,([^"]+)"/g)].map(([, text]) => text);
  const unusual = new Set(result.outliers.map((one) => one.case));
  expect(pictures).toHaveLength(result.typical.length + unusual.size);
  await expect(decodePng(Buffer.from(pictures[0], "base64"), "picture")).rejects.toThrow("colour PNG");
  // Tags that are opened are closed.
  for (const tag of ["table", "tr", "td", "svg", "figure", "div", "details", "ul", "p"]) {
    const count = (pattern: string): number => page.match(new RegExp(pattern, "g"))?.length ?? 0;
    expect([tag, count(`<${tag}[ >]`)]).toEqual([tag, count(`</${tag}>`)]);
  }
});

test("the terminal gets the main findings; folds that cannot be made are explained on the page", async () => {
  await report(at("set"), "--out", at("few.html"), "--folds", "20");
  expect(stdout).toMatch(/^11 cases measured, \d problems?, \d warnings?\.\n/);
  expect(stdout).toContain("phantom_003: ");
  expect(stdout).toMatch(/few\.html\n$/);
  expect(await readFile(at("few.html"), "utf8")).toContain("Expected at least 20 cases for 20 folds");
  await expect(report(at("nothing"))).rejects.toThrow("there is no such folder");
});

test("plain folders, and a set without anything unusual", async () => {
  await report("--images", at("set/imagesTs"), "--labels", at("set/labelsTs"), "--out", at("plain.html"));
  expect(stdout).toMatch(/^2 cases measured/);
  const page = await readFile(at("plain.html"), "utf8");
  expect(page).toContain("no check found anything");
  expect(page).toMatch(/Unusual cases<\/h2>\s*<p>None/);
});
