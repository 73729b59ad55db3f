import fc from "fast-check";
import { expect, test } from "vitest";
import { planLengths, replanRecovery, sizeSeconds } from "./time-plan.ts";

const pruning = { rankBatches: 2, checkEvery: 1, remove: 4 };
/** Steps of 1 s, checks of 5 s. */
const pace = { step: 1, check: 5 };
/** The whole net and two sizes of half its work and less. */
const ahead = { shares: [1, 0.5, 0.25], done: 0 };
/** Three sizes of 1 s, their checks, and two rankings: 3 + 5 x 1.75 + 2 x 1.5. */
const fixed = 14.75;
const of = (seconds: number): number => seconds / 0.97;

test("time is shared as ten epochs before the first removal and one after each", () => {
  // 10.75 s for every step of recovery: 10 before, then 0.5 and 0.25.
  expect(planLengths(of(fixed + 10.75 * 20), ahead, pace, { pruning, stated: {} })).toEqual({
    warmSteps: 200,
    recoverySteps: 20,
  });
});

test("what was stated stays, the other length fills the time", () => {
  const plan = (stated: { warm?: number; recovery?: number }) =>
    planLengths(of(fixed + 100), ahead, pace, { pruning, stated });
  expect(plan({ warm: 70 })).toEqual({ warmSteps: 70, recoverySteps: 40 });
  expect(plan({ recovery: 40 })).toEqual({ warmSteps: 70, recoverySteps: 40 });
  expect(plan({ warm: 0 })).toEqual({ warmSteps: 0, recoverySteps: 133 });
});

test("checks between sizes cost only where they are made; the last size is always checked", () => {
  const seldom = { ...pruning, checkEvery: 4 };
  // Without the 2.5 s of the second size's check.
  expect(planLengths(of(fixed - 2.5 + 7.5), ahead, pace, { pruning: seldom, stated: { warm: 0 } }).recoverySteps).toBe(
    10,
  );
});

test("too little time is refused with what would do", () => {
  // 10 + 0.75 s of training at least: 25.5 s in all, of 97 %.
  expect(() => planLengths(20, ahead, pace, { pruning, stated: {} })).toThrow(
    "between about 2 removals, but they take at least 1 minute; ask for more time, remove more channels at a time (--remove, now 4)",
  );
  expect(() => planLengths(1000, ahead, pace, { pruning, stated: { warm: 2000 } })).toThrow("at least 35 minutes");
});

test("recoveries are planned anew when sizes take twice as long, and grow when they are quick", () => {
  const replan = (seconds: number, slower: number) =>
    replanRecovery(seconds, { shares: [0.5, 0.25], done: 1 }, pace, { pruning, recoverySteps: 40, slower });
  // Two sizes of 1 s, checks of 3.75 s, rankings of 1 s before each, and 0.75 s for every step of recovery.
  const due = 2 + 3.75 + 2 + 0.75 * 40;
  expect(replan(due, 1)).toBeNull();
  expect(replan(2 * due, 2)).toBeNull();
  expect(replan(due, 2)).toBe(14); // (18.875 - 7.75) / 0.75 = 14.8
  expect(replan(2 * due, 1)).toBe(65); // half way to (75.5 - 7.75) / 0.75 = 90.3
  expect(replan(0, 1)).toBe(1);
});

test("a plan that is followed fills its time, and needs no other plan on the way", () => {
  const shares = fc.array(fc.double({ min: 0.05, max: 1, noNaN: true }), { minLength: 1, maxLength: 20 });
  fc.assert(
    fc.property(shares, fc.integer({ min: 1000, max: 100_000 }), (more, seconds) => {
      const curve = [1, ...more.sort((a, b) => b - a)];
      const { warmSteps, recoverySteps } = planLengths(seconds, { shares: curve, done: 0 }, pace, {
        pruning,
        stated: {},
      });
      const taken = curve.map((share, i) =>
        sizeSeconds(share, i === 0 ? warmSteps : recoverySteps, true, pace, pruning),
      );
      const all = taken.reduce((sum, size) => sum + size, 0);
      // One step of each recovery, the rounding, may be left, and the reserve; ranking is counted for one size too many.
      const rest = 10 + curve.length + pruning.rankBatches;
      expect(all).toBeLessThanOrEqual(seconds + rest);
      expect(all).toBeGreaterThan(0.97 * seconds - rest - 10);
      const left = { shares: curve.slice(1), done: 1 };
      const options = { pruning, recoverySteps, slower: 1 };
      const longer = replanRecovery(seconds - taken[0], left, pace, options);
      if (longer !== null) expect(longer).toBeGreaterThan(recoverySteps); // the reserve goes to the recoveries
    }),
  );
});
