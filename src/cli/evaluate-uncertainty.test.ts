import { expect, test } from "vitest";
import type { CaseMetrics } from "../evaluate/case.ts";
import type { Uncertainty } from "../evaluate/uncertainty.ts";
import { trustRows } from "./evaluate-uncertainty.ts";

const caseOf = (id: string, dice: number): CaseMetrics => ({ id, classes: [{ dice }] }) as unknown as CaseMetrics;

const measured = (foregroundEntropy: number | null, ml: number, softMl: number): Uncertainty => ({
  entropy: 0,
  foregroundEntropy,
  largestEntropy: Math.log(2),
  classes: [{ name: "organ", ml, softMl, probability: ml > 0 ? 0.9 : null }],
});

test("ranks against Dice, by hand; measures that do not vary have no correlation, those of too few cases no row", () => {
  // Entropies 4, 3, 1, 2 and Dice 1, 2, 3, 4: ranks differ by 3, 1, -2, -2; rho = 1 - 6 x 18 / (4 x 15).
  const cases = [0.1, 0.2, 0.3, 0.4].map((dice, i) => caseOf(`${i}`, dice));
  const known = new Map(
    [0.4, 0.3, 0.1, 0.2].map((entropy, i) => [`${i}`, measured(entropy, 10, 10 + i)] as [string, Uncertainty]),
  );
  const rows = trustRows([...cases, caseOf("unmeasured", 0.9)], known);
  expect(rows.map(({ measure }) => measure)).toEqual([
    "entropy of the predicted foreground",
    "probability inside the predicted masks",
    "gap between soft and hard volume",
  ]);
  expect(rows[0]).toMatchObject({ cases: 4, useful: "falls" });
  expect(rows[0].rho).toBeCloseTo(-0.8, 12);
  expect(rows[1]).toMatchObject({ rho: null, low: null, high: null });
  expect(rows[2].rho).toBeCloseTo(1, 12);
  expect(trustRows(cases, known)).toEqual(rows);

  known.set("0", measured(null, 0, 0));
  known.set("1", measured(null, 0, 0));
  expect(trustRows(cases, known)).toEqual([]);
});
