import type { Config } from "vega-lite";
import { type ArmGroup, armGroups } from "./claims-arms.ts";

/** Colours of text and lines by the name of the page's variable that replaces them. */
export const inkColours = { "#1c1f24": "ink", "#565c66": "soft", "#e2e5e9": "line", "#ffffff": "ground" } as const;

const [ink, soft, line, ground] = Object.keys(inkColours);

// Okabe and Ito's colours, told apart with any colour vision: for light ground and for dark.
const groupColours: Record<ArmGroup, [light: string, dark: string]> = {
  "doubling widths": ["#0072b2", "#56b4e9"],
  "flat widths": ["#d55e00", "#f08a4b"],
  "other widths": ["#6b7079", "#a9afb8"],
  "pruned: STAMP": ["#009e73", "#3ccba0"],
  "pruned: random channel of STAMP's layer": ["#b0579a", "#e39bc9"],
  "pruned: random channel of the widest layer": ["#a67a00", "#f0c84b"],
};

export const colourOf = (group: ArmGroup): string => groupColours[group][0];

/** Colours of single arms by their label: the group's, the second arm of a group lighter, the third lighter still. */
export function armScale(arms: readonly { label: string; group: ArmGroup }[]): { domain: string[]; range: string[] } {
  const range = arms.map(({ group }, i) => {
    const before = arms.slice(0, i).filter((other) => other.group === group).length;
    return lighter(colourOf(group), Math.min(0.75, 0.35 * before));
  });
  return { domain: arms.map((arm) => arm.label), range };
}

/** A colour moved towards white by a share. */
function lighter(colour: string, share: number): string {
  const parts = [1, 3, 5].map((at) => Number.parseInt(colour.slice(at, at + 2), 16));
  return `#${parts
    .map((part) =>
      Math.round(part + share * (255 - part))
        .toString(16)
        .padStart(2, "0"),
    )
    .join("")}`;
}

/** Colours of arms by the name of the page's variable that replaces them. */
export const pageColours = Object.fromEntries(
  armGroups.map((group, i) => [groupColours[group][0], `arm-${i}`]),
) as Record<string, string>;

/** The page's variables for the arms, on light or dark ground. */
export function armVariables(ground: "light" | "dark"): string {
  return armGroups.map((group, i) => `--arm-${i}:${groupColours[group][ground === "light" ? 0 : 1]}`).join(";");
}

/** Text and marks drawn by hand in specs. */
export const theme = { ink, soft, line, ground };

export const config: Config = {
  font: "Lato, Helvetica, Arial, sans-serif",
  background: ground,
  padding: 8,
  aria: false,
  view: { stroke: null },
  axis: {
    labelColor: ink,
    titleColor: ink,
    labelFontSize: 11,
    titleFontSize: 12,
    titleFontWeight: "normal",
    titlePadding: 8,
    labelLimit: 400,
    domainColor: soft,
    tickColor: soft,
    gridColor: line,
  },
  legend: {
    labelColor: ink,
    titleColor: ink,
    labelFontSize: 11,
    titleFontSize: 11,
    titleFontWeight: "normal",
    labelLimit: 400,
    symbolStrokeWidth: 2,
  },
  header: { labelColor: ink, titleColor: ink, labelFontSize: 12, labelFontWeight: "bold", labelLimit: 400 },
  text: { color: ink, fontSize: 11 },
};

/** The colour scale of every figure: only the groups that occur, in their fixed order. */
export function groupScale(groups: readonly ArmGroup[]): { domain: ArmGroup[]; range: string[] } {
  const domain = armGroups.filter((group) => groups.includes(group));
  return { domain, range: domain.map(colourOf) };
}
