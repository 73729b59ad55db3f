import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, expect, it } from "vitest";
import { readVolume } from "../volume/files.ts";
import { makePhantom } from "./phantom.ts";
import { writePhantomDataset } from "./phantom-dataset.ts";
import { readDataset } from "./read.ts";

let folder: string;
beforeAll(() => {
  folder = mkdtempSync(join(tmpdir(), "lunet-phantom-"));
});
afterAll(() => rmSync(folder, { recursive: true }));

it("writes a data set that the reader takes, with the made-up voxels in it", async () => {
  const shape: [number, number, number] = [20, 24, 22];
  const seen: number[] = [];
  await writePhantomDataset(folder, { cases: 3, test: 1, seed: 9, shape, onProgress: (done) => seen.push(done) });
  expect(seen).toEqual([1, 2, 3, 4]);
  const dataset = await readDataset(folder);
  expect(dataset.training.map((c) => c.id)).toEqual(["phantom_001", "phantom_002", "phantom_003"]);
  expect(dataset.test).toHaveLength(1);
  expect(dataset.labels.map((l) => l.name)).toEqual(["background", "anterior", "posterior"]);
  const { image, label } = makePhantom(9, 3, { shape });
  const read = await readVolume(dataset.test[0].images[0]);
  expect(read.shape).toEqual(shape);
  expect(read.affine).toEqual(image.affine);
  expect(Float32Array.from(read.data)).toEqual(image.data);
  expect((await readVolume(dataset.test[0].label!)).data).toEqual(label.data);
});

it("says in words that it cannot write there", async () => {
  writeFileSync(join(folder, "file"), "");
  await expect(writePhantomDataset(join(folder, "file"))).rejects.toThrow(/file .*(not a folder|a file)/);
});
