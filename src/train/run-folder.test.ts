import { existsSync } from "node:fs";
import { mkdtemp, readdir, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { parseNet } from "../net/make.ts";
import { presetSettings } from "./presets.ts";
import {
  checkSameSettings,
  clearRunFolder,
  openRunFolder,
  type RunFile,
  runPaths,
  writeRunFile,
} from "./run-folder.ts";

const plan = { dimensions: 3 as const, patch: [16, 16, 16] as [number, number, number], pools: [], batch: 2 };
const run: RunFile = {
  version: 1,
  lunet: "0.1.0",
  started: "2026-01-01T00:00:00.000Z",
  data: { path: "data", name: "set" },
  netName: "lean:8",
  net: parseNet("lean:8", { levels: 3, convs: 2, inputChannels: 1, outputChannels: 2 }),
  parameters: 1,
  fold: 0,
  mirrorAxes: [],
  engine: "wasm",
  settings: presetSettings("strong", plan),
  budget: { minutes: 2 },
  steps: 900,
  epochSteps: 25,
  checks: { every: 1, cases: 3 },
  calibration: null,
  trainingCases: ["a"],
  validationCases: ["b"],
  state: "running",
  result: null,
};

describe("run folder", () => {
  let parent: string;
  beforeAll(async () => {
    parent = await mkdtemp(join(tmpdir(), "lunet-run-"));
  });
  afterAll(() => rm(parent, { recursive: true }));

  it("neither overwrites a run nor resumes none", async () => {
    const paths = runPaths(join(parent, "deep", "run"));
    await expect(openRunFolder(paths, { resume: true })).rejects.toThrow("there is no run.json");
    expect(await openRunFolder(paths, {})).toBeNull();
    await writeRunFile(paths.run, run);
    await writeFile(paths.checkpoint, "old");
    await writeFile(join(paths.folder, "notes.txt"), "the user's own");
    await expect(openRunFolder(paths, {})).rejects.toThrow("already holds a run; add --resume");
    await expect(openRunFolder(paths, { resume: true, force: true })).rejects.toThrow("but got both");
    expect(await openRunFolder(paths, { resume: true })).toEqual(run);
    expect(await openRunFolder(paths, { force: true })).toBeNull();
    expect(existsSync(paths.run)).toBe(true);
    await clearRunFolder(paths);
    expect(await readdir(paths.folder)).toEqual(["notes.txt"]);
  });

  it("keeps off a folder that holds a run of another kind, forced or not", async () => {
    const paths = runPaths(join(parent, "pruned"));
    await openRunFolder(paths, {});
    await writeFile(join(paths.folder, "prune.json"), "{}");
    await expect(openRunFolder(paths, { force: true })).rejects.toThrow("a run of another kind (prune.json)");
  });

  it("says so when the folder cannot be made", async () => {
    await writeFile(join(parent, "file"), "");
    await expect(openRunFolder(runPaths(join(parent, "file", "run")), {})).rejects.toThrow("a file, not a folder");
  });

  it("refuses to resume with another setting and names its option", () => {
    const same = {
      learningRate: 0.01,
      batch: undefined,
      netName: "lean:8",
      levels: 3,
      convs: 2,
      norm: "batch",
      slope: 0,
      minutes: 2,
      steps: 900,
    };
    expect(() => checkSameSettings(same, run)).not.toThrow();
    expect(() => checkSameSettings({ learningRate: 0.02 }, run)).toThrow(
      "another --lr (0.01) than asked for now (0.02)",
    );
    expect(() => checkSameSettings({ norm: "instance" }, run)).toThrow(
      "another --norm (batch) than asked for now (instance)",
    );
    expect(() => checkSameSettings({ fold: null }, run)).toThrow("another --fold (0) than asked for now (null)");
    expect(() => checkSameSettings({ epochs: 3 }, run)).toThrow("another --epochs (not set)");
    expect(() => checkSameSettings({ steps: 901 }, run)).toThrow("another --steps (900)");
    expect(() => checkSameSettings({ folds: 3 }, run)).toThrow("another --folds (not set) than asked for now (3)");
    expect(() => checkSameSettings({ recoverySteps: 5 }, run, { recoverySteps: 4 })).toThrow(
      "another --recovery-steps (4)",
    );
    expect(() => checkSameSettings({ groups: "^(a)" }, { ...run, groups: "^(b)" })).toThrow("another --groups (^(b))");
  });
});
