import { afterAll, beforeAll, describe, expect, it, vi } from "vitest";
import { createBackend } from "../engine/backend.ts";
import type { Backend, Batch, TensorMap } from "../engine/types.ts";
import { buildGraph, initialise } from "../net/build.ts";
import { doubling } from "../net/make.ts";
import { prunableLayers } from "../net/remove.ts";
import { random } from "../util/random.ts";
import { batchScores, normaliseByLayer, type Scores } from "./importance.ts";
import { type RankOptions, rankChannels } from "./rank.ts";
import type { Criterion } from "./types.ts";

const net = doubling(2, { levels: 2, convs: 1, inputChannels: 1, outputChannels: 2 });
const graph = buildGraph(net, { batch: 2, shape: [4, 4, 4] });
const loss = { dice: 1, eps: 1e-5, includeBackground: true };
const batchOf = (step: number): Batch => {
  const draw = random(step, 1);
  return {
    input: Float32Array.from({ length: 128 }, draw.normal),
    target: Uint8Array.from({ length: 128 }, () => draw.int(2)),
  };
};

let backend: Backend;
let tensors: TensorMap;
beforeAll(async () => {
  backend = await createBackend({ name: "reference" });
  tensors = initialise(graph, 1);
});
afterAll(() => backend.close());

const rank = (criterion: Criterion, more: Partial<RankOptions> = {}): Promise<Scores | null> =>
  rankChannels({
    ...{ criterion, net, graph, tensors, backend, loss, from: 5, count: 3, draw: random(3) },
    batches: { next: async (step) => batchOf(step) },
    ...more,
  });

describe("ranking", () => {
  it.each(["l1", "l2", "l1-sd", "taylor"] as const)(
    "by %s adds the batches of the coming steps, then normalises",
    async (criterion) => {
      const meter = await backend.meter(graph, loss);
      meter.setParameters(tensors);
      const sums: Scores = new Map(prunableLayers(net).map(({ name, width }) => [name, new Float64Array(width)]));
      for (const step of [5, 6, 7]) {
        for (const [layer, measured] of (await meter.measure(batchOf(step))).channels) {
          const total = sums.get(layer)!;
          batchScores(criterion, measured).forEach((value, c) => {
            total[c] += value;
          });
        }
      }
      const scores = await rank(criterion);
      expect(scores).toEqual(normaliseByLayer(sums));
      for (const values of scores!.values()) {
        expect(values.reduce((sum, v) => sum + v * v, 0)).toBeCloseTo(1, 12);
      }
    },
  );

  it("by parameters or by chance runs no batch", async () => {
    const batches = { next: () => Promise.reject(new Error("asked for a batch")) };
    for (const criterion of ["weight", "bn-scale", "random"] as const) {
      expect((await rank(criterion, { batches }))!.size).toBe(criterion === "bn-scale" ? 3 : 4);
    }
    expect(await rank("random")).toEqual(await rank("random"));
    expect(await rank("random")).not.toEqual(await rank("random", { draw: random(4) }));
  });

  it("stops when it is asked to, and closes its meter", async () => {
    const close = vi.fn();
    const watched = {
      meter: async (...args: Parameters<Backend["meter"]>) => ({ ...(await backend.meter(...args)), close }),
    };
    let asked = 0;
    expect(await rank("l2", { backend: watched, stop: () => ++asked === 2 })).toBeNull();
    expect(close).toHaveBeenCalledOnce();
  });
});
