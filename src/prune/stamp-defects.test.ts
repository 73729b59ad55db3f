import { mkdir, mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { planOf } from "../dataset/testing.ts";
import { createBackend } from "../engine/backend.ts";
import type { Backend, Batch, TensorMap, Trainer } from "../engine/types.ts";
import { sampleModel } from "../model/sample.ts";
import { buildGraph, initialise } from "../net/build.ts";
import { doubling, flat } from "../net/make.ts";
import { prunableLayers, removeChannels } from "../net/remove.ts";
import { presetSettings } from "../train/presets.ts";
import { silentProgress } from "../train/progress.ts";
import { random } from "../util/random.ts";
import { readPruneCheckpoint } from "./checkpoint.ts";
import { targetedRates } from "./dropout.ts";
import { prunePaths } from "./folder.ts";
import type { Scores } from "./importance.ts";
import { resolveLimits } from "./limits.ts";
import { type Phase, trainPhase } from "./phase.ts";
import { lowestChannels } from "./pick.ts";
import { rankChannels } from "./rank.ts";
import { freshState, runPruning } from "./session.ts";
import { resolvePruning } from "./settings.ts";
import type { PruneFile, PruneOptions } from "./types.ts";

// Each of the defects that were found in the published STAMP code (DESIGN section 6), by a name that says which.

const net = doubling(2, { levels: 3, convs: 1, inputChannels: 1, outputChannels: 2 });
const window: [number, number, number] = [4, 4, 4];
const plan = planOf({ patch: window, pools: net.pools, kernels: net.kernels });
const graph = buildGraph(net, { batch: 2, shape: window });
const batchOf = (step: number): Batch => {
  const draw = random(step, 1);
  return {
    input: Float32Array.from({ length: 128 }, draw.normal),
    target: Uint8Array.from({ length: 128 }, () => draw.int(2)),
  };
};
const batches = { next: async (step: number) => batchOf(step) };

function runOf(options: Partial<PruneOptions>): PruneFile {
  const setup = {
    net,
    settings: { ...presetSettings("strong", plan), window },
    trainingCases: ["a"],
    validationCases: [],
  };
  return {
    version: 1,
    lunet: "0.1.0",
    started: "2026-01-01T00:00:00.000Z",
    data: { name: "noise" },
    netName: "unet:2",
    net,
    parameters: 1,
    fold: null,
    mirrorAxes: [],
    engine: "reference",
    ...resolvePruning({ out: "", epochSteps: 2, rankBatches: 1, ...options }, setup),
    trainingCases: ["a"],
    validationCases: [],
    state: "running",
    result: null,
  };
}

let folder: string;
let backend: Backend;
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), "lunet-stamp-"));
  backend = await createBackend({ name: "reference" });
});
afterAll(async () => {
  await backend.close();
  await rm(folder, { recursive: true });
});

async function prune(name: string, run: PruneFile) {
  const paths = prunePaths(join(folder, name));
  await mkdir(paths.sizes, { recursive: true });
  const start = freshState(run, initialise(graph, 1));
  const ended = await runPruning(
    { run, paths, plan, backend, lowMemory: false, batches, validation: [], progress: silentProgress },
    start,
  );
  return { ...ended, last: await readPruneCheckpoint(paths.checkpoint) };
}

/** A trainer that counts its steps, and validation that never gets better. */
function fakePhase(run: PruneFile): { phase: Phase; steps: number[] } {
  const steps: number[] = [];
  const trainer = {
    step: () => ({ loss: 1, dice: [1, 1], gradientNorm: 1 }),
    getParameters: () => new Map(),
    getState: () => new Map(),
  } as unknown as Trainer;
  const source = {
    next: async (step: number) => {
      steps.push(step);
      return batchOf(step);
    },
  };
  const phase = {
    run,
    graph,
    trainer,
    batches: source,
    check: async () => 0.5,
    save: async () => {},
    stop: () => false,
  };
  return { phase, steps };
}

describe("defects of the published STAMP code that ours does not have", () => {
  it("1. the skip's offset after the first encoder removal: later removals cut the right slice", async () => {
    const { tensors } = sampleModel(net);
    const input = batchOf(1).input.subarray(0, 64);
    const one = buildGraph(net, { batch: 1, shape: window });
    const masked: TensorMap = new Map([...tensors].map(([name, data]) => [name, data.slice()]));
    for (const [layer, channel] of [
      ["encoder.0.0", 0],
      ["encoder.1.0", 3],
      ["encoder.1.0", 1],
    ] as const) {
      masked.get(`${layer}.norm.weight`)![channel] = 0;
      masked.get(`${layer}.norm.bias`)![channel] = 0;
    }
    const first = removeChannels(net, [{ layer: "encoder.0.0", channels: [0] }]);
    const second = removeChannels(first.net, [{ layer: "encoder.1.0", channels: [3] }]);
    const third = removeChannels(second.net, [{ layer: "encoder.1.0", channels: [1] }]);
    const logits = async (of: typeof one, values: TensorMap): Promise<Float32Array> => {
      const program = await backend.inference(of);
      program.setParameters(values);
      return program.logits(input);
    };
    const pruned = buildGraph(third.net, { batch: 1, shape: window });
    expect(await logits(pruned, third.apply(second.apply(first.apply(tensors))))).toEqual(await logits(one, masked));
  });

  it("2. the norm's shift and running statistics reset: they stay those of the channels that stay", () => {
    const { tensors } = sampleModel(net);
    const less = removeChannels(net, [{ layer: "bottleneck.0", channels: [2, 5] }]).apply(tensors);
    for (const part of ["bias", "norm.weight", "norm.bias", "norm.running_mean", "norm.running_var"]) {
      const before = tensors.get(`bottleneck.0.${part}`)!;
      expect([...less.get(`bottleneck.0.${part}`)!]).toEqual([0, 1, 3, 4, 6, 7].map((c) => before[c]));
    }
  });

  it("3. r - 1 recovery epochs: every removal is followed by r", async () => {
    const run = runOf({ warm: { epochs: 1 }, recovery: { epochs: 3 }, remove: 4, until: { channels: 18 } });
    const { curve, last } = await prune("recovery", run);
    expect(curve).toHaveLength(3);
    expect(last.step).toBe(2 + 2 * 3 * 2);
    const { phase, steps } = fakePhase(run);
    await trainPhase(phase, { ...freshState(run, new Map()), removals: 1, step: 2, phaseStart: 2 });
    expect(steps).toEqual([2, 3, 4, 5, 6, 7]);
  });

  it("4. a dropout layer that is never updated: whichever layer is least important, its rate is the highest", () => {
    const units = prunableLayers(net).filter(({ kind }) => kind === "conv");
    for (const { name } of units) {
      const scores: Scores = new Map(
        prunableLayers(net).map((layer) => [
          layer.name,
          new Float64Array(layer.width).fill(layer.name === name ? 0.1 : 0.9),
        ]),
      );
      const rates = targetedRates(graph, scores);
      expect([...rates.keys()]).toEqual(units.map((unit) => unit.name));
      expect(rates.get(name)).toBe(0.1);
      expect(Math.max(...[...rates].flatMap(([layer, rate]) => (layer === name ? [] : [rate])))).toBeLessThan(0.1);
    }
  });

  it("5. no guard of the last channel: no layer is emptied, by rank or by hand", async () => {
    const scores: Scores = new Map(prunableLayers(net).map(({ name, width }) => [name, new Float64Array(width)]));
    const chosen = lowestChannels(scores, 1000);
    for (const { name, width } of prunableLayers(net)) {
      expect(chosen.filter(({ layer }) => layer === name)).toHaveLength(width - 1);
    }
    expect(() => removeChannels(net, [{ layer: "encoder.0.0", channels: [0, 1] }])).toThrow("must keep one");
    const { curve, run } = await prune(
      "all",
      runOf({ warm: { steps: 1 }, recovery: { steps: 1 }, remove: 5, until: { channels: 7 } }),
    );
    expect(run.result?.ended).toBe("channels");
    expect(new Set(Object.values(curve.at(-1)!.widths))).toEqual(new Set([1]));
  });

  it("6. optimiser state lost at every removal: moments and step count go on", async () => {
    const options = {
      warm: { steps: 2 },
      recovery: { steps: 0 },
      remove: 4,
      until: { channels: 18 },
      criterion: "weight",
    } as const;
    const before = await prune("moments-before", runOf({ ...options, until: { channels: 22 } }));
    const after = await prune("moments", runOf(options));
    expect(after.last.optimiser.get("step")).toEqual(Float32Array.of(2));
    const [, , record] = after.curve;
    const cut = removeChannels(
      before.last.net,
      record.removed.map(({ layer, channel }) => ({ layer, channels: [channel] })),
    );
    expect(after.last.optimiser).toEqual(cut.apply(before.last.optimiser));
    expect(after.last.optimiser.get("m.head.weight")!.some((value) => value !== 0)).toBe(true);
  });

  it("7. an early stop that ends the whole run: it ends one recovery, and the next one begins", async () => {
    const run = runOf({ recovery: { epochs: 10 } });
    run.pruning.patience = 2;
    const { phase, steps } = fakePhase(run);
    const first = await trainPhase(phase, { ...freshState(run, new Map()), removals: 1 });
    // The first check is the best so far, the next two are no better.
    expect(first).toMatchObject({ left: false, state: { step: 6, phaseOver: true } });
    const next = {
      ...first.state,
      removals: 2,
      phaseStart: 6,
      phaseOver: false,
      patience: { best: null, since: 0 },
    };
    expect((await trainPhase(phase, next)).state.step).toBe(12);
    expect(steps).toHaveLength(12);
    const { run: ended, curve } = await prune(
      "patience",
      runOf({ warm: { steps: 2 }, recovery: { steps: 2 }, remove: 4, until: { channels: 18 } }),
    );
    expect([ended.state, curve.length]).toEqual(["finished", 3]);
  });

  it("8. a percentage that is a count: 50 % of 26 channels are 13", () => {
    const choice = { criterion: "l2", pick: "stamp" } as const;
    expect(prunableLayers(net).reduce((sum, { width }) => sum + width, 0)).toBe(26);
    expect(resolveLimits({ channels: "50%" }, net, choice).channels).toBe(13);
    expect(resolveLimits({ removed: "10%" }, net, choice).channels).toBe(23);
    expect(resolveLimits({ channels: 13 }, net, choice).channels).toBe(13);
  });

  it("9. ranking that mixes train and eval mode: running statistics neither count nor change", async () => {
    const loss = { dice: 1, eps: 1e-5, includeBackground: true };
    const { tensors } = sampleModel(flat(2, { levels: 2, convs: 1, inputChannels: 1, outputChannels: 2 }));
    const small = flat(2, { levels: 2, convs: 1, inputChannels: 1, outputChannels: 2 });
    const other: TensorMap = new Map(
      [...tensors].map(([name, data]) => [name, name.includes("running") ? data.map((v) => v + 3) : data]),
    );
    const rank = (values: TensorMap, criterion: "l2" | "taylor") =>
      rankChannels({
        ...{ criterion, net: small, graph: buildGraph(small, { batch: 2, shape: window }), tensors: values, backend },
        ...{ loss, batches, from: 0, count: 3, draw: random(1) },
      });
    for (const criterion of ["l2", "taylor"] as const) {
      expect(await rank(other, criterion)).toEqual(await rank(tensors, criterion));
    }
    // A run without training keeps the statistics it began with, however often it ranks.
    const { last } = await prune(
      "statistics",
      runOf({ warm: { steps: 0 }, recovery: { steps: 0 }, remove: 4, until: { channels: 14 } }),
    );
    expect(last).toMatchObject({ step: 0, removals: 3 });
    for (const { name } of prunableLayers(last.net).filter(({ kind }) => kind === "conv")) {
      expect(new Set(last.parameters.get(`${name}.norm.running_mean`))).toEqual(new Set([0]));
      expect(new Set(last.parameters.get(`${name}.norm.running_var`))).toEqual(new Set([1]));
    }
  });
});
