import { mkdir, mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { expect, it } from "vitest";
import { queuedArray } from "./sbatch.ts";

it("a folder whose record of jobs is none of ours has nothing in the queue", async () => {
  const folder = await mkdtemp(join(tmpdir(), "lunet-sbatch-"));
  expect(await queuedArray(folder)).toBe(null);
  await mkdir(join(folder, "slurm"));
  for (const text of ["null", "{}", '{"array":7}']) {
    await writeFile(join(folder, "slurm/jobs.json"), text);
    expect(await queuedArray(folder), text).toBe(null);
  }
  await writeFile(join(folder, "slurm/jobs.json"), "{");
  await expect(queuedArray(folder)).rejects.toThrow("should be JSON");
  await rm(folder, { recursive: true });
});
