import { mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, expect, it } from "vitest";
import { writeFileAtomic } from "../util/files.ts";
import { readVolume, writeVolume } from "../volume/files.ts";
import { writeNifti } from "../volume/nifti.ts";
import { reorient } from "../volume/orientation.ts";
import { diceCurves, runDemo } from "./demo.ts";

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

it("shows scans of several channels in one file, the same way up however they are stored", async () => {
  const shape: [number, number, number] = [16, 16, 16];
  const affine = Float64Array.of(1, 0, 0, 0, 0, 1, 0, 0, 0, 0, 1, 0, 0, 0, 0, 1);
  const ids = Array.from({ length: 5 }, (_, i) => `case_${i}`);
  const inside = (i: number): boolean => [i >> 8, (i >> 4) & 15, i & 15].every((at, axis) => at > 3 && at < 9 + axis);
  const truth = Uint8Array.from({ length: 4096 }, (_, i) => Number(inside(i)));
  const values = Float32Array.from({ length: 4096 }, (_, i) => Number(inside(i)) + (i % 7) / 10);
  const description = {
    name: "Channels",
    modality: { 0: "T1", 1: "T2" },
    labels: { 0: "background", 1: "block" },
    training: ids.map((id) => ({ image: `./imagesTr/${id}.nii.gz`, label: `./labelsTr/${id}.nii.gz` })),
  };
  const pictures: (string[] | null)[] = [];
  for (const codes of ["RAS", "SLP"]) {
    const data = join(folder, codes);
    const image = reorient({ data: values, shape, affine }, codes);
    const label = reorient({ data: truth, shape, affine }, codes);
    const file = await writeNifti([image, image], { gzip: true });
    for (const id of ids) {
      await writeFileAtomic(join(data, "imagesTr", `${id}.nii.gz`), file);
      await writeVolume(join(data, "labelsTr", `${id}.nii.gz`), label);
    }
    await writeFileAtomic(join(data, "dataset.json"), JSON.stringify(description));
    const { page } = await runDemo({ ...small, data, out: join(folder, `of-${codes}`) });
    pictures.push(readFileSync(page, "utf8").match(/data:image\/png;base64,[^"]+/g));
  }
  expect(pictures[0]).toHaveLength(1); // the one validation scan
  expect(pictures[1]).toEqual(pictures[0]);
});

it("draws a curve for each region where the net has these, not for each label", () => {
  const labels = [0, 1, 2, 3].map((value) => ({ value, name: `label ${value}` }));
  const regions = ["whole", "core"].map((name, i) => ({ name, values: [1, 2].slice(i), paint: i + 1 }));
  const records = [{ step: 5, validationDice: [0.5, 0.25] }] as never;
  expect(diceCurves(records, { plan: { labels, regions } as never })).toEqual([
    { name: "validation whole", points: [[5, 0.5]] },
    { name: "validation core", points: [[5, 0.25]] },
  ]);
});
