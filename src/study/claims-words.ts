import type { Interval } from "../evaluate/bootstrap.ts";
import type { Comparison } from "./claims-compare.ts";

const minus = "\u2212";

/** A number with a true minus sign and, with `plus`, an explicit plus sign. */
export function signed(value: number, digits: number, plus = true): string {
  const text = Math.abs(value).toFixed(digits);
  if (Number(text) === 0) return text;
  return value < 0 ? `${minus}${text}` : plus ? `+${text}` : text;
}

/** Dice in [0, 1] as points, 1 point = 0.01: "−0.42". */
export function points(dice: number): string {
  return signed(100 * dice, 2);
}

/** "−0.42 points (95 % interval −0.91 to +0.05)". */
export function pointsWithInterval({ mean, low, high }: Interval): string {
  return `${points(mean)} points (95 % interval ${points(low)} to ${points(high)})`;
}

/** A size of Dice as "1 point", "0.5 points". */
export function pointsOf(dice: number): string {
  const value = Number((100 * dice).toFixed(2));
  return `${value} point${value === 1 ? "" : "s"}`;
}

/** 0.384 as "38 %". */
export function percent(share: number): string {
  return `${(100 * share).toFixed(0)} %`;
}

/** "p = 0.012", "p < 0.001". */
export function pWords(p: number): string {
  return p < 0.001 ? "p < 0.001" : `p = ${p.toFixed(3)}`;
}

export function counted(n: number, noun: string): string {
  return `${n} ${noun}${n === 1 ? "" : "s"}`;
}

/** "40 cases, 5 folds, 1 seed". */
export function basis(c: Pick<Comparison, "unit" | "units" | "cases" | "folds" | "seeds">): string {
  const units = c.unit === "patient" ? [counted(c.units, "patient")] : [];
  return [...units, counted(c.cases, "case"), counted(c.folds, "fold"), counted(c.seeds, "seed")].join(", ");
}

/** 353954 as "354 k"; three digits that count. */
export function short(value: number): string {
  if (value < 1000) return String(Math.round(value));
  const [scaled, unit] =
    value < 999_500 ? [value / 1e3, "k"] : value < 999.5e6 ? [value / 1e6, "M"] : [value / 1e9, "G"];
  return `${scaled >= 99.95 ? scaled.toFixed(0) : scaled.toPrecision(3)} ${unit}`;
}

/** "a", "a and b", "a, b and c". */
export function listed(words: readonly string[]): string {
  return words.length < 2 ? (words[0] ?? "") : `${words.slice(0, -1).join(", ")} and ${words.at(-1)}`;
}
