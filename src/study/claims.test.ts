import { describe, expect, test } from "vitest";
import { answerClaims, referenceArm, referenceComparisons } from "./claims.ts";
import { inOrder, levelsOf, settingsKey } from "./claims-arms.ts";
import { runStructure } from "./claims-structure.ts";
import type { Claim, Verdict } from "./claims-verdict.ts";
import { madeUpStudy, paperArms, type Truth } from "./report.fixture.ts";
import type { RunResult, StudyArm } from "./types.ts";

const pruned = paperArms.filter((arm) => arm.kind === "prune");
const skips = paperArms.filter((arm) => arm.bottleneck !== undefined);
const nets = paperArms.filter((arm) => arm.kind === "train" && !skips.includes(arm) && !arm.trainingCases);

/** One claim of a made-up study of some arms. */
function claimOf(id: number, truth: Truth, arms: StudyArm[]): Claim {
  return answerClaims(madeUpStudy({ seeds: 1, runNoise: 0.001, ...truth }, arms))[id - 1];
}

function verdicts(claim: Claim): Verdict[] {
  return claim.parts.map((part) => part.verdict);
}

const text = (claim: Claim): string => claim.parts.flatMap((part) => part.sentences).join(" ");

describe("claim 1, the structure", () => {
  test("is shown where wide layers lose more than their share", () => {
    const claim = claimOf(1, { preference: 1 }, pruned);
    expect(claim.verdict).toBe("shown");
    // unet:4 with 5 levels has 428 channels, 128 of them in the two convolutions of the bottleneck.
    expect(text(claim)).toContain("of the first 214 of 428 channels removed");
    expect(text(claim)).toContain("came from bottleneck.0 and bottleneck.1, which held 30 % of all channels");
    expect(text(claim)).toContain("3 of 3 runs");
    expect(claim.parts[0]).toMatchObject({ folds: 3, seeds: 1 });
  });

  test("is not shown where channels go by chance, and contradicted where narrow layers lose more", () => {
    expect(claimOf(1, { preference: 0, folds: 8, casesPerFold: 2 }, pruned.slice(0, 1)).verdict).toBe("not shown");
    expect(claimOf(1, { preference: -1 }, pruned).verdict).toBe("contradicted");
  });

  test("needs unequal widths and STAMP", () => {
    const flat = pruned.map((arm) => ({ ...arm, net: "lean:8" }));
    expect(claimOf(1, {}, flat).verdict).toBe("not tested");
    expect(claimOf(1, {}, pruned.slice(1)).verdict).toBe("not tested");
    expect(text(claimOf(1, {}, flat))).toContain("add an arm that prunes a net with unequal widths");
  });

  test("counts the first half of the channels, by hand", () => {
    const widths = { "encoder.0.0": 2, "bottleneck.0": 6, "decoder.0.up": 2, "decoder.0.0": 2 };
    const removal = (layer: string, step: number) => ({ layer, level: layer === "bottleneck.0" ? 1 : 0, step });
    const run = {
      sizes: [
        { step: 0, widths },
        { step: 2, widths: {} },
      ],
      chosen: 1,
      // Six of twelve channels are looked at: five of the bottleneck, one of the encoder.
      removals: [
        "bottleneck.0",
        "bottleneck.0",
        "encoder.0.0",
        "bottleneck.0",
        "bottleneck.0",
        "bottleneck.0",
        "decoder.0.0",
      ].map((layer, i) => removal(layer, i + 1)),
    } as unknown as RunResult;
    expect(runStructure(run)).toMatchObject({
      channels: 12,
      removed: 6,
      widest: { layers: ["bottleneck.0"], channels: 6, removed: 5 },
      levels: [
        { level: 0, channels: 6, removed: 1 },
        { level: 1, channels: 6, removed: 5 },
      ],
      shareAtChosen: 1, // both removals up to step 2
    });
  });
});

describe("claim 2, random channels", () => {
  test("is shown where chance does as well, at the chosen size and along the curve", () => {
    const claim = claimOf(2, { folds: 4 }, pruned);
    expect([claim.verdict, ...verdicts(claim)]).toEqual(["shown", "shown", "shown"]);
    expect(claim.parts[0].sentences[0]).toMatch(/^At the chosen size \([\d.]+ k against [\d.]+ k parameters\), /);
    expect(claim.parts[0].sentences[1]).toMatch(
      /^Along the curve, at 16 sizes with equally many channels removed \(test cases\)/,
    );
    expect(claim.parts[0]).toMatchObject({ cases: 56, folds: 4, seeds: 1 });
  });

  test("is contradicted where chance loses three points", () => {
    const claim = claimOf(2, { randomLoss: 0.03 }, pruned);
    expect([claim.verdict, ...verdicts(claim)]).toEqual(["contradicted", "contradicted", "contradicted"]);
    expect(text(claim)).toContain("worse by more than 1 point");
  });

  test("is not shown where the loss is about the margin", () => {
    expect(claimOf(2, { randomLoss: 0.01, noise: 0.02 }, pruned).verdict).toBe("not shown");
  });

  test("curves without test scores are compared on the validation cases", () => {
    const claim = claimOf(2, { testCurves: false, folds: 2 }, pruned);
    expect(text(claim)).toContain("(validation cases)");
  });

  test("a missing arm leaves its part, and so the claim, untested", () => {
    const claim = claimOf(2, {}, pruned.slice(0, 2));
    expect([claim.verdict, ...verdicts(claim)]).toEqual(["not tested", "shown", "not tested"]);
    expect(text(claim)).toContain(
      "Not tested: add two pruning arms of the same net, with pick stamp and random-at-largest.",
    );
  });
});

describe("claim 3, flat widths", () => {
  test("is shown with the ratio of parameters", () => {
    const claim = claimOf(3, {}, nets);
    expect([claim.verdict, ...verdicts(claim)]).toEqual(["shown", "shown", "shown"]);
    expect(text(claim)).toContain("lean:8 \u2212 unet:8 (39.0 k against 1.41 M parameters, 36 times fewer)");
    expect(text(claim)).toContain("lean:24 \u2212 unet:4 (347 k against 354 k parameters)");
  });

  test("is contradicted by a clear loss, part by part", () => {
    expect(verdicts(claimOf(3, { flatLoss: 0.05 }, nets))).toEqual(["contradicted", "shown"]);
    expect(verdicts(claimOf(3, { flatGain: -0.02 }, nets))).toEqual(["shown", "contradicted"]);
  });

  test("an equal net is found without being named a pair", () => {
    const arms = nets.map(({ pair: _, ...arm }) => arm);
    expect(verdicts(claimOf(3, {}, arms))).toEqual(["shown", "shown"]);
  });

  test("nets of unlike settings are not compared", () => {
    const arms = nets.map((arm) => (arm.net.startsWith("lean") ? { ...arm, convs: 3 } : arm));
    expect(claimOf(3, {}, arms).verdict).toBe("not tested");
  });
});

describe("claim 4, skips", () => {
  test("is shown where a narrow bottleneck hurts without skips alone", () => {
    const claim = claimOf(4, {}, skips);
    expect(claim.verdict).toBe("shown");
    expect(claim.parts[0].comparisons.map((c) => c.label)).toEqual([
      "Without skips, bottleneck 1 \u2212 64",
      "Loss without skips beyond the loss with skips",
      "With skips, bottleneck 1 \u2212 64",
    ]);
  });

  test("is contradicted where it does no harm, not shown where it harms both alike", () => {
    expect(claimOf(4, { lossWithoutSkips: 0 }, skips).verdict).toBe("contradicted");
    expect(claimOf(4, { lossWithoutSkips: 0.06, lossWithSkips: 0.06 }, skips).verdict).toBe("not shown");
  });

  test("needs two widths both ways", () => {
    const claim = claimOf(4, {}, skips.slice(0, 4));
    expect(claim.verdict).toBe("not tested");
    expect(text(claim)).toContain("skips all and none");
  });
});

test("one run of each arm gives no verdict on Dice, and says why", () => {
  const claims = answerClaims(madeUpStudy({ folds: 1, seeds: 1 }, [...nets, ...skips]));
  expect(claims.map((claim) => claim.verdict)).toEqual(["not tested", "not tested", "not shown", "not shown"]);
  expect(text(claims[2])).toContain("one run of each arm is too few for a verdict: add folds or seeds");
});

test("a run that failed leaves the others: fewer cases, the same answer", () => {
  const data = madeUpStudy({ folds: 4, seeds: 1 }, nets);
  const lost = data.results.findIndex((run) => run.arm === "lean-24" && run.fold === 2);
  const [run] = data.results.splice(lost, 1);
  data.failures.push({ config: run, message: "The memory was full." });
  const [lean, equal] = answerClaims(data)[2].parts;
  expect([lean.verdict, lean.cases, lean.folds]).toEqual(["shown", 56, 4]);
  expect([equal.verdict, equal.cases, equal.folds]).toEqual(["shown", 42, 3]);
});

test("a study without results tests nothing", () => {
  const data = { ...madeUpStudy({ folds: 1, seeds: 1 }, []), results: [] };
  data.study.arms = paperArms;
  expect(answerClaims(data).map((claim) => claim.verdict)).toEqual(Array(4).fill("not tested"));
  expect(referenceComparisons(data, "dice")).toEqual([]);
});

test("the reference is the arm with that role, and fewer cases are compared with as many", () => {
  const arms = [...nets, ...paperArms.filter((arm) => arm.trainingCases)].map(
    ({ role: _, ...arm }): StudyArm => (arm.id === "unet-4" ? { ...arm, role: "reference" } : arm),
  );
  const data = madeUpStudy({ folds: 2, seeds: 1 }, arms);
  expect(referenceArm(data.study)?.id).toBe("unet-4");
  const pairs = referenceComparisons(data, "dice").map((c) => `${c.a} ${c.b}`);
  expect(pairs).toEqual([
    "unet-8 unet-4",
    "lean-4 unet-4",
    "lean-8 unet-4",
    "lean-24 unet-4",
    "lean-8-10-cases unet-4-10-cases",
    "lean-8-40-cases unet-4-40-cases",
  ]);
});

test("layers run down the encoder and up the decoder", () => {
  const order = [
    "encoder.0.0",
    "encoder.0.1",
    "encoder.1.0",
    "bottleneck.0",
    "decoder.1.up",
    "decoder.1.0",
    "decoder.0.up",
    "decoder.0.0",
  ];
  expect(inOrder(order.toSorted())).toEqual(order);
  expect([...levelsOf(order).values()]).toEqual([0, 0, 1, 2, 1, 1, 0, 0]);
});

test("settings that are left out equal their defaults", () => {
  const arm: StudyArm = { id: "x", label: "x", kind: "train", net: "lean:8" };
  expect(settingsKey({ ...arm, skips: [true, true], convs: 2, preset: "strong" })).toBe(settingsKey(arm));
  // Nets that were trained differently are not compared as if they were not.
  const batch = settingsKey({ ...arm, settings: { batch: 4, steps: 100 } });
  expect(batch).not.toBe(settingsKey(arm));
  expect(settingsKey({ ...arm, settings: { steps: 100, batch: 4 } })).toBe(batch);
  expect(settingsKey({ ...arm, skips: [false, false] })).toBe(settingsKey({ ...arm, skips: "none" }));
  expect(settingsKey({ ...arm, skips: "none" })).not.toBe(settingsKey(arm));
  expect(settingsKey({ ...arm, skips: "none" }, "skips")).toBe(settingsKey(arm, "skips"));
});
