import { describe, expect, it } from "vitest";
import { planOf } from "../dataset/testing.ts";
import type { Plan } from "../dataset/types.ts";
import { doublingParameters, flatParameters } from "../net/count.ts";
import type { Vec3 } from "../volume/volume.ts";
import { resolveArms } from "./arms.ts";
import type { ArmSpec, StudySpec } from "./spec.ts";

/** A plan with as many levels as asked for, by default 5, and two classes. */
const plans = (levels = 5): Plan =>
  planOf({
    pools: Array.from({ length: levels - 1 }, (): Vec3 => [2, 2, 2]),
    kernels: Array.from({ length: levels }, (): Vec3 => [3, 3, 3]),
  });
const resolve = (arms: ArmSpec[], study: Partial<StudySpec> = {}) =>
  resolveArms({ name: "test", ...study, arms }, plans);
const labels = (arms: ArmSpec[]) => resolve(arms).map(({ arm }) => arm.label);

it("finds the paper's pair: doubling 4 equals flat 24", () => {
  const [unet, lean] = resolve([{ net: "unet:4" }, { net: "lean", "equal-to": "unet:4" }]);
  expect(unet.parameters).toBe(doublingParameters(4, 4, 2));
  expect(lean.parameters).toBe(flatParameters(24, 4, 2));
  expect(lean.arm).toMatchObject({ id: "lean-24", label: "lean:24", net: "lean:24", pair: "unet-4" });
});

it("takes the nearer of two widths, with the arm's own changes counted", () => {
  // flat:22 has 292,042 parameters, flat:23 318,990.
  for (const [target, width] of [
    ["lean:22", 22],
    ["lean:23", 23],
  ] as const) {
    const [, found] = resolve([{ net: target }, { net: "flat", label: "twin", "equal-to": target }]);
    expect(found.arm.net).toBe(`flat:${width}`);
  }
  const [, wide] = resolve([{ net: "unet:4" }, { net: "lean", bottleneck: 64, "equal-to": "unet:4" }]);
  expect(Math.abs(wide.parameters / doublingParameters(4, 4, 2) - 1)).toBeLessThan(0.1);
  expect(wide.spec.bottleneck).toEqual([64, 64]);
  expect(wide.arm.net).not.toBe("lean:24");
});

it("makes an arm of every combination of an entry's lists", () => {
  expect(labels([{ net: "lean:8", skips: ["all", "none"], bottleneck: [2, 64] }])).toEqual([
    "lean:8, skips, bottleneck 2",
    "lean:8, skips, bottleneck 64",
    "lean:8, no skips, bottleneck 2",
    "lean:8, no skips, bottleneck 64",
  ]);
  expect(labels([{ prune: "unet:4", pick: ["stamp", "random-at-largest"], label: "pruned" }])).toEqual([
    "pruned, stamp",
    "pruned, random-at-largest",
  ]);
  expect(
    labels([
      { net: "lean:8" },
      { net: "lean:8", "training-cases": [10, 20] },
      { net: "lean:8", convs: 3 },
      { net: "lean:8", unit: { norm: "instance", slope: 0.01 } },
    ]),
  ).toEqual(["lean:8", "lean:8, 10 cases", "lean:8, 20 cases", "lean:8, 3 convs", "lean:8, instance norm, slope 0.01"]);
});

it("switches skips off, one by one too, and keeps all else of the net", () => {
  const [all, none, some] = resolve([{ net: "unet:2", levels: 3, skips: ["all", "none", [false, true]] }]);
  expect(none.spec).toEqual({ ...all.spec, skips: [false, false] });
  expect(some.spec.skips).toEqual([false, true]);
  expect(none.arm).toMatchObject({ skips: "none", levels: 3, net: "unet:2" });
  // The plan's own number of levels is no setting of the arm, stated or not: the two can be compared.
  const [stated, plain] = resolve([{ net: "unet:2", levels: 5 }, { net: "lean:2" }]);
  expect([stated.arm.levels, plain.arm.levels]).toEqual([undefined, undefined]);
});

it("puts an arm's settings over the study's", () => {
  const [a, b] = resolve([{ net: "lean:8" }, { net: "lean:4", steps: 5, preset: "paper", settings: { batch: 1 } }], {
    steps: 100,
    convs: 3,
    settings: { lr: 0.1, batch: 2 },
  });
  expect(a).toMatchObject({ steps: 100, preset: "strong", settings: { lr: 0.1, batch: 2 }, arm: { convs: 3 } });
  expect(b).toMatchObject({ steps: 5, preset: "paper", settings: { lr: 0.1, batch: 1 } });
  expect(a.spec.bottleneck).toHaveLength(3);
  const [c] = resolve([{ net: "lean:4", unit: { order: "conv-norm-act" }, settings: { "deep-supervision": true } }]);
  expect(c.spec.unit).toMatchObject({ order: "conv-norm-act", norm: "batch" });
  expect(c.settings).toEqual({ "deep-supervision": true });
});

describe("refuses in words", () => {
  it.each<[ArmSpec[], string]>([
    [
      [{ net: "lean:2" }, { net: "unet", "equal-to": "lean:2" }],
      "no unet net has about as many parameters as lean:2 (2,572); the nearest, unet:1, has 22,364",
    ],
    [
      [{ net: "unet:4" }, { net: "lean", "equal-to": "unet:5" }],
      'Arm 2 of the study: expected equal-to to name another arm with a width of its own, but got "unet:5"; did you mean "unet:4"?',
    ],
    [[{ net: "leen:8" }], "Arm 1 of the study: Expected a net such as lean:8"],
    [[{ net: "lean:8", skips: [true] }], "Arm 1 of the study: expected skips for 4 levels, but got 1."],
    [
      [{ label: "nothing" }],
      "Arm 1 of the study: expected one of the keys net (train it) and prune (start from it), but got none.",
    ],
    [[{ net: "lean:8", pick: "stamp" }], "the keys pick and pruning belong to an arm with the key prune"],
    [[{ prune: "unet:4", steps: 5 }], "a pruning arm has no steps"],
    [
      [{ net: "lean:8" }, { net: "lean:8" }],
      'Two arms of the study are called "lean:8"; give one of them another label.',
    ],
  ])("%j", (arms, words) => {
    expect(() => resolve(arms)).toThrow(words);
  });
});
