import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { buildGraph } from "../../net/build.ts";
import { type MakeOptions, parseNet } from "../../net/make.ts";
import { type ConformanceCase, conformanceCases, type SmallNet, smallGraph } from "../conformance-cases.ts";
import type { TrainSpec } from "../types.ts";
import { MEMORY_LIMIT, type MemoryPlan } from "./arena.ts";
import { createWasmBackend, type WasmBackend } from "./backend.ts";
import { layoutOf } from "./layout.ts";
import { planMemory, planMeterMemory } from "./plan-memory.ts";

const adamw: TrainSpec["optimiser"] = { kind: "adamw", beta1: 0.9, beta2: 0.999, eps: 1e-8, weightDecay: 0 };
const sgd: TrainSpec["optimiser"] = { kind: "sgd", momentum: 0.9, nesterov: true, weightDecay: 0 };
const loss: TrainSpec["loss"] = { dice: 1, eps: 1e-5, includeBackground: true };
const spec: TrainSpec = { loss, optimiser: adamw, clip: 0, ema: 0 };

/** 3D and 2D, batch and instance norm, both orders, with and without skips; their specs have all optimisers and averages. */
const cases = conformanceCases().filter(({ name }) =>
  /^(flat 8|2D|no skips|two sources 3|conv-.*plane|random [0-5]$|input read|heads)/.test(name),
);

describe("the plan is what is used", () => {
  let backend: WasmBackend;
  beforeAll(async () => {
    backend = await createWasmBackend({ threads: 1, tiles: "fma-128" });
  });
  afterAll(() => backend.close());

  test.each(cases)("$name", async ({ graph, spec }: ConformanceCase) => {
    const inference = await backend.inference(graph);
    expect(planMemory(graph, undefined, backend).total).toBe(inference.bytes);
    inference.close();
    for (const recompute of [false, true]) {
      const plan = planMemory(graph, { ...spec, recompute }, backend);
      const trainer = await backend.trainer(graph, { ...spec, recompute });
      expect(plan.total).toBe(trainer.bytes);
      trainer.close();
      expect(Object.values(plan.uses).reduce((sum, bytes) => sum + bytes)).toBe(plan.total);
      const meter = await backend.meter(graph, spec.loss, recompute);
      expect(planMeterMemory(graph, { loss: spec.loss, recompute }, backend).total).toBe(meter.bytes);
      meter.close();
    }
  });
});

test("copies of the parameters: two moments for Adam, one for SGD, an average where there is one", () => {
  const { graph } = cases[0];
  const uses = (change: Partial<TrainSpec>) => planMemory(graph, { ...spec, ...change }).uses;
  const { weights } = uses({});
  expect(uses({})).toMatchObject({ weightGradients: weights, moments: 2 * weights, average: 0 });
  expect(uses({ optimiser: sgd, ema: 0.9 })).toMatchObject({
    weightGradients: weights,
    moments: weights,
    average: weights,
  });
  expect(planMemory(graph).uses).toMatchObject({ weights, weightGradients: 0, moments: 0, average: 0, gradients: 0 });
});

test("a chain of three units: what is kept, and what is enough", () => {
  // Logits of the units' width, so that all tensors but the input have one layout.
  const chain: SmallNet = {
    batch: 2,
    shape: [4, 8, 8],
    inputChannels: 1,
    widths: [[8, 8, 8]],
    decoder: [],
    kernels: [[3, 3, 3]],
    pools: [],
    skips: [],
    outputChannels: 8,
    output: "softmax",
    tail: { order: "conv-act-norm", norm: "batch", slope: 0, eps: 1e-5, momentum: 0.1 },
  };
  const tensors = (recompute: boolean): number => {
    const { activations, gradients } = planMemory(smallGraph(chain), { ...spec, recompute }).uses;
    return (activations + gradients) / (2 * layoutOf(8, chain.shape, 1).sampleBytes);
  };
  // Before and after each norm, the logits, and one gradient: from then on gradients lie where dead values were.
  expect(tensors(false)).toBe(3 * 2 + 1 + 1);
  // Before each norm, the last one's output, whose place its gradient takes, and the logits.
  expect(tensors(true)).toBe(3 + 1 + 1);
});

const make: MakeOptions = { levels: 5, convs: 2, inputChannels: 1, outputChannels: 2, dimensions: 3 };
const plan = (name: string, batch: number, side: number, recompute = false): MemoryPlan =>
  planMemory(buildGraph(parseNet(name, make), { batch, shape: [side, side, side] }), { ...spec, recompute });
const planOf = (...args: Parameters<typeof plan>): number => plan(...args).total;

test("grows with the batch, and past the limit of the engine", () => {
  const plans = [1, 2, 3].map((batch) => plan("lean:8", batch, 32));
  expect(plans[1].total).toBeGreaterThan(plans[0].total);
  // Slabs are as many for any batch, as far as it divides them: their parts of weight gradients do not grow evenly.
  const [one, two, three] = plans.map(({ total, uses }) => total - uses.partialSums - uses.other);
  // Each of a few hundred pieces is rounded up to 64 bytes.
  expect(Math.abs(three - 2 * two + one)).toBeLessThan(300 * 64);
  expect(planOf("lean:8", 1024, 64)).toBeGreaterThan(20 * MEMORY_LIMIT);
});

test.each(["lean:8", "unet:4", "unet:16"])("%s: recomputing takes less than two thirds", (name) => {
  expect(planOf(name, 2, 64, true)).toBeLessThan((2 / 3) * planOf(name, 2, 64));
});

test.each(["lean:8", "unet:4"])("%s: recomputing saves a meter a third too", (name) => {
  const graph = buildGraph(parseNet(name, make), { batch: 2, shape: [64, 64, 64] });
  const meter = (recompute: boolean): number => planMeterMemory(graph, { loss, recompute }).total;
  expect(meter(true)).toBeLessThan((2 / 3) * meter(false));
  // Beside a trainer's tensors it has an area to convolve into: 8 channels of 2 x 66^3 voxels at most.
  for (const recompute of [false, true]) {
    expect(meter(recompute) - planOf(name, 2, 64, recompute)).toBeLessThan(2 * 66 ** 3 * 32);
  }
});
