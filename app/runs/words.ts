import { el } from "../shared/dom.ts";
import type { RunState } from "./records.ts";

export const stateWords: Record<RunState["word"], string> = {
  running: "training",
  quiet: "no news",
  interrupted: "interrupted",
  finished: "finished",
  "time limit": "time limit",
  damaged: "damaged",
};

export const stateReasons: Partial<Record<RunState["word"], string>> = {
  quiet:
    "The run says that it is training, but wrote nothing for more than 15 minutes; if it was killed, go on with --resume.",
  interrupted: "The run was interrupted; go on with --resume.",
  "time limit": "The run ended at its time limit, before all planned steps.",
};

export const badge = (word: RunState["word"]): HTMLElement =>
  el("span", { className: `badge ${word.replace(" ", "-")}`, title: stateReasons[word] ?? "" }, stateWords[word]);

export const percent = (value: number | null | undefined): string =>
  typeof value === "number" && Number.isFinite(value) ? (100 * value).toFixed(1) : "-";

export const grouped = (value: number): string => value.toLocaleString("en-US");

/** "29.8 k", "1.41 M". */
export function short(value: number): string {
  if (value >= 1e6) return `${Number((value / 1e6).toPrecision(3))} M`;
  return value >= 1e4 ? `${Number((value / 1e3).toPrecision(3))} k` : grouped(value);
}

/** "just now", "5 min ago", "2 h ago", a date. */
export function since(time: number): string {
  const minutes = Math.floor((Date.now() - time) / 60_000);
  if (minutes < 1) return "just now";
  if (minutes < 60) return `${minutes} min ago`;
  return minutes < 24 * 60 ? `${Math.floor(minutes / 60)} h ago` : new Date(time).toISOString().slice(0, 10);
}
