import { quantile } from "../evaluate/bootstrap.ts";
import type { CaseMetrics } from "../evaluate/case.ts";
import type { Uncertainty } from "../evaluate/uncertainty.ts";
import { spearman } from "../study/statistics.ts";
import { random } from "../util/random.ts";
import { textTable } from "../util/text-table.ts";

/** How well a measure of uncertainty orders cases by their Dice. */
export interface TrustRow {
  measure: string;
  /** What a useful measure does as Dice rises. */
  useful: "falls" | "rises";
  cases: number;
  /** Spearman's rank correlation with the mean Dice of a case; null where one of them does not vary. */
  rho: number | null;
  /** 95 % percentile bootstrap over cases. */
  low: number | null;
  high: number | null;
}

const measures: { measure: string; useful: TrustRow["useful"]; of: (u: Uncertainty) => number | null | undefined }[] = [
  {
    measure: "entropy of the predicted foreground",
    useful: "falls",
    of: (u) => u.foregroundEntropy,
  },
  {
    measure: "probability inside the predicted masks",
    useful: "rises",
    of: ({ classes }) => average(classes.flatMap(({ probability }) => probability ?? [])),
  },
  {
    measure: "gap between soft and hard volume",
    useful: "falls",
    of: ({ classes }) =>
      average(
        classes.flatMap(({ ml, softMl }) => {
          const larger = Math.max(ml, softMl);
          return larger > 0 ? Math.abs(softMl - ml) / larger : [];
        }),
      ),
  },
  { measure: "Dice between members", useful: "rises", of: ({ disagreement }) => disagreement?.meanPairDice },
  {
    measure: "share of variance between members",
    useful: "falls",
    of: ({ disagreement }) => disagreement?.varianceShare,
  },
];

const resamples = 2000;

/** Correlates each measure that three cases or more have with their mean Dice. Same cases, same intervals. */
export function trustRows(cases: readonly CaseMetrics[], known: ReadonlyMap<string, Uncertainty>): TrustRow[] {
  const measured = cases.flatMap(({ id, classes }) => {
    const uncertainty = known.get(id);
    return uncertainty ? [{ uncertainty, dice: average(classes.map(({ dice }) => dice)) ?? 0 }] : [];
  });
  return measures.flatMap(({ measure, useful, of }) => {
    const pairs = measured.flatMap(({ uncertainty, dice }): [number, number][] => {
      const value = of(uncertainty);
      return value === null || value === undefined ? [] : [[value, dice]];
    });
    if (pairs.length < 3) return [];
    return [{ measure, useful, cases: pairs.length, ...correlate(pairs) }];
  });
}

/** The rows as text. */
export function formatTrust(rows: readonly TrustRow[]): string {
  const number = (value: number | null): string => (value === null ? "-" : value.toFixed(2));
  const table = textTable(
    [
      ["uncertainty and Dice", "rank correlation", "95 % interval", "cases", "of use if"],
      ...rows.map(({ measure, rho, low, high, cases, useful }) => [
        measure,
        number(rho),
        low === null ? "-" : `${number(low)} to ${number(high)}`,
        String(cases),
        useful === "falls" ? "near -1" : "near 1",
      ]),
    ],
    1,
  );
  return `${table}\n`;
}

function correlate(pairs: readonly [number, number][]): Pick<TrustRow, "rho" | "low" | "high"> {
  const rhoOf = (some: readonly [number, number][]): number | null =>
    spearman(
      some.map(([x]) => x),
      some.map(([, y]) => y),
    );
  const generator = random(0, pairs.length, resamples);
  const drawn: number[] = [];
  for (let r = 0; r < resamples; r++) {
    const rho = rhoOf(pairs.map(() => pairs[generator.int(pairs.length)]));
    // Draws in which one side does not vary have none.
    if (rho !== null) drawn.push(rho);
  }
  drawn.sort((a, b) => a - b);
  const at = (share: number): number | null => (drawn.length > 0 ? quantile(drawn, share) : null);
  return { rho: rhoOf(pairs), low: at(0.025), high: at(0.975) };
}

function average(values: readonly number[]): number | null {
  return values.length === 0 ? null : values.reduce((sum, value) => sum + value, 0) / values.length;
}
