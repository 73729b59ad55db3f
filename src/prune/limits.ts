import { countParameters } from "../net/count.ts";
import { type PrunableLayer, prunableLayers, removeChannels } from "../net/remove.ts";
import type { NetSpec } from "../net/spec.ts";
import { fail } from "../util/errors.ts";
import { nearest } from "../util/nearest.ts";
import type { Ending, Limits, PruneSettings, StopLimits } from "./types.ts";

const keys = { parameters: "parameters", channels: "channels", removed: "removed", "dice-drop": "diceDrop" } as const;

/** Stop limits from words such as "parameters=10%", "channels=60", "removed=100" and "dice-drop=0.02". */
export function parseUntil(texts: readonly string[]): StopLimits {
  const limits: StopLimits = {};
  for (const text of texts.flatMap((one) => one.split(","))) {
    const [key, value = ""] = text.split("=").map((part) => part.trim());
    if (!Object.hasOwn(keys, key)) {
      const names = Object.keys(keys);
      fail(
        `Cannot read --until "${text}": expected ${names.join(", ")} with a value, as in parameters=10% or channels=60; ` +
          `did you mean ${nearest(key, names)}?`,
      );
    }
    if (value === "")
      fail(`Expected a value after --until ${key}, as in ${key}=${key === "dice-drop" ? "0.02" : "60"}.`);
    const name = keys[key as keyof typeof keys];
    if (name === "diceDrop") limits.diceDrop = Number(value);
    else limits[name] = value;
  }
  return limits;
}

/** What decides which layers may lose channels. */
type Choice = Pick<PruneSettings, "criterion" | "pick">;

/** The scale of a norm ranks no transposed convolution. */
function mayLose({ criterion, pick }: Choice, { kind }: PrunableLayer): boolean {
  return kind === "conv" || criterion !== "bn-scale" || pick === "random-at-largest";
}

/** What is left when every layer that may lose channels has one. */
function smallest(net: NetSpec, choice: Choice): { channels: number; parameters: number } {
  const all = prunableLayers(net)
    .filter((layer) => mayLose(choice, layer))
    .map(({ name, width }) => ({ layer: name, channels: Array.from({ length: width - 1 }, (_, c) => c + 1) }));
  const least = removeChannels(net, all).net;
  return { channels: channelsOf(least), parameters: countParameters(least).parameters };
}

/** Channels over all prunable layers. */
export function channelsOf(net: NetSpec): number {
  return widthOf(prunableLayers(net));
}

function widthOf(layers: readonly PrunableLayer[]): number {
  return layers.reduce((sum, { width }) => sum + width, 0);
}

/** Where pruning stops when nothing else was asked for: at a tenth of the parameters, or as near as the net can come. */
export function defaultLimits(net: NetSpec, choice: Choice): Limits {
  const tenth = Math.round(countParameters(net).parameters / 10);
  return { parameters: Math.max(tenth, smallest(net, choice).parameters), channels: null, diceDrop: null };
}

/** The limits as counts of what may be left. Throws UserError for one that cannot be met, or that the net meets already. */
export function resolveLimits(limits: StopLimits, net: NetSpec, choice: Choice): Limits {
  const start = { parameters: countParameters(net).parameters, channels: channelsOf(net) };
  const least = smallest(net, choice);
  const left = (what: "parameters" | "channels", count: number, option: string): number => {
    if (count < least[what]) {
      fail(
        `Cannot prune until ${option}: layers keep their last channel, so at least ${least[what]} ${what} are left; ` +
          `ask for ${least[what]} or more.`,
      );
    }
    if (count >= start[what]) {
      fail(`Expected --until ${option} to be less than the net has, ${start[what]} ${what}: nothing would be removed.`);
    }
    return count;
  };
  const { diceDrop = null } = limits;
  if (diceDrop !== null && !(diceDrop > 0 && diceDrop < 1)) {
    fail(`Expected --until dice-drop to be a number between 0 and 1, such as 0.02, but got ${diceDrop}.`);
  }
  const parameters =
    limits.parameters === undefined
      ? null
      : left(
          "parameters",
          countOf("parameters", limits.parameters, start.parameters),
          `parameters=${limits.parameters}`,
        );
  const channels = [
    ...(limits.channels === undefined
      ? []
      : [left("channels", countOf("channels", limits.channels, start.channels), `channels=${limits.channels}`)]),
    ...(limits.removed === undefined
      ? []
      : [
          left(
            "channels",
            start.channels - countOf("removed", limits.removed, start.channels),
            `removed=${limits.removed}`,
          ),
        ]),
  ];
  return { parameters, channels: channels.length > 0 ? Math.max(...channels) : null, diceDrop };
}

/** As on the command line: "parameters=35395, dice-drop=0.02". */
export function limitsText(limits: Limits): string {
  return (["parameters", "channels", "dice-drop"] as const)
    .flatMap((key) => {
      const value = limits[keys[key]];
      return value === null ? [] : [`${key}=${value}`];
    })
    .join(", ");
}

/** A count, or a share such as "10%" of the whole. */
function countOf(key: string, value: number | string, whole: number): number {
  const text = String(value).trim();
  const share = /^(\d+(?:\.\d+)?)%$/.exec(text);
  const count = share ? Math.round((whole * Number(share[1])) / 100) : Number(text);
  if (text === "" || !Number.isInteger(count) || count < 0 || (share && Number(share[1]) > 100)) {
    fail(`Expected --until ${key} to be a whole number, or a share such as 10%, but got "${text}".`);
  }
  return count;
}

/**
 * The limit that a net has come to; null: pruning goes on. `dice` is the mean validation Dice of the best size and of this one,
 * where they were checked.
 */
export function limitMet(
  { until, ...choice }: Choice & Pick<PruneSettings, "until">,
  net: NetSpec,
  dice: { best: number | null; now: number | null } | null,
): Ending | null {
  if (until.parameters !== null && countParameters(net).parameters <= until.parameters) return "parameters";
  const layers = prunableLayers(net);
  if (until.channels !== null && widthOf(layers) <= until.channels) return "channels";
  const { best = null, now = null } = dice ?? {};
  if (until.diceDrop !== null && best !== null && now !== null && best - now > until.diceDrop) return "dice-drop";
  return layers.some((layer) => layer.width > 1 && mayLose(choice, layer)) ? null : "nothing left to remove";
}

/** How many channels to remove next: `remove`, or fewer where the limit on channels is nearer. */
export function nextCount(limits: Limits, net: NetSpec, remove: number): number {
  return limits.channels === null ? remove : Math.min(remove, channelsOf(net) - limits.channels);
}
