import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { calibrate, calibrationError, fitTemperature, meanNll, type VoxelSample } from "./calibration.ts";
import { nearForeground } from "./calibration-region.ts";

const sampleOf = (rows: number[][], truth: number[]): VoxelSample => ({
  classes: rows[0].length,
  logits: Float32Array.from(rows.flat()),
  truth: Uint8Array.from(truth),
});

/** Four voxels with the same two logits, three of them of class 1. */
const threeOfFour = (logit: number): VoxelSample =>
  sampleOf(
    [0, 1, 2, 3].map(() => [0, logit]),
    [1, 1, 1, 0],
  );

const anySample = fc.integer({ min: 2, max: 5 }).chain((classes) =>
  fc
    .array(
      fc.tuple(
        fc.array(fc.double({ min: -20, max: 20, noNaN: true }), { minLength: classes, maxLength: classes }),
        fc.nat(classes - 1),
      ),
      { minLength: 1, maxLength: 30 },
    )
    .map((rows) =>
      sampleOf(
        rows.map(([logits]) => logits),
        rows.map(([, k]) => k),
      ),
    ),
);

describe("expected calibration error", () => {
  test("by hand: 0.9 sure and right three times out of four is 0.15 off", () => {
    const { ece, bins } = calibrationError(threeOfFour(Math.log(9)));
    expect(ece).toBeCloseTo(0.15, 6); // logits are float32
    expect(bins).toHaveLength(15);
    // 0.9 lies in (13/15, 14/15].
    expect(bins[13]).toMatchObject({ rows: 4, accuracy: 0.75 });
    expect(bins[13].confidence).toBeCloseTo(0.9, 6);
  });

  test("by hand: two bins count by their rows, and errors of opposite sign do not cancel", () => {
    const sure = [0, 1, 2, 3].map(() => [0, Math.log(9)]);
    const unsure = [0, 1].map(() => [Math.log(1.5), 0]);
    // Sure: 0.9 against 0.75. Unsure: 0.6 against 1. (4 x 0.15 + 2 x 0.4) / 6.
    const sample = sampleOf([...sure, ...unsure], [1, 1, 1, 0, 0, 0]);
    expect(calibrationError(sample).ece).toBeCloseTo(1.4 / 6, 6);
  });

  test("intervals are closed above: 1/2 of two classes is in (7/15, 8/15], and in the first of two bins", () => {
    const coin = sampleOf([[3, 3]], [0]);
    expect(calibrationError(coin).bins.findIndex(({ rows }) => rows > 0)).toBe(7);
    expect(calibrationError(coin, 1, 2)).toMatchObject({ ece: 0.5, bins: [{ rows: 1, accuracy: 1 }, { rows: 0 }] });
  });
});

describe("temperature", () => {
  test("by hand: logits of odds 9:1 that are right 3:1 need temperature 2, where they are calibrated", () => {
    const sample = threeOfFour(2 * Math.log(3));
    const result = calibrate(sample, { cases: 1, voxels: 4 });
    expect(result.temperature).toBeCloseTo(2, 6);
    expect(result.eceBefore).toBeCloseTo(0.15, 6);
    expect(result.eceAfter).toBeCloseTo(0, 6);
    const nll = (p: number): number => -(3 * Math.log(p) + Math.log(1 - p)) / 4;
    expect(result.nllBefore).toBeCloseTo(nll(0.9), 6);
    expect(result.nllAfter).toBeCloseTo(nll(0.75), 6);
    expect(result).toMatchObject({ cases: 1, voxels: 4 });
  });

  test("calibrated logits keep temperature 1; a sure and right net meets the limit", () => {
    expect(fitTemperature(threeOfFour(Math.log(3)))).toBeCloseTo(1, 6);
    expect(fitTemperature(sampleOf([[0, 1]], [1]))).toBeCloseTo(1 / 50, 6);
    expect(fitTemperature(sampleOf([[0, 1]], [0]))).toBeCloseTo(50, 4);
    expect(fitTemperature(sampleOf([[4, 4]], [0]))).toBe(1);
  });

  test("never raises the likelihood's negative, and no temperature nearby is better", () => {
    fc.assert(
      fc.property(anySample, (sample) => {
        const temperature = fitTemperature(sample);
        const nll = meanNll(sample, temperature);
        expect(nll).toBeLessThanOrEqual(meanNll(sample));
        for (const factor of [0.8, 0.98, 1.02, 1.25]) {
          const other = Math.min(50, Math.max(1 / 50, temperature * factor));
          // 1e-9: the search ends when 1 / T moves by less than a billionth of itself.
          expect(nll).toBeLessThanOrEqual(meanNll(sample, other) + 1e-9);
        }
      }),
    );
  });

  test("scaled logits take another temperature to the same likelihood", () => {
    fc.assert(
      fc.property(anySample, fc.constantFrom(0.5, 2, 4), (sample, factor) => {
        const temperature = fitTemperature(sample);
        const scaled = { ...sample, logits: sample.logits.map((z) => z * factor) };
        // Where the best temperature lies beyond a limit there is no such law.
        fc.pre([temperature, temperature * factor].every((t) => t > 1 / 49 && t < 49));
        // 1e-8: where the likelihood is flat, both searches end a little away from its minimum.
        expect(meanNll(scaled, fitTemperature(scaled))).toBeCloseTo(meanNll(sample, temperature), 8);
      }),
    );
  });
});

test("the region is the foreground and a cube around it, cut at the border", () => {
  const line = Uint8Array.of(0, 0, 0, 0, 0, 2, 0, 0);
  expect([...nearForeground(line, [1, 1, 8], 2)]).toEqual([0, 0, 0, 1, 1, 1, 1, 1]);
  const square = new Uint8Array(25);
  square[6] = 1; // row 1, column 1 of five
  const near = nearForeground(square, [1, 5, 5], 2);
  expect([...near]).toEqual([1, 1, 1, 1, 0, 1, 1, 1, 1, 0, 1, 1, 1, 1, 0, 1, 1, 1, 1, 0, 0, 0, 0, 0, 0]);
  const cube = new Uint8Array(343);
  cube[171] = 1; // the middle of 7 x 7 x 7
  expect(nearForeground(cube, [7, 7, 7], 2).reduce((sum, x) => sum + x)).toBe(125);
});
