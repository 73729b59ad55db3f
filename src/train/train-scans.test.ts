import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, expect, it } from "vitest";
import { readCase } from "../dataset/load.ts";
import { writePhantomDataset } from "../dataset/phantom-dataset.ts";
import { readDataset } from "../dataset/read.ts";
import type { Dataset } from "../dataset/types.ts";
import { createBackend } from "../engine/backend.ts";
import type { ImmediateBackend } from "../engine/types.ts";
import { loadModel } from "../model/files.ts";
import { readLog } from "./file-store.ts";
import type { EpochRecord } from "./log.ts";
import { silentProgress } from "./progress.ts";
import { runPaths } from "./run-folder.ts";
import { trainNet } from "./train.ts";
import { type LabelledScan, trainScans } from "./train-scans.ts";

const options = { net: "lean:2", budget: { steps: 12 }, epochSteps: 4, settings: { seed: 3, classWeights: "auto" } };

let folder: string;
let dataset: Dataset;
const scans = new Map<string, LabelledScan>();
let backend: ImmediateBackend;
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), "lunet-scans-"));
  await writePhantomDataset(join(folder, "data"), { cases: 6, test: 0, shape: [24, 24, 24] });
  dataset = await readDataset(join(folder, "data"));
  for (const entry of dataset.training) {
    const { images, label } = await readCase(entry, dataset.channels, dataset);
    scans.set(entry.id, { images, label: label! });
  }
  backend = await createBackend({ threads: 2, tiles: "fma-128" });
});
afterAll(async () => {
  await backend.close();
  await rm(folder, { recursive: true });
});

it("gives the weights and the log of a run from files", async () => {
  const out = join(folder, "run");
  await trainNet({ ...options, data: join(folder, "data"), out, tiles: "fma-128", threads: 1 });
  const paths = runPaths(out);
  const expected = { best: await loadModel(paths.best), last: await loadModel(paths.last) };

  const records: EpochRecord[] = [];
  const result = await trainScans({ ...options, dataset, scans, backend, onRecord: (record) => records.push(record) });
  expect(result.run).toMatchObject({ state: "finished", steps: 12, trainingCases: expect.any(Array) });
  expect(result.model.tensors).toEqual(expected.best.tensors);
  expect(result.last!.tensors).toEqual(expected.last.tensors);
  expect({ ...result.model.provenance, created: 0 }).toEqual({ ...expected.best.provenance, created: 0 });
  expect(result.model.plan).toEqual(expected.best.plan);
  const numbers = ({ seconds, validationSeconds, waitingShare, ...rest }: EpochRecord) => rest;
  expect(records.map(numbers)).toEqual((await readLog(paths.log)).map(numbers));
});

it("resumes a run from files with the register tile that it began with", async () => {
  const out = join(folder, "cut");
  const stop = new AbortController();
  const progress = { ...silentProgress, step: ({ step }: { step: number }) => (step === 6 ? stop.abort() : undefined) };
  const begun = { ...options, data: join(folder, "data"), out, tiles: "fma-128", threads: 1 } as const;
  expect((await trainNet({ ...begun, progress, signal: stop.signal })).run.state).toBe("interrupted");
  await expect(trainNet({ out, resume: true, tiles: "mul-add-128" })).rejects.toThrow("another --tiles (fma-128)");
  const { run } = await trainNet({ out, resume: true, threads: 1 });
  expect(run).toMatchObject({ state: "finished", tiles: "fma-128" });
  const [resumed, whole] = await Promise.all([out, join(folder, "run")].map((at) => loadModel(runPaths(at).last)));
  expect(resumed.tensors).toEqual(whole.tensors);
});

it("ends after its step when it is stopped, and says which scan is missing", async () => {
  const stop = new AbortController();
  const stopped = await trainScans({
    ...{ ...options, dataset, scans, backend, signal: stop.signal },
    onRecord: () => stop.abort(),
  });
  expect(stopped.run).toMatchObject({ state: "interrupted", result: null });
  expect(stopped.model.provenance).toMatchObject({
    steps: 4,
    validationDice: [expect.any(Number), expect.any(Number)],
  });

  const early = new AbortController();
  const losses: number[] = [];
  const unchecked = await trainScans({
    ...{ ...options, dataset, scans, backend, signal: early.signal, fold: null },
    progress: {
      ...silentProgress,
      step: ({ loss }) => {
        if (losses.push(loss) === 2) early.abort();
      },
    },
  });
  expect(losses).toHaveLength(2);
  expect(unchecked.model.provenance).toMatchObject({ steps: 2, validationDice: null });
  expect(unchecked.model.tensors).not.toEqual(stopped.model.tensors);
  // The same two steps, with their moving average in the model, as in those of a run that ends.
  const averaged = new AbortController();
  const { model } = await trainScans({
    ...{ ...options, dataset, scans, backend, signal: averaged.signal, fold: null },
    settings: { ...options.settings, ema: 0.5 },
    progress: { ...silentProgress, step: ({ step }) => (step === 2 ? averaged.abort() : undefined) },
  });
  expect(model.provenance.steps).toBe(2);
  expect(model.tensors).not.toEqual(unchecked.model.tensors);
  const few = new Map([...scans].slice(1));
  await expect(trainScans({ ...options, dataset, scans: few, backend })).rejects.toThrow(
    "Expected a scan for case phantom_001",
  );
});
