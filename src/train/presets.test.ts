import { describe, expect, it } from "vitest";
import type { Vec3 } from "../volume/volume.ts";
import {
  augmentationFor,
  parseAugment,
  parseLoss,
  parseOptimiser,
  parseWindow,
  presetSettings,
  resolveSettings,
  trainSpecOf,
  windowOf,
} from "./presets.ts";

const pools: Vec3[] = [
  [2, 2, 2],
  [2, 2, 2],
  [2, 2, 2],
];
const plan = { dimensions: 3 as const, patch: [40, 56, 40] as Vec3, pools, batch: 2 };

describe("presets", () => {
  it("strong takes the recipe that was measured on the hippocampus", () => {
    expect(presetSettings("strong", plan)).toMatchObject({
      window: [32, 48, 32],
      batch: 2,
      learningRate: 0.01,
      schedule: "cosine",
      warmup: 0.05,
      clip: 12,
      optimiser: { kind: "adamw", weightDecay: 1e-4 },
      loss: { dice: 1, crossEntropy: 1, includeBackground: false },
    });
  });

  it("paper repeats the paper", () => {
    expect(presetSettings("paper", plan)).toMatchObject({
      window: [64, 64, 64],
      batch: 16,
      schedule: "constant",
      augment: "none",
      dropout: 0.005,
      loss: { dice: 1, eps: 1e-7, includeBackground: true },
      optimiser: { kind: "adam", weightDecay: 0 },
    });
  });

  it("moves windows of pictures about, and knows every level by name", () => {
    expect(presetSettings("strong", plan).shift).toBe(0);
    expect(presetSettings("strong", { ...plan, dimensions: 2, patch: [1, 128, 128] }).shift).toBe(0.25);
    expect(presetSettings("paper", { ...plan, dimensions: 2, patch: [1, 128, 128] }).shift).toBe(0);
    expect(() => resolveSettings("strong", { shift: 0.6 }, plan)).toThrow("--shift to be a number from 0 to 0.5");
    expect(["none", "light", "full", "spatial", "intensity"].map(parseAugment)).toContain("spatial");
    expect(() => parseAugment("heavy")).toThrow("expected none, light, full, spatial or intensity");
  });

  it("augments fully in long runs, lightly in short ones, and as stated where it is stated", () => {
    const strong = presetSettings("strong", plan);
    expect([2999, 3000].map((steps) => augmentationFor(strong, steps, undefined))).toEqual(["light", "full"]);
    expect(augmentationFor(strong, 100, "full")).toBe("full");
    expect(augmentationFor(presetSettings("paper", plan), 9999, undefined)).toBe("none");
  });

  it("halves large patches, keeps small ones and stays a multiple of the pools", () => {
    expect(windowOf({ patch: [32, 32, 32], pools })).toEqual([32, 32, 32]);
    const window = windowOf({ patch: [128, 128, 128], pools });
    expect(window.every((n) => n % 8 === 0)).toBe(true);
    expect(window[0] * window[1] * window[2]).toBeLessThanOrEqual(128 ** 3 / 2);
    expect(window[0] * window[1] * window[2]).toBeGreaterThan(128 ** 3 / 2.2);
    const flat: Vec3[] = [1, 2, 3, 4].map(() => [1, 2, 2]);
    const sides = [512, 128, 64, 48, 16].map((n) => windowOf({ patch: [1, n, n], pools: flat }));
    expect(sides).toEqual([384, 96, 48, 48, 16].map((n) => [1, n, n]));
  });

  it("puts stated values over the preset and refuses wrong ones with the option's name", () => {
    const changed = resolveSettings("strong", { learningRate: 1e-3, ema: undefined, window: [16, 16, 16] }, plan);
    expect(changed).toMatchObject({ learningRate: 1e-3, ema: 0, window: [16, 16, 16], batch: 2 });
    expect(resolveSettings("paper", { weightDecay: 0.1, loss: "dice" }, plan)).toMatchObject({
      optimiser: { kind: "adam", weightDecay: 0.1 },
      loss: { dice: 1, eps: 1e-7, includeBackground: true },
    });
    const smoothed = resolveSettings("strong", { labelSmoothing: 0.1 }, plan);
    expect(trainSpecOf(smoothed).loss).toEqual({ ...smoothed.loss, labelSmoothing: 0.1 });
    expect(() => resolveSettings("strong", { labelSmoothing: 1 }, plan)).toThrow("--label-smoothing");
    expect(() => resolveSettings("paper", { labelSmoothing: 0.1 }, plan)).toThrow(
      "Expected a loss with cross-entropy for --label-smoothing; add ce to --loss, as in dice+ce, or leave it out.",
    );
    expect(() => resolveSettings("strong", { batch: 0 }, plan)).toThrow("--batch");
    expect(() => resolveSettings("strong", { dropout: 1 }, plan)).toThrow("--dropout");
    expect(() => resolveSettings("strong", { learningRate: -1 }, plan)).toThrow(
      "Expected --lr to be a number above 0 and up to 100, but got -1.",
    );
    expect(() => resolveSettings("strong", { clip: Number.NaN }, plan)).toThrow(
      "Expected --clip to be 0 (no limit) or more, but got NaN.",
    );
    expect(() => resolveSettings("strong", { window: [30, 48, 32] }, plan)).toThrow(
      "Expected --patch to be a multiple of 8 along D (the product of the net's pools), but got 30; use 32.",
    );
  });
});

describe("values in words", () => {
  const base = { eps: 1e-5, includeBackground: false };
  it("reads losses", () => {
    expect(parseLoss("dice+ce:0.5", base)).toEqual({ ...base, dice: 1, crossEntropy: 0.5 });
    expect(parseLoss("focal", base)).toEqual({ ...base, focal: { weight: 1, gamma: 2 } });
    expect(() => parseLoss("dice+mse", base)).toThrow('Cannot read "mse" in --loss "dice+mse"');
    expect(() => parseLoss("dice:-1", base)).toThrow("dice:-1");
  });

  it("reads optimisers and windows", () => {
    expect(parseOptimiser("sgd")).toEqual({ kind: "sgd", momentum: 0.99, nesterov: true, weightDecay: 3e-5 });
    expect(parseOptimiser("adamw", 0)).toMatchObject({ kind: "adamw", weightDecay: 0 });
    expect(() => parseOptimiser("lion")).toThrow('"lion"');
    expect(parseWindow("32x48x32", 3)).toEqual([32, 48, 32]);
    expect(parseWindow("48x40", 2)).toEqual([1, 48, 40]);
    expect(parseWindow("64", 3)).toEqual([64, 64, 64]);
    expect(() => parseWindow("32x48", 3)).toThrow('Cannot read --patch "32x48": expected DxHxW');
  });
});
