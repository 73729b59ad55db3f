import fc from "fast-check";
import { describe, expect, it } from "vitest";
import {
  type CheckPlanInput,
  epochStepsOf,
  parseBudget,
  planChecks,
  predictionsOf,
  replan,
  stepsInTime,
} from "./budget.ts";

const hippocampus = { epochSteps: 80, stepVoxels: 2 * 32 * 48 * 32, validationCases: 40, caseVoxels: 40 * 56 * 40 };

describe("budget", () => {
  it("takes one of minutes, epochs and steps", () => {
    expect(parseBudget({})).toEqual({ minutes: 10 });
    expect(parseBudget({ steps: 30 })).toEqual({ steps: 30 });
    expect(() => parseBudget({ steps: 30, minutes: 1 })).toThrow("but got --minutes and --steps");
    expect(() => parseBudget({ epochs: 1.5 })).toThrow("--epochs");
    expect(() => parseBudget({ minutes: Number.NaN })).toThrow("--minutes");
  });

  it("makes an epoch of about one pass", () => {
    expect([4, 160, 10_000].map((n) => epochStepsOf(n, 2))).toEqual([25, 80, 250]);
  });

  it("checks the whole fold where that is cheap, and some cases where it is not", () => {
    // 2,675 steps: 0.07 * 3 * 2675 * 98304 / (40 * 89600) = 15.4 passes over the fold; 34 epochs, every third
    expect(planChecks({ ...hippocampus, steps: 2675 })).toEqual({ every: 3, cases: 40 });
    // 400 steps: 2.3 passes, so 5 checks of 0.07 * 3 * 400 * 98304 / 5 / 89600 = 18 cases
    expect(planChecks({ ...hippocampus, steps: 400 })).toEqual({ every: 1, cases: 18 });
    expect(planChecks({ ...hippocampus, steps: 400, validationCases: 0 })).toEqual({ every: 0, cases: 0 });
  });

  const input = fc.record({
    steps: fc.integer({ min: 1, max: 20_000 }),
    epochSteps: fc.integer({ min: 25, max: 250 }),
    stepVoxels: fc.integer({ min: 1000, max: 1_000_000 }),
    validationCases: fc.integer({ min: 1, max: 300 }),
    caseVoxels: fc.integer({ min: 1000, max: 1_000_000 }),
  });

  it("keeps the checks before the last below a tenth of the training cost wherever one case is affordable", () => {
    fc.assert(
      fc.property(input, (given: CheckPlanInput) => {
        const plan = planChecks(given);
        const checks = Math.ceil(Math.ceil(given.steps / given.epochSteps) / plan.every) - 1;
        const cost = (checks * plan.cases * given.caseVoxels) / (3 * given.steps * given.stepVoxels);
        expect(checks).toBeLessThan(25);
        if (plan.cases > 1) expect(cost).toBeLessThan(0.1);
      }),
    );
  });

  it("plans steps that fit the time with their checks, and leaves little of it unused", () => {
    fc.assert(
      fc.property(input, fc.integer({ min: 60, max: 3600 }), (given, seconds) => {
        const [stepSeconds, caseSeconds] = [given.stepVoxels * 3e-6, given.caseVoxels * 1e-6];
        const steps = stepsInTime(seconds, stepSeconds, caseSeconds, given);
        const planned = { ...given, steps };
        const cost = steps * stepSeconds + predictionsOf(planChecks(planned), planned) * caseSeconds;
        if (steps > 1) expect(cost).toBeLessThanOrEqual(seconds);
        // The checks of fewer than 5 affordable cases are the only ones that may eat a large part.
        if (given.validationCases * caseSeconds * 3 < seconds * 0.1) expect(cost).toBeGreaterThan(seconds * 0.85);
      }),
    );
  });
});

describe("another pace than measured", () => {
  it("keeps a plan that nearly fits, and else plans what fits", () => {
    const plan = (steps: number, seconds: number, total = steps) => replan({ steps, seconds }, 0.1, total);
    expect(plan(1000, 100)).toBeNull();
    expect(plan(1000, 99.5)).toBeNull();
    expect(plan(1000, 104.5)).toBeNull();
    expect(plan(1000, 98.05)).toBe(980);
    expect(plan(1000, 50.05)).toBe(500);
    expect(plan(1000, 200.05)).toBe(2000);
    // At the end of a run little time left over is no reason to go on.
    expect(plan(10, 2.05, 1000)).toBeNull();
    expect(plan(1000, 0.05)).toBe(1);
    expect(plan(1000, 0)).toBeNull();
    expect(plan(1000, Number.POSITIVE_INFINITY)).toBeNull();
  });
});
