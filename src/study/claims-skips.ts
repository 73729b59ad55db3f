import { settingsKey, skipsOf } from "./claims-arms.ts";
import { chosenSize, contrast, correct, difference, runsOf } from "./claims-compare.ts";
import {
  answered,
  type ClaimPart,
  judgeAsGood,
  judgeSign,
  together,
  untested,
  type Verdict,
} from "./claims-verdict.ts";
import type { StudyData } from "./report-load.ts";
import type { StudyArm } from "./types.ts";

const statement = "Without skip connections a narrow bottleneck hurts, and more than with them";
const add =
  "add trained arms of one net with skips all and none, each with at least two bottleneck widths, such as 1 and the net's own.";

/** Narrowest convolution of the bottleneck; null where no run of the arm has finished. */
export function bottleneckWidth(data: StudyData, arm: StudyArm): number | null {
  const [run] = runsOf(data, arm.id);
  if (!run) return null;
  const widths = Object.entries(chosenSize(run).widths).filter(([name]) => name.startsWith("bottleneck"));
  return widths.length > 0 ? Math.min(...widths.map(([, width]) => width)) : null;
}

/** Trained arms that differ only in skips (all or none) and bottleneck width, by width. */
export interface SkipStudy {
  all: Map<number, StudyArm>;
  none: Map<number, StudyArm>;
}

/** The experiments of a study on skips against bottleneck width. */
export function skipStudies(data: StudyData): SkipStudy[] {
  const arms = data.study.arms.filter((arm) => arm.kind === "train" && skipsOf(arm) !== "some");
  return [...Map.groupBy(arms, (arm) => settingsKey(arm, "skips", "bottleneck")).values()].flatMap((group) => {
    const byWidth = (skips: "all" | "none") =>
      new Map(
        group.flatMap((arm) => {
          const width = skipsOf(arm) === skips ? bottleneckWidth(data, arm) : null;
          return width === null ? [] : [[width, arm] as const];
        }),
      );
    const study = { all: byWidth("all"), none: byWidth("none") };
    return study.none.size > 0 && study.all.size > 0 ? [study] : [];
  });
}

/** Claim 4: the lean bottleneck needs skips. Narrowest against widest bottleneck that both kinds of net were trained with. */
export function skipsClaim(data: StudyData, margin: number): ClaimPart[] {
  const judged = skipStudies(data).flatMap(({ all, none }) => {
    const widths = [...none.keys()].filter((width) => all.has(width)).sort((a, b) => a - b);
    if (widths.length < 2) return [];
    const [narrow, wide] = [widths[0], widths.at(-1)!];
    const family = "claim 4";
    const pair = (of: Map<number, StudyArm>) => [of.get(narrow)!, of.get(wide)!] as const;
    const effect = (of: Map<number, StudyArm>, name: string) => ({
      ...difference(data, ...pair(of), family),
      label: `${name}, bottleneck ${narrow} \u2212 ${wide}`,
    });
    const interaction = contrast(
      data,
      [
        { arm: none.get(narrow)!.id, weight: 1 },
        { arm: none.get(wide)!.id, weight: -1 },
        { arm: all.get(narrow)!.id, weight: -1 },
        { arm: all.get(wide)!.id, weight: 1 },
      ],
      { family, label: "Loss without skips beyond the loss with skips" },
    );
    const comparisons = correct([effect(none, "Without skips"), interaction, effect(all, "With skips")]);
    return [judgeSkips(comparisons, margin)];
  });
  const made = judged.filter((one) => one.verdict !== "not tested");
  if (made.length === 0) return [untested("4", statement, add)];
  const parts = made.map((one) => answered("4", statement, one.lines));
  return [
    {
      ...parts[0],
      verdict: together(made.map((one) => one.verdict)),
      sentences: parts.flatMap((part) => part.sentences),
      comparisons: parts.flatMap((part) => part.comparisons),
    },
  ];
}

/** Shown: clearly worse without skips, and clearly more so than with them. Contradicted: no loss without skips beyond the margin. */
function judgeSkips(comparisons: ReturnType<typeof correct>, margin: number) {
  const [off, interaction, on] = comparisons;
  const hurts = judgeSign(off, -1);
  const more = judgeSign(interaction, -1);
  const harmless = judgeAsGood(off, margin);
  let verdict: Verdict = together([hurts.verdict, more.verdict]);
  if (verdict === "not shown" && harmless.verdict === "shown") verdict = "contradicted";
  const lines = [
    { comparison: off, ...hurts },
    { comparison: interaction, ...more },
    { comparison: on, ...judgeSign(on, -1) },
  ];
  return { verdict, lines };
}
