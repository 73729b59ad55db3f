import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, expect, test } from "vitest";
import { sampleModel } from "../model/sample.ts";
import { flat } from "../net/make.ts";
import { identityAffine } from "../volume/affine.ts";
import { writeVolume } from "../volume/files.ts";
import { checkJobs, jobBytes } from "./memory.ts";
import type { BatchOrder } from "./order.ts";

let root = "";
beforeAll(async () => {
  root = await mkdtemp(join(tmpdir(), "lunet-memory-"));
  const affine = identityAffine();
  await writeVolume(join(root, "small.nii"), { data: new Int16Array(8), shape: [2, 2, 2], affine });
  await writeVolume(join(root, "large.nii"), { data: new Int16Array(100 ** 3), shape: [100, 100, 100], affine });
  await writeFile(join(root, "broken.nii"), new Uint8Array(3e6));
});
afterAll(() => rm(root, { recursive: true }));

const order: BatchOrder = {
  ...{
    models: [],
    out: root,
    engine: "wasm",
    threads: 1,
    window: "patch",
    step: 0.5,
    postprocess: true,
    uncertainty: false,
  },
};
const input = (name: string) => ({ id: name, images: [join(root, `${name}.nii`)], models: [0], trained: false });

test("a job's memory goes by the largest scan that can be read", async () => {
  const models = [sampleModel(flat(2, { levels: 2, convs: 1, inputChannels: 1, outputChannels: 2 }))];
  const [small, large] = await Promise.all(
    [["small"], ["small", "broken", "large"]].map((names) => jobBytes(models, names.map(input), order)),
  );
  // Programs of other sizes; 10^6 voxels: int16 twice, the label map twice; and the planes under the patch's windows.
  expect(large - small - 2 ** 28).toBeGreaterThan(6e6);
  expect(large - small - 2 ** 28).toBeLessThan(20e6);
  expect(small).toBeGreaterThan(200 * 2 ** 20);
  await checkJobs(1, models, [input("small")], order);
  await expect(checkJobs(1e6, models, [input("small")], order)).rejects.toThrow(
    /1000000 processes need about .* GiB .*; --jobs \d+ would fit/,
  );
});
