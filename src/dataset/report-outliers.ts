import type { CaseMeasures } from "./report-measure.ts";

/** One thing that sets a case apart from the others. */
export interface Outlier {
  case: string;
  /** E.g. "volume of Anterior" or "spacing along D". */
  what: string;
  value: number;
  /** Median over the cases it is compared with; null where the finding is no number. */
  typical: number | null;
  /** Robust z score; null where the finding is no number. */
  z: number | null;
  /** The finding as a sentence. */
  reason: string;
}

/** A quantity in which so many cases lie far from the median that they are a group of their own, such as those of another scanner. */
export interface Mixture {
  what: string;
  cases: string[];
  /** The finding as a sentence. */
  reason: string;
}

/** Iglewicz and Hoaglin's limit. */
export const outlierLimit = 3.5;
/** Fewer cases say too little about what is usual. */
const fewest = 5;
/** Differences up to this share of the median never count, as those of spacings that training leaves alone. */
const smallestShare = 0.01;
/** What this share of the cases have in common is the rule. */
const ruleShare = 0.9;
/** More than this share of the cases are not exceptions. */
const mixtureShare = 0.1;

/**
 * Modified z scores (Iglewicz and Hoaglin 1993): 0.6745 (x - median) / MAD, where MAD is the median of |x - median|. Where that is
 * 0, since more than half of the values are equal, (x - median) / (1.2533 x mean of |x - median|); 0 where all are equal.
 */
export function robustZ(values: readonly number[]): number[] {
  const middle = median(values);
  const off = values.map((x) => Math.abs(x - middle));
  const mad = median(off);
  const scale = mad > 0 ? mad / 0.6745 : 1.2533 * (off.reduce((sum, x) => sum + x, 0) / off.length);
  return values.map((x) => (scale > 0 ? (x - middle) / scale : 0));
}

/** In float64, unlike that of statistics.ts. */
function median(values: readonly number[]): number {
  const sorted = values.toSorted((a, b) => a - b);
  const half = sorted.length >> 1;
  return sorted.length % 2 ? sorted[half] : (sorted[half - 1] + sorted[half]) / 2;
}

/** A number that most cases have. */
interface Quantity {
  what: string;
  unit: string;
  /** Ratios count, not differences: sizes, and brightness without a fixed scale. */
  log: boolean;
  of: (one: CaseMeasures) => number | null;
}

/**
 * Cases with a modified z score beyond 3.5 in voxel size, extent, volume of a label or mean intensity inside or outside the labels
 * (on a log scale but for CT), without a label that at least 90 % have, or with another orientation than at least 90 %. The most
 * unusual first. Where more than 10 % are beyond, they are no outliers but a mixture.
 */
export function findOutliers(cases: readonly CaseMeasures[]): { outliers: Outlier[]; mixtures: Mixture[] } {
  const found: Outlier[] = [];
  const mixtures: Mixture[] = [];
  for (const quantity of quantitiesOf(cases)) {
    const { beyond, of, typical } = outliersIn(quantity, cases);
    if (beyond.length <= mixtureShare * of) {
      found.push(...beyond);
      continue;
    }
    const values = beyond.map(({ value }) => value);
    const number = numberOf(quantity.unit);
    mixtures.push({
      what: quantity.what,
      cases: beyond.map((one) => one.case),
      reason:
        `${quantity.what}: ${beyond.length} of ${of} cases lie far from the median ${number(typical)}, ` +
        `at ${number(Math.min(...values))} to ${number(Math.max(...values))}; the set mixes several kinds of scans`,
    });
  }
  for (const { value, name } of cases.find(({ labels }) => labels)?.labels ?? []) {
    const has = (one: CaseMeasures): boolean | null =>
      one.labels ? one.labels.some((label) => label.value === value && label.voxels > 0) : null;
    found.push(...exceptions(cases, has, `label ${value} (${name})`, "has none of"));
  }
  const codes = new Set(cases.map(({ orientation }) => orientation));
  for (const code of codes) {
    const same = (one: CaseMeasures): boolean => one.orientation === code;
    found.push(...exceptions(cases, same, `orientation ${code}`, "does not have"));
  }
  const weight = ({ z }: Outlier): number => (z === null ? Number.POSITIVE_INFINITY : Math.abs(z));
  found.sort((a, b) => (weight(b) > weight(a) ? 1 : weight(b) < weight(a) ? -1 : 0));
  return { outliers: found, mixtures };
}

/** Up to `count` cases whose quantities are all close to the medians: the smallest mean |z|, those of ids first among equals. */
export function typicalCases(cases: readonly CaseMeasures[], count: number): string[] {
  const sums = new Map(cases.filter(({ labels }) => labels).map(({ id }) => [id, 0]));
  for (const quantity of quantitiesOf(cases)) {
    for (const { id, z } of scoresOf(quantity, cases)) {
      const sum = sums.get(id);
      if (sum !== undefined) sums.set(id, sum + Math.abs(z));
    }
  }
  const without = new Set(cases.filter(({ labels }) => labels?.some(({ voxels }) => voxels === 0)).map(({ id }) => id));
  return [...sums]
    .filter(([id]) => !without.has(id))
    .sort((a, b) => a[1] - b[1])
    .slice(0, count)
    .map(([id]) => id);
}

function quantitiesOf(cases: readonly CaseMeasures[]): Quantity[] {
  const axes = ["D", "H", "W"];
  const geometry = axes.flatMap((name, axis): Quantity[] => [
    { what: `voxel size along ${name}`, unit: "mm", log: true, of: ({ spacing }) => spacing[axis] },
    { what: `extent along ${name}`, unit: "mm", log: true, of: ({ extent }) => extent[axis] },
  ]);
  const labels = (cases.find((one) => one.labels)?.labels ?? []).map(
    ({ name }, k): Quantity => ({
      what: `volume of ${name}`,
      unit: "ml",
      log: true,
      of: (one) => one.labels?.[k].ml || null,
    }),
  );
  const channels = (cases[0]?.channels ?? []).flatMap(({ name }, c) =>
    (["inside", "outside"] as const).map((where): Quantity => {
      // Without a label map everything is outside, which is not the same thing.
      const of = (one: CaseMeasures): number | null => (one.labels ? (one.channels[c]?.[where]?.mean ?? null) : null);
      const log = name.trim().toLowerCase() !== "ct" && cases.every((one) => (of(one) ?? 1) > 0);
      return { what: `mean ${name} ${where} the labels`, unit: "", log, of };
    }),
  );
  return [...geometry, ...labels, ...channels];
}

function scoresOf({ log, of }: Quantity, cases: readonly CaseMeasures[]): { id: string; value: number; z: number }[] {
  const known = cases.flatMap((one) => {
    const value = of(one);
    return value === null ? [] : [{ id: one.id, value }];
  });
  if (known.length < fewest) return [];
  const z = robustZ(known.map(({ value }) => (log ? Math.log(value) : value)));
  return known.map((one, i) => ({ ...one, z: z[i] }));
}

const numberOf =
  (unit: string) =>
  (x: number): string =>
    `${Number(x.toPrecision(4))}${unit ? ` ${unit}` : ""}`;

/** The cases beyond the limit in one quantity, and how many cases have it. */
function outliersIn(quantity: Quantity, cases: readonly CaseMeasures[]) {
  const { what, unit } = quantity;
  const scores = scoresOf(quantity, cases);
  const typical = median(scores.map(({ value }) => value));
  const number = numberOf(unit);
  const beyond = scores
    .filter(
      ({ value, z }) => Math.abs(z) > outlierLimit && Math.abs(value - typical) > smallestShare * Math.abs(typical),
    )
    .map(
      ({ id, value, z }): Outlier => ({
        case: id,
        what,
        value,
        typical,
        z,
        reason: `${what} is ${number(value)}, the median is ${number(typical)} (robust z ${z.toFixed(1)})`,
      }),
    );
  return { beyond, of: scores.length, typical };
}

/** Cases that lack what nearly all others have. */
function exceptions(
  cases: readonly CaseMeasures[],
  has: (one: CaseMeasures) => boolean | null,
  what: string,
  verb: string,
): Outlier[] {
  const known = cases.flatMap((one) => {
    const value = has(one);
    return value === null ? [] : [{ one, value }];
  });
  const count = known.filter(({ value }) => value).length;
  if (known.length < fewest || count < ruleShare * known.length) return [];
  return known
    .filter(({ value }) => !value)
    .map(({ one }) => ({
      case: one.id,
      what,
      value: 0,
      typical: null,
      z: null,
      reason: `it ${verb} ${what}, which ${count} of ${known.length} cases have`,
    }));
}
