import { expect, test } from "vitest";
import { planOf } from "../dataset/testing.ts";
import type { Plan } from "../dataset/types.ts";
import { resolveSettings } from "../train/presets.ts";
import type { Vec3 } from "../volume/volume.ts";
import { resolveArms } from "./arms.ts";
import { paperStudy, scales } from "./paper.ts";

const plan = (levels = 5): Plan =>
  planOf({
    pools: Array.from({ length: levels - 1 }, (): Vec3 => [2, 2, 2]),
    kernels: Array.from({ length: levels }, (): Vec3 => [3, 3, 3]),
  });
const armsOf = (...args: Parameters<typeof paperStudy>) => {
  const study = paperStudy(...args);
  return resolveArms(study, (levels = study.levels) => plan(levels));
};

test("every scale has the paper's recipe: full by itself, the others where it is asked for", () => {
  for (const scale of scales) {
    const added = scale === "full" ? [] : (["paper-recipe"] as const);
    const found = armsOf(scale, {}, added).filter(({ preset }) => preset === "paper");
    expect(found.length).toBeGreaterThanOrEqual(2);
    for (const { settings } of found) {
      const { batch, augment, lr } = settings;
      // The recipe's own where nothing is stated; the large family has its own rate.
      const used = resolveSettings("paper", { batch, augment, learningRate: lr }, plan());
      expect(used).toMatchObject({ augment: "none", schedule: "constant", optimiser: { kind: "adam" } });
      expect(used.learningRate).toBe(lr ?? 1e-2);
    }
  }
});

test.each(["tiny", "small"] as const)(
  "%s without the addition is as it was, with it the same and two arms more",
  (scale) => {
    const plain = paperStudy(scale, { data: "d" });
    const more = paperStudy(scale, { data: "d" }, ["paper-recipe"]);
    expect({ ...more, arms: more.arms.slice(0, -2) }).toEqual(plain);
    expect(plain.arms.every(({ preset }) => preset === undefined)).toBe(true);
    const labels = armsOf(scale, {}, ["paper-recipe"]).map(({ arm }) => arm.label);
    expect(labels.slice(-2)).toEqual(["unet:4, paper", scale === "tiny" ? "lean:2, paper" : "lean:8, paper"]);
  },
);

test("full has nothing to add", () => {
  expect(() => paperStudy("full", {}, ["paper-recipe"])).toThrow("full trains by the paper's recipe anyway");
});
