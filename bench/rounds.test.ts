import { chmod, mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { expect, test, vi } from "vitest";
import type { Job } from "./cases.ts";
import { measureCase } from "./rounds.ts";

vi.spyOn(process.stderr, "write").mockReturnValue(true);

const job: Job = {
  ...{ net: "lean:3", mode: "infer", dimensions: 2, size: 16, batch: 1 },
  ...{ threads: 1, warmup: 1, reps: 1, engine: "wasm" },
} as const;

test("each program has its rounds, and one that cannot start is tried once", async () => {
  const peers = { rounds: 2, onnxruntime: true, python: "no-such-python", tune: true };
  const { runs, failures } = await measureCase(job, peers);
  expect(runs).toMatchObject({ lunet: { length: 2 }, onnxruntime: { length: 2 } });
  expect(failures).toEqual({ torch: "torch did not start: spawn no-such-python ENOENT" });
});

test.skipIf(process.platform === "win32")("PyTorch is measured with the fastest of its settings", async () => {
  // A "Python" that answers in the place of PyTorch; Windows does not start shell scripts.
  const folder = await mkdtemp(join(tmpdir(), "lunet-rounds-"));
  const python = join(folder, "python");
  await writeFile(
    python,
    '#!/bin/sh\ncase "$*" in *"plain --jit ofi"*) ms=3;; *) ms=5;; esac\necho "{\\"ms\\":[$ms,9]}"\n',
  );
  await chmod(python, 0o755);
  const measured = async (more: Partial<Job>, tune: boolean) =>
    measureCase({ ...job, ...more }, { rounds: 1, onnxruntime: false, python, tune });
  const tuned = await measured({}, true);
  expect(tuned).toMatchObject({ torchSettings: { layout: "plain", jit: "ofi" }, runs: { torch: [{ ms: [3, 9] }] } });
  // Untried: the usual winner.
  expect((await measured({}, false)).torchSettings).toEqual({ layout: "last", jit: "freeze" });
  expect((await measured({ mode: "train" }, true)).torchSettings).toEqual({ layout: "last" });
  await rm(folder, { recursive: true });
});
