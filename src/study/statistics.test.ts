import fc from "fast-check";
import { expect, test } from "vitest";
import { bootstrapMean } from "../evaluate/bootstrap.ts";
import { random } from "../util/random.ts";
import { holm, meanSd, median, ranks, slope, spearman, studentInterval } from "./statistics.ts";
import { crossedInterval } from "./statistics-bootstrap.ts";
import { uniformTails } from "./statistics-uniform.ts";
import { normalUpperTail, signedRank } from "./statistics-wilcoxon.ts";

test("mean, sample sd and median", () => {
  expect(meanSd([2, 4, 4, 4, 5, 5, 7, 9])).toEqual({ n: 8, mean: 5, sd: Math.sqrt(32 / 7) });
  expect(meanSd([3])).toEqual({ n: 1, mean: 3, sd: null });
  expect(meanSd([])).toBeNull();
  expect(median([3, 1, 2])).toBe(2);
  expect(median([4, 1, 2, 3])).toBe(2.5);
});

test("Student's interval is the textbook one", () => {
  // Four values, mean 5, sd 2: 5 -+ 3.182 x 2 / 2.
  const values = [5 - Math.sqrt(6), 5, 5, 5 + Math.sqrt(6)];
  const interval = studentInterval(values)!;
  expect(interval.low).toBeCloseTo(5 - 3.182, 12);
  expect(interval.high).toBeCloseTo(5 + 3.182, 12);
  expect(studentInterval([1])).toBeNull();
  // df = 40: published 2.021.
  const many = Array.from({ length: 41 }, (_, i) => i);
  const { sd } = meanSd(many)!;
  expect(((studentInterval(many)!.high - 20) * Math.sqrt(41)) / sd!).toBeCloseTo(2.021, 2);
});

test("ranks share ties", () => {
  expect(ranks([10, 20, 10, 30])).toEqual({ ranks: [1.5, 3, 1.5, 4], ties: [2] });
});

test("Spearman of the textbook pairs of IQ and hours of television is -29/165", () => {
  const iq = [106, 100, 86, 101, 99, 103, 97, 113, 112, 110];
  const hours = [7, 27, 2, 50, 28, 29, 20, 12, 6, 17];
  expect(spearman(iq, hours)).toBeCloseTo(-29 / 165, 12);
  expect(spearman([1, 2, 2, 4], [3, 1, 4, 4])).toBeCloseTo(0.5, 12); // ranks 1, 2.5, 2.5, 4 and 2, 1, 3.5, 3.5: 2.25 / 4.5
  expect(spearman([1, 1], [1, 2])).toBeNull();
  expect(slope([0, 1, 2], [1, 3, 5])).toBe(2);
  expect(slope([1, 1], [1, 2])).toBeNull();
});

test("Holm steps down and never falls", () => {
  // 4 x 0.005, 3 x 0.01, 2 x 0.03, then 1 x 0.04 raised to the one before.
  expect(holm([0.01, 0.04, 0.03, 0.005])).toEqual([0.03, 0.06, 0.06, 0.02]);
  expect(holm([0.6, null, 0.7])).toEqual([1, null, 1]);
});

test("signed-rank: depression scores of Hollander and Wolfe (1973), V = 40, p = 0.03906", () => {
  const x = [1.83, 0.5, 1.62, 2.48, 1.68, 1.88, 1.55, 3.06, 1.3];
  const y = [0.878, 0.647, 0.598, 2.05, 1.06, 1.29, 1.06, 3.14, 1.29];
  const result = signedRank(x.map((v, i) => v - y[i]))!;
  expect(result).toMatchObject({ n: 9, statistic: 40, method: "exact" });
  expect(result.p).toBe(20 / 512); // 10 of the 512 sign patterns have a sum of 5 or less
});

test("signed-rank: Darwin's maize (Fisher 1935) has |d| without ties and p = 0.04126", () => {
  const result = signedRank([6, 8, 14, 16, 23, 24, 28, 29, 41, -48, 49, 56, 60, -67, 75])!;
  expect(result).toMatchObject({ n: 15, statistic: 96, method: "exact" });
  expect(result.p).toBeCloseTo(0.04125976562, 10);
});

test("signed-rank: published two-sided 5 % critical values are the last to be significant", () => {
  const published: [number, number][] = [
    [6, 0],
    [8, 3],
    [10, 8],
    [12, 13],
    [15, 25],
    [20, 52],
    [25, 89],
  ];
  for (const [n, critical] of published) {
    expect(signedRank(withNegativeSum(n, critical))!.p, `n = ${n}`).toBeLessThanOrEqual(0.05);
    expect(signedRank(withNegativeSum(n, critical + 1))!.p, `n = ${n}`).toBeGreaterThan(0.05);
  }
  expect(signedRank([1, 2, 3, 4, 5])!.p).toBe(2 / 32); // five pairs can never reach 5 %
});

/** Differences 1 .. n in size, the ranks of the negative ones adding up to `sum`. */
function withNegativeSum(n: number, sum: number): number[] {
  const out: number[] = [];
  let left = sum;
  for (let rank = n; rank >= 1; rank--) {
    const negative = rank <= left;
    if (negative) left -= rank;
    out.push(negative ? -rank : rank);
  }
  return out;
}

test("signed-rank: normal approximation with ties, zeros and continuity as scipy 1.17 has it", () => {
  const tied = signedRank([1, 1, 2, -2, 3, 3, -3, 4, 5, 5, 0, 6, 7, -1, 8])!;
  expect(tied).toMatchObject({ n: 14, method: "normal" });
  expect(tied.p).toBeCloseTo(0.0153984535296, 12);
  const large = signedRank(Array.from({ length: 40 }, (_, i) => ((i + 1) % 3 === 0 ? -(i + 1) : i + 1)))!;
  expect(large).toMatchObject({ n: 40, statistic: 547, method: "normal" });
  expect(large.p).toBeCloseTo(0.0665446549686, 12);
  expect(signedRank([0, 0, 1e-15])).toBeNull();
});

test("signed-rank: swapping the arms mirrors the statistic and keeps p", () => {
  fc.assert(
    fc.property(fc.array(fc.integer({ min: -50, max: 50 }), { minLength: 1, maxLength: 40 }), (d) => {
      const [one, other] = [signedRank(d), signedRank(d.map((v) => -v))];
      expect(one?.p).toBe(other?.p);
      if (one) expect(one.statistic + other!.statistic).toBe((one.n * (one.n + 1)) / 2);
    }),
  );
});

test("normal tail", () => {
  // 1 - Phi(z) by scipy, both sides of the switch between the two forms.
  for (const [z, p] of [
    [0, 0.5],
    [1.96, 0.024997895148220435],
    [3.9, 4.8096344017602614e-5],
    [4.1, 2.0657506912546683e-5],
    [8, 6.220960574271785e-16],
  ]) {
    expect(normalUpperTail(z) / p).toBeCloseTo(1, 10);
  }
});

test("uniform removal: hypergeometric tails, alone and of several runs", () => {
  // 3 of 5 marked, 2 removed, both marked: C(3,2) / C(5,2) = 0.3.
  const draw = { total: 5, marked: 3, removed: 2, hits: 2 };
  expect(uniformTails([draw]).upper).toBeCloseTo(0.3, 12);
  expect(uniformTails([draw]).lower).toBeCloseTo(1, 12);
  expect(uniformTails([draw, draw]).upper).toBeCloseTo(0.09, 12);
  const { upper, lower } = uniformTails([{ total: 50, marked: 20, removed: 12, hits: 8 }]);
  expect(upper).toBeCloseTo(0.034758411921, 10); // scipy.stats.hypergeom.sf(7, 50, 20, 12)
  expect(lower).toBeCloseTo(0.9936783077789, 10);
});

test("interval over units and runs: none, one, equal values; a shift shifts it", () => {
  const unit = (...values: number[]) => new Map(values.map((value, i) => [`${i}`, value]));
  expect(crossedInterval([])).toBeNull();
  expect(crossedInterval([unit(3)])).toEqual({ n: 1, mean: 3, low: 3, high: 3 });
  expect(crossedInterval([unit(1, 3), unit(2)])!.mean).toBe(2); // a unit counts once, however many runs scored it
  const at = (shift: number) => crossedInterval([1, 5, 6, 9].map((v) => unit(v + shift, v + 1 + shift)))!;
  expect(at(8).low).toBe(at(0).low + 8);
  expect(at(8).high).toBe(at(0).high + 8);
});

test("interval over units and runs holds the truth 95 times in 100 where training is noisy; one over units alone does not", () => {
  // 3 folds x 2 seeds x 14 cases, difference 0; a case's own sd is 1, a run's own 0.4.
  let crossed = 0;
  let unitsOnly = 0;
  const studies = 300;
  for (let study = 0; study < studies; study++) {
    const draw = random(study, 11);
    const units: Map<string, number>[] = [];
    for (let fold = 0; fold < 3; fold++) {
      const runs = [0.4 * draw.normal(), 0.4 * draw.normal()];
      for (let i = 0; i < 14; i++) {
        const own = draw.normal();
        units.push(new Map(runs.map((run, seed) => [`${fold} ${seed}`, own + run + 0.5 * draw.normal()])));
      }
    }
    const holds = (interval: { low: number; high: number } | null) => interval!.low <= 0 && interval!.high >= 0;
    if (holds(crossedInterval(units, 400))) crossed++;
    if (
      holds(
        bootstrapMean(
          units.map((unit) => meanSd([...unit.values()])!.mean),
          { resamples: 400 },
        ),
      )
    )
      unitsOnly++;
  }
  // Standard error of a share of 300 near 0.95 is 0.013.
  expect(crossed / studies).toBeGreaterThan(0.92);
  expect(unitsOnly / studies).toBeLessThan(0.87);
});
