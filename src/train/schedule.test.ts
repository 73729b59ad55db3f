import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { learningRateAt, parseSchedule, type ScheduleSpec } from "./schedule.ts";

const spec = (kind: ScheduleSpec["kind"], warmup = 0): ScheduleSpec => ({ kind, learningRate: 0.01, warmup });

describe("learning rate schedules", () => {
  it("has the values worked out by hand", () => {
    expect(learningRateAt(spec("constant"), 99, 100)).toBe(0.01);
    expect(learningRateAt(spec("cosine"), 0, 100)).toBe(0.01);
    expect(learningRateAt(spec("cosine"), 50, 100)).toBeCloseTo(0.005, 15);
    expect(learningRateAt(spec("cosine"), 25, 100)).toBeCloseTo(0.01 * 0.8535533905932737, 15);
    // nnU-Net's PolyLR: 0.01 (1 - 500/1000)^0.9
    expect(learningRateAt(spec("poly"), 500, 1000)).toBeCloseTo(0.005358867312681466, 15);
  });

  it("climbs linearly during warm-up and then starts the decay from the full rate", () => {
    const s = spec("cosine", 0.05);
    expect([0, 1, 4].map((k) => learningRateAt(s, k, 100))).toEqual([0.002, 0.004, 0.01]);
    expect(learningRateAt(s, 5, 100)).toBe(0.01);
    expect(learningRateAt(s, 5 + 47.5, 100)).toBeCloseTo(0.005, 15);
  });

  it("stays within (0, lr] and never rises after warm-up", () => {
    fc.assert(
      fc.property(
        fc.constantFrom("constant", "poly", "cosine" as const),
        fc.integer({ min: 1, max: 400 }),
        fc.double({ min: 0, max: 0.5, noNaN: true }),
        (kind, total, warmup) => {
          const s = spec(kind as ScheduleSpec["kind"], warmup);
          const rates = Array.from({ length: total }, (_, k) => learningRateAt(s, k, total));
          expect(rates.every((rate) => rate > 0 && rate <= s.learningRate)).toBe(true);
          const warm = Math.round(warmup * total);
          for (let k = warm + 1; k < total; k++) expect(rates[k]).toBeLessThanOrEqual(rates[k - 1]);
        },
      ),
      // 57 warm-up steps: 0.01 * 57 / 57 rounds to more than 0.01.
      { numRuns: 50, examples: [["constant", 114, 0.4956140350877193]] },
    );
  });

  it("refuses an unknown name in words", () => {
    expect(() => parseSchedule("linear")).toThrow('Unknown --schedule "linear": expected constant, poly or cosine.');
  });
});
