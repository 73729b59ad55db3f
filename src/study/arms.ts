import type { Plan } from "../dataset/types.ts";
import { countParameters } from "../net/count.ts";
import { optionsOfPlan, parseNet } from "../net/make.ts";
import type { NetSpec } from "../net/spec.ts";
import { counted } from "../util/counted.ts";
import { fail, UserError } from "../util/errors.ts";
import { nearest } from "../util/nearest.ts";
import type { ArmSpec, PruningSpec, SettingsSpec, StudySpec } from "./spec.ts";
import type { StudyArm } from "./types.ts";

/** An arm with its net and all that its runs need. */
export interface ResolvedArm {
  arm: StudyArm;
  spec: NetSpec;
  parameters: number;
  /** Steps of training; a pruning arm trains for `pruning.warm` and `pruning.recovery` instead. */
  steps: number;
  preset: "strong" | "paper";
  settings: SettingsSpec;
  pruning: PruningSpec;
}

/** An entry of `arms` with its lists taken apart. */
interface Draft {
  /** Its number in the file, from 1. */
  entry: number;
  from: Omit<ArmSpec, "skips" | "bottleneck" | "training-cases" | "pick">;
  pick?: StudyArm["pick"];
  skips?: StudyArm["skips"];
  bottleneck?: number;
  cases?: number;
  /** What tells it from the others of its entry. */
  variant: string[];
}

/** Most that an arm's parameters may differ from those of the arm it should equal. */
const equalWithin = 0.1;
const defaultSteps = 2000;
const widest = 1024;

/** The arms of a study; `planOf(levels)` gives its data set's plan for so many levels. UserError for what cannot be meant. */
export function resolveArms(study: StudySpec, planOf: (levels?: number) => Plan): ResolvedArm[] {
  const drafts = study.arms.flatMap((entry, index) => takeApart(entry, index + 1));
  const build = (draft: Draft, net: string): NetSpec => within(draft, () => buildNet(net, draft, study, planOf));
  const finish = (draft: Draft, net: string, pair?: string): ResolvedArm => {
    const spec = build(draft, net);
    const label = labelOf(draft, net, study);
    const { from } = draft;
    const levels = spec.pools.length + 1;
    const arm = {
      ...armOf(draft, net, study),
      ...(levels === planOf().pools.length + 1 ? {} : { levels }),
      id: slug(label),
      label,
      ...(pair ? { pair } : {}),
    };
    return {
      arm,
      spec,
      parameters: countParameters(spec).parameters,
      steps: from.steps ?? study.steps ?? defaultSteps,
      preset: from.preset ?? study.preset ?? "strong",
      settings: { ...study.settings, ...from.settings },
      pruning: { ...study.pruning, ...from.pruning },
    };
  };
  const fixed = new Map(
    drafts
      .filter(({ from }) => from["equal-to"] === undefined)
      .map((draft) => [draft, finish(draft, netName(draft))] as const),
  );
  const arms = drafts.map((draft) => {
    const known = fixed.get(draft);
    if (known) return known;
    const target = findArm(draft, [...fixed.values()]);
    const family = netName(draft);
    const count = (width: number): number => countParameters(build(draft, `${family}:${width}`)).parameters;
    const width = nearestWidth(count, target.parameters);
    const off = Math.abs(count(width) / target.parameters - 1);
    if (off > equalWithin) {
      fail(
        `${entryName(draft)}: no ${family} net has about as many parameters as ${target.arm.label} ` +
          `(${numberText(target.parameters)}); the nearest, ${family}:${width}, has ${numberText(count(width))}, and more than ` +
          `${100 * equalWithin} % apart is not equal: choose another pair.`,
      );
    }
    return finish(draft, `${family}:${width}`, target.arm.id);
  });
  const seen = new Map<string, string>();
  for (const { arm } of arms) {
    const other = seen.get(arm.id);
    if (other) fail(`Two arms of the study are called "${arm.label}"; give one of them another label.`);
    seen.set(arm.id, arm.label);
  }
  return arms;
}

function takeApart(entry: ArmSpec, number: number): Draft[] {
  const { skips, bottleneck, pick, "training-cases": cases, ...from } = entry;
  const where = `Arm ${number} of the study`;
  if ((from.net === undefined) === (from.prune === undefined)) {
    fail(
      `${where}: expected one of the keys net (train it) and prune (start from it), but got ${from.net === undefined ? "none" : "both"}.`,
    );
  }
  if (from.net !== undefined && (pick !== undefined || from.pruning)) {
    fail(`${where}: the keys pick and pruning belong to an arm with the key prune, but this one has net.`);
  }
  if (from.prune !== undefined && from.steps !== undefined) {
    fail(`${where}: a pruning arm has no steps; set pruning: {warm: ..., recovery: ...} instead.`);
  }
  if (from.prune !== undefined && from["equal-to"] !== undefined) {
    fail(`${where}: equal-to belongs to an arm with the key net, but this one has prune.`);
  }
  const list = <T>(value: T | T[] | undefined): (T | undefined)[] => (Array.isArray(value) ? value : [value]);
  // A list of true and false is one setting, not a list of settings.
  const skipList = Array.isArray(skips) && typeof skips[0] === "boolean" ? [skips as boolean[]] : list(skips);
  const picks = from.prune === undefined ? [undefined] : list(pick ?? "stamp");
  const drafts: Draft[] = [];
  for (const p of picks) {
    for (const s of skipList) {
      for (const b of list(bottleneck)) {
        for (const c of list(cases)) {
          const draft: Draft = {
            entry: number,
            from,
            pick: p,
            skips: s as StudyArm["skips"],
            bottleneck: b,
            cases: c,
            variant: [],
          };
          if (skipList.length > 1) draft.variant.push(skipWords(draft.skips));
          if (Array.isArray(bottleneck)) draft.variant.push(`bottleneck ${b}`);
          if (Array.isArray(cases)) draft.variant.push(counted(c as number, "case"));
          drafts.push(draft);
        }
      }
    }
  }
  return drafts;
}

/** The net that an arm trains or starts from, as it is stated. */
function netName({ from }: Draft): string {
  return (from.net ?? from.prune) as string;
}

function skipWords(skips: StudyArm["skips"]): string {
  if (skips === undefined || skips === "all") return "skips";
  return skips === "none" ? "no skips" : `skips ${skips.map((on) => (on ? "1" : "0")).join("")}`;
}

function labelOf(draft: Draft, net: string, study: StudySpec): string {
  const { from, pick, skips, bottleneck, cases, variant } = draft;
  if (from.label !== undefined) {
    const picked = Array.isArray(study.arms[draft.entry - 1].pick) ? [pick as string] : [];
    return [from.label, ...picked, ...variant].join(", ");
  }
  const parts = [pick ? `${pick} from ${net}` : net];
  if (from.levels !== undefined && from.levels !== study.levels) parts.push(counted(from.levels, "level"));
  if (from.convs !== undefined && from.convs !== (study.convs ?? 2)) parts.push(`${from.convs} convs`);
  if (from.unit?.norm !== undefined) parts.push(`${from.unit.norm} norm`);
  if (from.unit?.order !== undefined) parts.push(from.unit.order);
  if (from.unit?.slope !== undefined) parts.push(`slope ${from.unit.slope}`);
  if (skips !== undefined) parts.push(skipWords(skips));
  if (bottleneck !== undefined) parts.push(`bottleneck ${bottleneck}`);
  if (from.preset !== undefined && from.preset !== (study.preset ?? "strong")) parts.push(from.preset);
  if (from.pruning?.criterion !== undefined) parts.push(from.pruning.criterion);
  if (cases !== undefined) parts.push(counted(cases, "case"));
  return parts.join(", ");
}

function slug(label: string): string {
  return label
    .toLowerCase()
    .replace(/[^a-z0-9]+/g, "-")
    .replace(/^-|-$/g, "");
}

function armOf(draft: Draft, net: string, study: StudySpec): Omit<StudyArm, "id" | "label"> {
  const { from, pick, skips, bottleneck, cases } = draft;
  const convs = from.convs ?? study.convs;
  return {
    kind: pick ? "prune" : "train",
    net,
    ...(pick ? { pick, criterion: from.pruning?.criterion ?? study.pruning?.criterion ?? "l2" } : {}),
    ...(skips === undefined ? {} : { skips }),
    ...(bottleneck === undefined ? {} : { bottleneck }),
    ...(convs === undefined ? {} : { convs }),
    ...(from.unit === undefined ? {} : { unit: from.unit }),
    preset: from.preset ?? study.preset ?? "strong",
    ...ownSettings(from),
    ...(cases === undefined ? {} : { trainingCases: cases }),
    ...(from.role === undefined ? {} : { role: from.role }),
  };
}

function ownSettings({ steps, settings }: Draft["from"]): Pick<StudyArm, "settings"> {
  if (steps === undefined && settings === undefined) return {};
  return { settings: { ...(steps === undefined ? {} : { steps }), ...settings } };
}

function buildNet(name: string, draft: Draft, study: StudySpec, planOf: (levels?: number) => Plan): NetSpec {
  const { from, skips, bottleneck } = draft;
  const plan = planOf(from.levels);
  const net = parseNet(name, {
    ...optionsOfPlan(plan),
    convs: from.convs ?? study.convs ?? 2,
  });
  if (skips !== undefined) {
    const given = typeof skips === "string" ? net.pools.map(() => skips === "all") : skips;
    if (given.length !== net.pools.length) {
      fail(`expected skips for ${net.pools.length} levels, but got ${given.length}.`);
    }
    net.skips = given;
  }
  if (from.unit !== undefined) net.unit = { ...net.unit, ...from.unit };
  if (bottleneck !== undefined) net.bottleneck = net.bottleneck.map(() => bottleneck);
  return net;
}

function findArm(draft: Draft, arms: readonly ResolvedArm[]): ResolvedArm {
  const wanted = draft.from["equal-to"] as string;
  const labels = arms.map(({ arm }) => arm.label);
  const found = arms.find(({ arm }) => arm.label === wanted || arm.id === wanted);
  return (
    found ??
    fail(
      `${entryName(draft)}: expected equal-to to name another arm with a width of its own, but got "${wanted}"; ` +
        (labels.length > 0 ? `did you mean "${nearest(wanted, labels)}"?` : "there is none."),
    )
  );
}

/** The width whose count comes closest to the target; counts rise with the width. */
function nearestWidth(count: (width: number) => number, target: number): number {
  let [low, high] = [1, widest];
  while (low < high) {
    const middle = (low + high) >> 1;
    if (count(middle) < target) low = middle + 1;
    else high = middle;
  }
  return low > 1 && target - count(low - 1) < count(low) - target ? low - 1 : low;
}

function entryName({ entry }: Draft): string {
  return `Arm ${entry} of the study`;
}

function numberText(value: number): string {
  return value.toLocaleString("en-US");
}

/** Puts the arm's place before what is wrong with it. */
function within<T>(draft: Draft, read: () => T): T {
  try {
    return read();
  } catch (error) {
    throw error instanceof UserError ? new UserError(`${entryName(draft)}: ${error.message}`) : error;
  }
}
