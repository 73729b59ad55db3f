import { settingsKey } from "./claims-arms.ts";
import { type Comparison, caseValues, chosenSize, contrast, correct, difference, runsOf } from "./claims-compare.ts";
import { startWidths } from "./claims-structure.ts";
import { answered, type ClaimPart, judgeAsGood, untested } from "./claims-verdict.ts";
import { short } from "./claims-words.ts";
import type { StudyData } from "./report-load.ts";
import { average, median } from "./statistics.ts";
import type { Pick, RunResult, SizeResult, StudyArm } from "./types.ts";

const parts: { id: string; pick: Pick; statement: string; add: string }[] = [
  {
    id: "2a",
    pick: "random-at-stamp-layer",
    statement: "A random channel of the layer that STAMP chose does as well as STAMP's channel",
    add: "add two pruning arms of the same net, with pick stamp and random-at-stamp-layer.",
  },
  {
    id: "2b",
    pick: "random-at-largest",
    statement: "A random channel of the widest layer does as well as STAMP",
    add: "add two pruning arms of the same net, with pick stamp and random-at-largest.",
  },
];

/** Claim 2: which channel goes does not matter. Asked at the chosen size and along the curve; both must hold. */
export function randomClaim(data: StudyData, margin: number): ClaimPart[] {
  const pairs = parts.flatMap(({ id, pick }) => matched(data.study.arms, pick).map((pair) => ({ id, ...pair })));
  const curves = pairs.map(({ random, stamp }) => alongCurve(data, random, stamp));
  const chosen = correct(pairs.map(({ random, stamp }) => difference(data, random, stamp, "claim 2, chosen size")));
  const along = correct(curves.map(({ comparison }) => comparison));
  return parts.map(({ id, statement, add }) => {
    const judged = pairs.flatMap(({ id: of, random, stamp }, i) => {
      if (of !== id || !chosen[i].interval) return [];
      const sizes = `(${medianSize(data, random)} against ${medianSize(data, stamp)} parameters)`;
      const { verdict, sentence } = judgeAsGood(chosen[i], margin);
      const atChosen = { comparison: chosen[i], verdict, sentence: `At the chosen size ${sizes}, ${sentence}` };
      if (!along[i].interval) return [atChosen];
      return [atChosen, { comparison: along[i], ...judgeAlong({ ...curves[i], comparison: along[i] }, margin) }];
    });
    return judged.length === 0 ? untested(id, statement, add) : answered(id, statement, judged);
  });
}

/** Every STAMP arm with the arm that differs from it by the pick alone. */
function matched(arms: readonly StudyArm[], pick: Pick): { random: StudyArm; stamp: StudyArm }[] {
  const key = (arm: StudyArm): string => `${settingsKey(arm)} ${arm.criterion ?? "l2"}`;
  const pruned = arms.filter((arm) => arm.kind === "prune");
  return pruned
    .filter((arm) => (arm.pick ?? "stamp") === "stamp")
    .flatMap((stamp) => {
      const random = pruned.find((arm) => arm.pick === pick && key(arm) === key(stamp));
      return random ? [{ random, stamp }] : [];
    });
}

function medianSize(data: StudyData, arm: StudyArm): string {
  return short(median(runsOf(data, arm.id).map((run) => chosenSize(run).parameters)));
}

interface Along {
  comparison: Comparison;
  sizes: number;
  scored: "test" | "validation";
}

/**
 * Mean difference over all sizes that both curves were evaluated at after equally many channels had gone, case by case.
 * On the test cases where every such size was scored on them, else on the validation cases.
 */
function alongCurve(data: StudyData, random: StudyArm, stamp: StudyArm): Along {
  let sizes = 0;
  const runs = [...runsOf(data, random.id), ...runsOf(data, stamp.id)];
  const scored = runs.every((run) => run.sizes.every((size) => size.test !== null)) ? "test" : "validation";
  const terms = [
    { arm: random.id, weight: 1 },
    { arm: stamp.id, weight: -1 },
  ];
  const comparison = contrast(data, terms, {
    family: "claim 2, along the curve",
    label: `${random.label} \u2212 ${stamp.label}, along the curve`,
    values: (pair) => {
      const bySize = pair.map(sizesByRemoved);
      const common = [...bySize[0].keys()].filter((removed) => removed > 0 && bySize[1].has(removed));
      sizes = Math.max(sizes, common.length);
      return bySize.map((of) => meanByCase(common.map((removed) => caseValues(of.get(removed)![scored], "dice"))));
    },
  });
  return { comparison, sizes, scored };
}

function judgeAlong({ comparison, sizes, scored }: Along, margin: number) {
  const { verdict, sentence } = judgeAsGood(comparison, margin);
  const label = comparison.label.replace(", along the curve", "");
  const where = `Along the curve, at ${sizes} sizes with equally many channels removed (${scored} cases), ${label}`;
  return { verdict, sentence: sentence.replace(comparison.label, where) };
}

function sizesByRemoved(run: RunResult): Map<number, SizeResult> {
  const total = (widths: Record<string, number>): number =>
    Object.values(widths).reduce((sum, width) => sum + width, 0);
  const start = total(startWidths(run));
  return new Map(run.sizes.map((size) => [start - total(size.widths), size]));
}

/** Mean over sizes of each case that all sizes scored. */
function meanByCase(sizes: readonly Map<string, number>[]): Map<string, number> {
  const ids = [...(sizes[0]?.keys() ?? [])].filter((id) => sizes.every((of) => of.has(id)));
  return new Map(ids.map((id) => [id, average(sizes.map((of) => of.get(id)!))]));
}
