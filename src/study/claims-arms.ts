import type { StudyArm } from "./types.ts";

/** Family of widths and first width of a net's name; null for a net that is given as widths. */
export function familyOf(net: string): { family: "flat" | "doubling"; width: number } | null {
  const [, name, width] = /^(lean|flat|unet|doubling):(\d+)$/.exec(net.trim()) ?? [];
  if (!name) return null;
  return { family: name === "lean" || name === "flat" ? "flat" : "doubling", width: Number(width) };
}

/** All skips on, all off, or a mixture. */
export function skipsOf(arm: StudyArm): "all" | "none" | "some" {
  const skips = arm.skips ?? "all";
  if (!Array.isArray(skips)) return skips;
  return skips.every(Boolean) ? "all" : skips.some(Boolean) ? "some" : "none";
}

type Setting = "net" | "skips" | "bottleneck" | "trainingCases";

/** Two arms with equal keys are the same in everything but the settings named in `but`, the label and the way to prune. */
export function settingsKey(arm: StudyArm, ...but: Setting[]): string {
  const settings: Record<Setting | "convs" | "levels" | "unit" | "preset" | "settings", unknown> = {
    net: arm.net,
    skips: skipsOf(arm) === "some" ? arm.skips : skipsOf(arm),
    bottleneck: arm.bottleneck ?? null,
    trainingCases: arm.trainingCases ?? null,
    convs: arm.convs ?? 2,
    levels: arm.levels ?? null,
    unit: arm.unit ?? null,
    preset: arm.preset ?? "strong",
    settings: arm.settings ? Object.entries(arm.settings).sort() : null,
  };
  return JSON.stringify(Object.entries(settings).filter(([name]) => !but.includes(name as Setting)));
}

/** True where the arm is a net as the family makes it, trained on all cases: no experiment on skips, bottleneck or data. */
export function isPlain(arm: StudyArm): boolean {
  return skipsOf(arm) === "all" && arm.bottleneck === undefined && arm.trainingCases === undefined;
}

/** Families of arms, each with its own colour in every figure. */
export const armGroups = [
  "doubling widths",
  "flat widths",
  "other widths",
  "pruned: STAMP",
  "pruned: random channel of STAMP's layer",
  "pruned: random channel of the widest layer",
] as const;

export type ArmGroup = (typeof armGroups)[number];

export function groupOf(arm: StudyArm): ArmGroup {
  if (arm.kind === "prune") {
    if (arm.pick === "random-at-stamp-layer") return "pruned: random channel of STAMP's layer";
    if (arm.pick === "random-at-largest") return "pruned: random channel of the widest layer";
    return "pruned: STAMP";
  }
  const family = familyOf(arm.net)?.family;
  return family === undefined ? "other widths" : family === "flat" ? "flat widths" : "doubling widths";
}

const parts = ["encoder", "bottleneck", "decoder"];

/** Names of layers in the order in which a scan passes them: encoder, bottleneck, decoder. */
export function inOrder(layers: readonly string[]): string[] {
  const key = (name: string): [number, number, number] => {
    const [part, ...rest] = name.split(".");
    const at = parts.indexOf(part);
    const numbers = rest.map((word) => (word === "up" ? -1 : Number(word)));
    if (part === "decoder") return [at, -numbers[0], numbers[1]];
    return part === "bottleneck" ? [at, 0, numbers[0]] : [at < 0 ? parts.length : at, numbers[0], numbers[1]];
  };
  return layers.toSorted((a, b) => {
    const [p, q] = [key(a), key(b)];
    return p[0] - q[0] || p[1] - q[1] || p[2] - q[2] || (a < b ? -1 : 1);
  });
}

/** Level of every layer, 0 the finest; the bottleneck lies below the deepest encoder level. */
export function levelsOf(layers: readonly string[]): Map<string, number> {
  const own = (name: string): number => Number(/^(?:encoder|decoder)\.(\d+)\./.exec(name)?.[1] ?? -1);
  const deepest = Math.max(-1, ...layers.map(own));
  return new Map(layers.map((name) => [name, own(name) < 0 ? deepest + 1 : own(name)]));
}
