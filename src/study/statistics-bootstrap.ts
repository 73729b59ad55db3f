import { type Interval, quantile } from "../evaluate/bootstrap.ts";
import { random } from "../util/random.ts";
import { average } from "./statistics.ts";

/** Values of one unit (case or patient), by the run of training that they come from. */
export type UnitValues = ReadonlyMap<string, number>;

/**
 * 95 % interval of a mean over units, each of which was measured in one or more runs of training. Both are chance: another
 * study would have other cases and other random weights. So every resample draws units with replacement and, independently,
 * runs with replacement (the pigeonhole bootstrap of Owen 2007), and takes percentiles. A unit counts with the mean over
 * its runs; units whose runs were not drawn sit a resample out. With a single run this is the plain bootstrap over units,
 * and says nothing of what training again would change. Null for no units. Same values, same interval.
 */
export function crossedInterval(units: readonly UnitValues[], resamples = 10_000): Interval | null {
  const n = units.length;
  if (n === 0) return null;
  const runs = [...new Set(units.flatMap((unit) => [...unit.keys()]))];
  const generator = random(1, n, runs.length);
  // Rows of [run, value] without maps: this loop runs a few million times a report.
  const rows = units.map((unit) => [...unit].map(([run, value]) => ({ run: runs.indexOf(run), value })));
  const weights = new Float64Array(runs.length);
  const values = new Float64Array(n);
  const means = new Float64Array(resamples);
  for (let done = 0; done < resamples; ) {
    weights.fill(0);
    for (let i = 0; i < runs.length; i++) weights[generator.int(runs.length)]++;
    rows.forEach((row, i) => {
      let sum = 0;
      let weight = 0;
      for (const { run, value } of row) {
        sum += weights[run] * value;
        weight += weights[run];
      }
      values[i] = weight > 0 ? sum / weight : Number.NaN;
    });
    let sum = 0;
    let count = 0;
    for (let i = 0; i < n; i++) {
      const value = values[generator.int(n)];
      if (Number.isNaN(value)) continue;
      sum += value;
      count++;
    }
    if (count > 0) means[done++] = sum / count; // a resample may draw only units whose runs it left out
  }
  means.sort();
  return {
    n,
    mean: average(units.map((unit) => average([...unit.values()]))),
    low: quantile(means, 0.025),
    high: quantile(means, 0.975),
  };
}
