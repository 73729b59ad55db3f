import { mkdtemp, readFile, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it, vi } from "vitest";
import type { Plan } from "../dataset/types.ts";
import type { Batch, TensorMap, Trainer } from "../engine/types.ts";
import { buildGraph, initialise } from "../net/build.ts";
import { parseNet } from "../net/make.ts";
import { readCheckpoint } from "./checkpoint.ts";
import { createFileStore, readLog } from "./file-store.ts";
import { presetSettings } from "./presets.ts";
import { silentProgress } from "./progress.ts";
import { type RunFile, readRunFile, runPaths } from "./run-folder.ts";
import { epochOf, freshCheckpoint, runSession, type Session } from "./session.ts";

const net = parseNet("lean:1", { levels: 2, convs: 1, inputChannels: 1, outputChannels: 2 });
const plan: Plan = {
  version: 1,
  dataset: "made up",
  dimensions: 3,
  channels: [{ name: "MRI", normalisation: { kind: "zscore", percentiles: null } }],
  labels: [0, 1].map((value) => ({ value, name: `class ${value}` })),
  spacing: [1, 1, 1],
  patch: [2, 2, 2],
  batch: 1,
  pools: net.pools,
  kernels: net.kernels,
  mirrorAxes: [],
  reasons: [],
};
const graph = buildGraph(net, { batch: 1, shape: [2, 2, 2] });
const run: RunFile = {
  version: 1,
  lunet: "0.1.0",
  started: "2026-01-01T00:00:00.000Z",
  data: { name: "made up" },
  netName: "lean:1",
  net,
  parameters: 1,
  fold: null,
  mirrorAxes: [],
  engine: "reference",
  settings: presetSettings("strong", plan),
  budget: { minutes: 1 },
  steps: 600,
  epochSteps: 10,
  checks: { every: 0, cases: 0 },
  calibration: { stepSeconds: 0.1, caseSeconds: 0 },
  trainingCases: ["a"],
  validationCases: [],
  state: "running",
  result: null,
};

/** ms */
let clock: number;
let parent: string;
beforeAll(async () => {
  parent = await mkdtemp(join(tmpdir(), "lunet-session-"));
});
afterAll(() => rm(parent, { recursive: true }));
beforeEach(() => {
  clock = 0;
  vi.spyOn(performance, "now").mockImplementation(() => clock);
});
afterEach(() => {
  vi.restoreAllMocks();
});

/** A trainer whose weights depend on every rate it was given; `pace` is the ms that a step takes. */
function fakeTrainer(pace: (step: number) => number, onStep?: (step: number) => void): Trainer {
  let weights: TensorMap = initialise(graph, 0);
  let state: TensorMap = new Map([["step", Float32Array.of(0)]]);
  return {
    step: (_, { learningRate }) => {
      const step = state.get("step")![0];
      weights = new Map([...weights].map(([name, values]) => [name, values.map((v) => v * 0.99 - learningRate)]));
      state = new Map([["step", Float32Array.of(step + 1)]]);
      clock += pace(step);
      onStep?.(step);
      return { loss: 1 / (step + 1), dice: [1, 0.5], gradientNorm: 1 };
    },
    getParameters: () => weights,
    getAverage: () => weights,
    getState: () => state,
    setParameters: (values) => {
      weights = values;
    },
    setState: (values) => {
      state = values;
    },
  } as Trainer;
}

function session(name: string, trainer: Trainer, more: Partial<Session> = {}): Session {
  const batches = { next: async () => ({}) as Batch };
  const store = createFileStore(runPaths(join(parent, name)));
  const deadline = Number.POSITIVE_INFINITY;
  return { run, store, plan, graph, trainer, batches, validator: null, progress: silentProgress, deadline, ...more };
}

/** ms a step of a machine that was measured at 100 and turns slow after 100 steps. */
const slows = (step: number): number => (step < 100 ? 100 : 200);

describe("a run in minutes", () => {
  it("plans fewer steps when the machine turns slow, and ends its schedule in time", async () => {
    const trainer = fakeTrainer(slows);
    const ended = await runSession(session("slow", trainer, { deadline: 60_000 }), await freshCheckpoint(trainer));
    expect(ended.state).toBe("finished");
    // 100 steps in 10 s and then 5 a second for 50 s
    expect(ended.steps).toBeGreaterThan(340);
    expect(ended.steps).toBeLessThanOrEqual(350);
    expect(clock).toBeLessThanOrEqual(60_000);
    expect(ended.replans!.at(-1)!.steps).toBe(ended.steps);
    expect((await readLog(runPaths(join(parent, "slow")).log)).at(-1)!.lr).toBeLessThan(1e-6);
    expect(await readRunFile(runPaths(join(parent, "slow")).run)).toEqual(ended);
  });

  it("keeps its plan on a steady machine", async () => {
    const trainer = fakeTrainer(() => 98);
    const ended = await runSession(session("steady", trainer, { deadline: 60_000 }), await freshCheckpoint(trainer));
    expect(ended).toMatchObject({ state: "finished", steps: 600 });
    expect(ended.replans).toBeUndefined();
  });

  it("stops at the limit, to be resumed, when no time is left at all", async () => {
    const trainer = fakeTrainer(() => 100);
    // After the last step of epoch 30: something else, such as a slow disk, takes the rest of the time.
    const say = (text: string): void => {
      if (text.startsWith("epoch 30/")) clock += 100_000;
    };
    const progress = { ...silentProgress, say };
    const ended = await runSession(
      session("stalled", trainer, { deadline: 60_000, progress }),
      await freshCheckpoint(trainer),
    );
    expect(ended).toMatchObject({ state: "stopped at the time limit", steps: 600, result: { last: { step: 301 } } });
  });

  it("comes out the same when it is stopped after it planned anew and resumed without a limit", async () => {
    const files = async (name: string): Promise<unknown[]> => {
      const { checkpoint, last, log } = runPaths(join(parent, name));
      const times = { seconds: 0, validationSeconds: 0, waitingShare: 0 };
      const records = (await readLog(log)).map((record) => ({ ...record, ...times }));
      return [await readFile(checkpoint), await readFile(last), records];
    };
    const trainer = fakeTrainer(slows);
    const whole = await runSession(session("whole", trainer, { deadline: 60_000 }), await freshCheckpoint(trainer));

    clock = 0;
    const stopper = new AbortController();
    // In the middle of an epoch, late enough for every new plan to be made.
    const cut = fakeTrainer(slows, (step) => (step === 324 ? stopper.abort() : undefined));
    const { signal } = stopper;
    const stopped = await runSession(session("cut", cut, { deadline: 60_000, signal }), await freshCheckpoint(cut));
    expect(stopped).toMatchObject({ state: "interrupted", steps: whole.steps });

    const paths = runPaths(join(parent, "cut"));
    const again = await readCheckpoint(paths.checkpoint);
    const fresh = fakeTrainer(() => 1000);
    fresh.setParameters(again.parameters);
    fresh.setState(again.state);
    const kept = await readRunFile(paths.run);
    const resumed = await runSession(session("cut", fresh, { run: kept }), again);
    expect(resumed).toEqual(whole);
    expect(await files("cut")).toEqual(await files("whole"));
  });
});

it("keeps the record of a short last epoch when a run is killed between its last checkpoint and its end", async () => {
  expect([epochOf(0, { steps: 0 }, 10), epochOf(10, { steps: 0 }, 10), epochOf(10, { steps: 10 }, 10)]).toEqual([
    1, 2, 1,
  ]);
  expect([epochOf(14, { steps: 4 }, 10), epochOf(14, { steps: 0 }, 10)]).toEqual([2, 3]);
  const trainer = fakeTrainer(() => 1);
  const short = { ...run, steps: 14 };
  await runSession(session("killed", trainer, { run: short }), await freshCheckpoint(trainer));
  const { checkpoint, log } = runPaths(join(parent, "killed"));
  const records = await readLog(log);
  expect(records.map(({ step }) => step)).toEqual([10, 14]);
  const end = await readCheckpoint(checkpoint);
  expect(await runSession(session("killed", trainer, { run: short }), end)).toMatchObject({ state: "finished" });
  expect(await readLog(log)).toEqual(records);
});
