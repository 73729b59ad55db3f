import { mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, expect, it } from "vitest";
import { readVolume } from "../volume/files.ts";
import { runDemo } from "./demo.ts";

let folder: string;
const said: string[] = [];
const progress = { say: (text: string) => void said.push(text), live: () => {}, close: () => {} };
const small = { net: "lean:2", budget: { steps: 4 }, threads: 1, progress };

beforeAll(() => {
  folder = mkdtempSync(join(tmpdir(), "lunet-demo-"));
});
afterAll(() => rmSync(folder, { recursive: true }));

it("makes up scans, trains, segments the test scans on their own grid, and writes the page", async () => {
  const phantom = { cases: 6, test: 2, shape: [24, 32, 24] as [number, number, number] };
  const { page, summary } = await runDemo({ ...small, out: folder, phantom });
  expect(page).toBe(join(folder, "index.html"));
  expect(summary.cases.map(({ id }) => id)).toEqual(["phantom_007", "phantom_008"]);
  expect(summary.classes.map(({ name }) => name)).toEqual(["anterior", "posterior"]);
  const html = readFileSync(page, "utf8");
  for (const text of ["phantom_007", "test scans that training never saw", "data:image/png;base64,", "made-up"]) {
    expect(html).toContain(text);
  }
  const scan = await readVolume(join(folder, "data", "imagesTs", "phantom_007.nii.gz"));
  const prediction = await readVolume(join(folder, "predictions", "phantom_007.nii.gz"));
  expect(prediction.shape).toEqual(scan.shape);
  expect(prediction.affine).toEqual(scan.affine);
});

it("takes a data set of one's own; without labels of test scans it shows the validation scans", async () => {
  const data = join(folder, "data");
  rmSync(join(data, "labelsTs"), { recursive: true });
  const { page, summary } = await runDemo({ ...small, data, out: join(folder, "own") });
  const run = JSON.parse(readFileSync(join(folder, "own", "run", "run.json"), "utf8"));
  expect(summary.cases.map(({ id }) => id).sort()).toEqual(run.validationCases);
  const html = readFileSync(page, "utf8");
  expect(html).toContain("validation scans");
  expect(html).not.toContain("made-up");
  expect(html).toContain(`npx lunet verify ${data}`);
});
