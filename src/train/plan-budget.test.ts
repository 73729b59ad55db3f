import { describe, expect, test } from "vitest";
import type { Fingerprint } from "../dataset/measure.ts";
import { planDataset } from "../dataset/plan.ts";
import type { Dataset, Plan } from "../dataset/types.ts";
import { type Vec3, voxelCount } from "../volume/volume.ts";
import { planUse, planWithin } from "./plan-budget.ts";
import { plannedNet, preparedVoxels, proposeNets } from "./plan-nets.ts";
import { stepCost } from "./step-cost.ts";
import type { StepRate } from "./step-rate.ts";

function setOf(shape: Vec3, cases = 10): [Fingerprint, Dataset] {
  const foreground = [{ percentile005: 0, percentile995: 1, mean: 0, sd: 1 }];
  const entry = { shape, spacing: [1, 1, 1] as Vec3, foreground, voxels: [], ml: [] };
  const fingerprint: Fingerprint = {
    version: 1,
    dataset: "x",
    cases: Array.from({ length: cases }, (_, i) => ({ ...entry, id: `${i}` })),
    medianShape: shape,
    medianSpacing: [1, 1, 1],
    foreground,
    classes: [],
  };
  const labels = ["background", "organ"].map((name, value) => ({ name, value }));
  return [fingerprint, { name: "x", root: "", channels: ["MRI"], labels, training: [], test: [] }];
}

/** A machine as fast as the one that the costs are from. */
const rate: StepRate = {
  net: "lean:8",
  batch: 2,
  window: [32, 48, 32],
  stepSeconds: 0.04,
  estimate: stepCost,
};

const useOf = (plan: Plan, set: [Fingerprint, Dataset], net = "lean:8") =>
  planUse(net, plan, preparedVoxels(set[0], plan), rate);

describe("planWithin", () => {
  const scans = setOf([96, 160, 128]);
  const usual = planDataset(...scans);

  test("what is allowed and more is the usual plan, with its use told", () => {
    const plan = planWithin(...scans, {}, { net: "lean:8", budget: { bytes: 2 ** 34 } });
    expect({ ...plan, reasons: plan.reasons.slice(0, -1) }).toEqual(usual);
    expect(plan.reasons.at(-1)).toMatch(
      /^Training lean:8 with this plan takes about \d+ MiB of memory; allowed are 16\.0 GiB of memory\.$/,
    );
  });

  test("the first patch of the ladder that fits the memory, and no larger one", () => {
    const bytes = 500 * 2 ** 20;
    expect(useOf(usual, scans).bytes).toBeGreaterThan(bytes);
    const plan = planWithin(...scans, {}, { net: "lean:8", budget: { bytes } });
    expect(plan.batch).toBe(2);
    expect(useOf(plan, scans).bytes).toBeLessThanOrEqual(bytes);
    expect(plan.reasons.find((reason) => reason.startsWith("Patch"))).toMatch(
      /cut from the median scan of 96x160x128 in its proportions, so that training lean:8 keeps to 500 MiB of memory; 4 pools/,
    );
    // A wider net has to be content with less.
    const wide = planWithin(...scans, {}, { net: "lean:24", budget: { bytes } });
    expect(voxelCount(wide.patch)).toBeLessThan(voxelCount(plan.patch));
    expect(useOf(wide, scans, "lean:24").bytes).toBeLessThanOrEqual(bytes);
  });

  test("a time cuts the patch or lets it grow", () => {
    const short = planWithin(...scans, {}, { net: "lean:8", budget: { secondsPerStep: 0.02 }, rate });
    expect(useOf(short, scans).stepSeconds).toBeLessThanOrEqual(0.02);
    expect(voxelCount(short.patch)).toBeLessThan(voxelCount(usual.patch));
    const long = planWithin(...scans, {}, { net: "lean:8", budget: { secondsPerStep: 60 }, rate });
    expect(long.patch).toEqual([96, 160, 128]);
  });

  test("in 2D the batch gives way before the patch, in 3D after it", () => {
    const pictures = setOf([1, 128, 128], 1000);
    const plan = planWithin(...pictures, {}, { net: "lean:8", budget: { secondsPerStep: 0.006 }, rate });
    expect([plan.patch, plan.batch]).toEqual([[1, 128, 128], 2]);
    expect(plan.reasons).toContain("Batch is 2 instead of 4, so that training lean:8 keeps to 6 ms a step.");
    const net = "lean:64";
    const least = { ...usual, patch: [8, 8, 8] as Vec3, batch: 1, pools: [[2, 2, 2]] as Vec3[] };
    const two = useOf({ ...least, batch: 2, kernels: usual.kernels.slice(0, 2) }, scans, net);
    const one = useOf({ ...least, kernels: usual.kernels.slice(0, 2) }, scans, net);
    const tight = planWithin(...scans, {}, { net, budget: { bytes: (one.bytes + two.bytes) / 2 } });
    expect(tight.batch).toBe(1);
  });

  test("what was stated stays or is refused", () => {
    const options = { net: "lean:8", budget: { secondsPerStep: 0.02 }, rate };
    const plan = planWithin(...scans, { batch: 4 }, options);
    expect(plan.batch).toBe(4);
    expect(useOf(plan, scans).stepSeconds).toBeLessThanOrEqual(0.02);
    expect(() => planWithin(...scans, { patch: [96, 96, 96] }, options)).toThrow(
      /^Expected steps of lean:8 within 20 ms a step, but even a patch of 96x96x96 with batch 1 takes .*; allow more, or take a smaller --net\.$/,
    );
    expect(() => planWithin(...scans, {}, { net: "lean:8", budget: { bytes: 2 ** 20 } })).toThrow(
      /within 1 MiB of memory, but even a patch of 8x8x8 with batch 1 takes/,
    );
  });
});

describe("proposeNets", () => {
  const set = setOf([36, 50, 35], 200);
  const plan = planDataset(...set);
  const table = (speed: number, available = 2 ** 40) =>
    proposeNets(plan, set[0], { ...rate, estimate: (net, step) => stepCost(net, step) / speed }, available);

  test("counts parameters, memory, time and steps as train would", () => {
    const { nets, step } = table(1);
    expect(step).toEqual({ batch: 2, window: [32, 48, 32] });
    expect(nets.map(({ net }) => net)).toEqual([
      "lean:4",
      "lean:8",
      "lean:12",
      "lean:16",
      "lean:24",
      "unet:4",
      "unet:16",
    ]);
    // docs/explanation.md: 29,787 parameters with 3 outputs; here 2, each of 8 weights and a bias.
    expect(nets[1].parameters).toBe(29_787 - 9);
    expect(nets[1].bytes).toBe(useOf(plan, set).bytes);
    const { stepSeconds, steps } = nets[1];
    expect(stepSeconds).toBeCloseTo(stepCost(plannedNet("lean:8", plan), { batch: 2, window: [32, 48, 32] }), 12);
    // Checks take at most 7 %, closing checks and the reserve some more.
    expect(steps[10] * stepSeconds).toBeLessThan(600);
    expect(steps[10] * stepSeconds).toBeGreaterThan(0.85 * 600);
    expect(steps[30]).toBeGreaterThan(2.9 * steps[10]);
  });

  test("recommends the widest lean net with enough steps, and says what stands in the way of more", () => {
    const words = (speed: number, available?: number) =>
      table(speed, available).recommended.map(({ net, why }) => `${net}: ${why}`);
    const reason =
      "the widest lean net that makes at least 1300 steps, below which width did not pay (measured on hippocampus scans)";
    expect(words(1)).toEqual([
      `lean:16: ${reason}; wider than lean:16 was not measured to give more`,
      `lean:16: ${reason}; wider than lean:16 was not measured to give more`,
    ]);
    const [ten, thirty] = words(0.1);
    expect(ten).toMatch(/^lean:8: .*; lean:12 would make only \d+$/);
    expect(thirty).toMatch(/^lean:16: /);
    expect(words(0.01)[0]).toMatch(/^lean:4: the fastest; \d+ steps are few, so give it about \d+ minutes/);
    const { nets } = table(1);
    expect(words(1, nets[2].bytes)[0]).toMatch(/^lean:12: .*; lean:16 does not fit the free memory$/);
    expect(words(1, 1)[0]).toBe("lean:4: no net fits the free memory; plan with --memory, which cuts the patch");
  });
});
