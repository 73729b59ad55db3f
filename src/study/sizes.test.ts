import { expect, it } from "vitest";
import type { CurveRecord } from "../prune/types.ts";
import { chooseSizes } from "./sizes.ts";

const curve = (...dice: (number | null)[]): CurveRecord[] =>
  dice.map((meanDice, step) => ({
    ...{
      step,
      removed: [],
      widths: {},
      parameters: 100 - step,
      parametersWithoutNorm: 90 - step,
      macs: 1,
      trainLoss: null,
    },
    ...{ validationDice: null, meanDice, model: `${step}`, seconds: 0 },
  }));
const steps = (...args: Parameters<typeof chooseSizes>): number[] => chooseSizes(...args).map(({ step }) => step);

it("takes every so many-th size, the best and the last", () => {
  expect(steps(curve(0.1, 0.9, 0.2, 0.3, 0.4, 0.5), 2)).toEqual([0, 1, 2, 4, 5]);
  expect(steps(curve(0.1, 0.2, 0.3, 0.4), 3)).toEqual([0, 3]);
  // Of equals the first; a size that was not checked is not the best.
  expect(steps(curve(0.1, null, 0.5, 0.5, null), 4)).toEqual([0, 2, 4]);
  expect(steps(curve(null), 4)).toEqual([0]);
});
