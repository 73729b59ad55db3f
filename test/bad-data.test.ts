import { cp, mkdir, mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it, vi } from "vitest";
import { main } from "../src/cli/main.ts";
import { random } from "../src/util/random.ts";
import { writeVolume } from "../src/volume/files.ts";
import type { Vec3, VoxelArray } from "../src/volume/volume.ts";

/** Two sound cases, a and b; every test spoils b in a copy. */
let sound: string;
let folder: string;
let count = 0;
const shape: Vec3 = [10, 12, 8];
const voxels = 960;

const affine = (x = 0): Float64Array => Float64Array.of(1, 0, 0, x, 0, 1, 0, 0, 0, 0, 1, 0, 0, 0, 0, 1);
const noise = (seed: number): Float32Array => {
  const r = random(seed);
  return Float32Array.from({ length: voxels }, () => 1 + r.next());
};
const mask = (value: number): Uint8Array => new Uint8Array(voxels).fill(value, 300, 500);

async function write(path: string, data: VoxelArray, size = shape, at = affine()): Promise<void> {
  await writeVolume(join(folder, path), { data, shape: size, affine: at });
}

beforeAll(async () => {
  sound = folder = await mkdtemp(join(tmpdir(), "lunet-bad-data-"));
  for (const [seed, id] of ["a", "b"].entries()) {
    await write(`set/imagesTr/${id}.nii.gz`, noise(seed));
    await write(`set/labelsTr/${id}.nii.gz`, mask(1));
  }
  await writeFile(
    join(folder, "set/dataset.json"),
    JSON.stringify({ name: "Tiny", modality: { 0: "MRI" }, labels: { 0: "background", 1: "organ" } }),
  );
});
afterAll(() => rm(sound, { recursive: true }));

let errors: string;
let output: string;
beforeEach(async () => {
  folder = join(sound, String(count++));
  await cp(join(sound, "set"), folder, { recursive: true });
  errors = "";
  output = "";
  vi.spyOn(process.stderr, "write").mockImplementation((text) => {
    errors += text;
    return true;
  });
  vi.spyOn(process.stdout, "write").mockImplementation((text) => {
    output += text;
    return true;
  });
  vi.spyOn(console, "log").mockImplementation((text) => {
    output += `${text}\n`;
  });
});
afterEach(() => {
  vi.restoreAllMocks();
  process.exitCode = undefined;
});

/** `plan` and `train` must end with exit code 1, this one sentence, and no run folder. */
async function refused(sentence: string): Promise<void> {
  const run = join(folder, "run");
  for (const args of [
    ["plan", folder],
    ["train", folder, "--fold", "none", "--out", run],
  ]) {
    errors = "";
    expect(await main(args), errors).toBe(1);
    expect(errors).toBe(`lunet: ${sentence}\n`);
    expect(output).toBe("");
  }
}

/** `verify` must end with exit code 1 and list this problem alone. */
async function listed(line: string): Promise<void> {
  expect(await main(["verify", folder])).toBe(1);
  expect(output).toContain(`Problems:\n  ${line}\n`);
  expect(output).toContain("\n1 problem, 0 warnings.\n");
  expect(errors).toBe("");
  output = "";
  process.exitCode = undefined;
}

/** Changes the unpacked header of b's image: writes int16 `values` at byte `at`. */
async function spoilHeader(at: number, ...values: number[]): Promise<void> {
  await rm(join(folder, "imagesTr/b.nii.gz"));
  await write("imagesTr/b.nii", noise(1));
  const bytes = await readFile(join(folder, "imagesTr/b.nii"));
  for (const [i, value] of values.entries()) bytes.writeInt16LE(value, at + 2 * i);
  await writeFile(join(folder, "imagesTr/b.nii"), bytes);
}

it("sound data pass", async () => {
  expect(await main(["verify", folder]), output).toBe(0);
  expect(await main(["plan", folder]), errors).toBe(0);
});

it("a truncated .nii.gz", async () => {
  const path = join(folder, "imagesTr/b.nii.gz");
  await writeFile(path, (await readFile(path)).subarray(0, 40));
  const sentence = `${path}: compressed data is cut short or damaged after 0 unpacked bytes; copy the file again.`;
  await listed(`b: expected a readable image, found ${sentence}`);
  await refused(sentence);
});

describe("a NIfTI with impossible dimensions", () => {
  it("an axis below 1", async () => {
    await spoilHeader(42, -8);
    const sentence = `${join(folder, "imagesTr/b.nii")}: impossible size -8 of axis 1 (dim[1]); expected 1 or more.`;
    await listed(`b: expected a readable image, found ${sentence}`);
    await refused(sentence);
  });
  it("more voxels than the file can hold", async () => {
    await spoilHeader(42, 32000, 32000, 32000);
    const sentence = `${join(folder, "imagesTr/b.nii")}: cut short, 32000 x 32000 x 32000 voxels of float32 take 131072000000000 bytes and the file holds 3840; copy it again.`;
    await listed(`b: expected a readable image, found ${sentence}`);
    await refused(sentence);
  });
});

it("a label of another shape", async () => {
  await write("labelsTr/b.nii.gz", mask(1), [10, 8, 12]);
  await listed("b: expected the label with the image's shape 10 x 12 x 8 (D, H, W), found 10 x 8 x 12");
  await refused(
    "Expected the label of case b on the grid of its first image [10, 12, 8] (D, H, W), but it is [10, 8, 12]; resample it or take the case out.",
  );
});

it("a label of another affine", async () => {
  await write("labelsTr/b.nii.gz", mask(1), shape, affine(3));
  await listed(
    "b: expected the label on the image's grid (corners within 5 % of a voxel, 0.050 mm), found a corner 3.00 mm away; axes RAS against the image's RAS",
  );
  await refused(
    "Expected the label of case b in the place of its first image, but their affines put a corner 3.00 mm apart (axes RAS against RAS); run lunet verify and mend the file.",
  );
});

it("a label value that is not in dataset.json", async () => {
  const data = mask(1);
  data[300] = 7;
  await write("labelsTr/b.nii.gz", data);
  await listed("b: expected label values 0, 1 as in the data set's description, found 7 (1 voxel)");
  await refused(
    "Expected label values 0, 1 in case b, but found 7; add it to the labels of dataset.json or mend the file.",
  );
});

it("NaN voxels", async () => {
  const data = noise(1);
  data[5] = Number.NaN;
  await write("imagesTr/b.nii.gz", data);
  await listed("b: expected finite voxels in channel MRI, found 1 of 960 are NaN or infinite");
  await refused("Expected finite voxels in case b, channel MRI, but found NaN; run lunet verify and mend the file.");
});

it("an empty folder", async () => {
  const ways =
    "give a folder with dataset.json (nnU-Net raw or MSD layout), or plain folders with --images DIR --labels DIR";
  await rm(folder, { recursive: true });
  await mkdir(folder);
  await refused(`Expected dataset.json in ${folder}, but there is none; ${ways}.`);
});

it("a folder without scans", async () => {
  await rm(join(folder, "imagesTr"), { recursive: true });
  await mkdir(join(folder, "imagesTr"));
  await refused(
    `Expected scans (.nii.gz, .nii, .nrrd, .nhdr, .mha, .mhd, .hdr, .png) in ${join(folder, "imagesTr")}, but the folder holds none; check the path and the file endings.`,
  );
});

it("a case without label", async () => {
  await rm(join(folder, "labelsTr/b.nii.gz"));
  await listed(`b: expected a label file for every training case, found no file ${join(folder, "labelsTr/b.nii.gz")}`);
  await refused(
    `Expected a label in ${join(folder, "labelsTr")} for every image, but 1 of 2 cases has none (b); add the labels or move those images to imagesTs.`,
  );
});
