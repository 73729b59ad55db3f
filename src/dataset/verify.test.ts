import { mkdir, mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, expect, test } from "vitest";
import { writeVolume } from "../volume/files.ts";
import type { Vec3, VoxelArray } from "../volume/volume.ts";
import { readDataset } from "./read.ts";
import { sharedData } from "./testing.ts";
import { verifyDataset } from "./verify.ts";

let root = "";
beforeAll(async () => {
  root = await mkdtemp(join(tmpdir(), "lunet-verify-"));
  for (const part of ["imagesTr", "labelsTr"]) await mkdir(join(root, part));
});
afterAll(() => rm(root, { recursive: true }));

const affine = (shift = 0, flip = 1): Float64Array =>
  Float64Array.of(flip, 0, 0, shift, 0, 1, 0, 0, 0, 0, 2, 0, 0, 0, 0, 1);

async function scan(name: string, data: VoxelArray, geometry = affine(), shape: Vec3 = [1, 2, 3]): Promise<void> {
  await writeVolume(join(root, `${name}.nii.gz`), { data, shape, affine: geometry });
}

test("every kind of problem is found, with case, expected and found, and none hides another", async () => {
  const labelled = Uint8Array.of(0, 0, 1, 1, 0, 0);
  const image = (first: number): Float32Array => Float32Array.of(first, 2, 3, 4, 5, 6);
  const good = [
    "a_good",
    "b_nan",
    "c_value",
    "d_shape",
    "e_shift",
    "f_near",
    "g_twin",
    "h_constant",
    "j_flip",
    "k_empty",
  ];
  for (const [i, id] of good.entries()) {
    await scan(`imagesTr/${id}`, image(i * 10));
    await scan(`labelsTr/${id}`, labelled);
  }
  await scan("imagesTr/b_nan", Float32Array.of(Number.NaN, 1, 2, Number.POSITIVE_INFINITY, 4, 5));
  await scan("labelsTr/c_value", Float32Array.of(0, 1, 4, 4, 0.5, 0));
  await scan("labelsTr/d_shape", new Uint8Array(8).fill(1), affine(), [1, 2, 4]);
  await scan("labelsTr/e_shift", labelled, affine(0.06));
  await scan("labelsTr/f_near", labelled, affine(0.04));
  await scan("imagesTr/g_twin", image(0));
  await scan("imagesTr/h_constant", new Float32Array(6).fill(3));
  await scan("labelsTr/j_flip", labelled, affine(0, -1));
  await scan("labelsTr/k_empty", new Uint8Array(6));
  await writeFile(join(root, "imagesTr/l_broken.nii.gz"), "not a scan");
  await scan("labelsTr/l_broken", labelled);
  await scan("imagesTr/m_lonely", image(200));
  await scan("labelsTr/n_lonely", labelled);
  await writeFile(
    join(root, "dataset.json"),
    JSON.stringify({ modality: { 0: "MRI" }, labels: { 0: "background", 1: "organ", 2: "rare" } }),
  );
  const { problems, warnings, summary } = await verifyDataset(await readDataset(root, { allowIncomplete: true }));
  const lines = problems.map((p) => `${p.case}: expected ${p.expected}, found ${p.found}`);
  const expected = [
    /^b_nan: expected finite voxels in channel MRI, found 2 of 6 are NaN or infinite/,
    /^c_value: expected label values 0, 1, 2 .*found 4 \(2 voxels\), 0.5 \(1 voxel\)/,
    /^d_shape: expected the label with the image's shape 1 x 2 x 3 .*found 1 x 2 x 4/,
    /^e_shift: expected the label on the image's grid \(corners within 5 % of a voxel, 0.050 mm\), found a corner 0.0600 mm/,
    /^g_twin: .*the same voxels as case a_good/,
    /^j_flip: .*axes LAS against the image's RAS/,
    /^l_broken: expected a readable image/,
    /^m_lonely: expected a label file .*m_lonely.nii.gz/,
    /^n_lonely: expected an image for every label, found no image for .*n_lonely.nii.gz/,
  ];
  expect(lines).toHaveLength(expected.length);
  for (const [i, pattern] of expected.entries()) expect(lines[i]).toMatch(pattern);
  expect(warnings.map((w) => `${w.case} ${w.found}`)).toEqual([
    "h_constant all voxels are 3",
    "k_empty only background",
    "(all) none has it",
  ]);
  expect(summary.training).toBe(13);
  expect(summary.shapes).toEqual({ min: [1, 2, 3], max: [1, 2, 3] });
  expect(summary.spacings).toEqual({ min: [2, 1, 1], max: [2, 1, 1] });
  expect(summary.orientations).toEqual({ RAS: 11 });
});

const hippocampus = sharedData("hippocampus");
test.skipIf(!hippocampus)("the hippocampus set has no problems and no warnings", async () => {
  const { problems, warnings, summary } = await verifyDataset(await readDataset(hippocampus));
  expect([problems, warnings]).toEqual([[], []]);
  expect(summary.training).toBe(200);
  expect(summary.labels.map(({ cases }) => cases)).toEqual([200, 200, 200]);
});
