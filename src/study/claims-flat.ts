import { familyOf, isPlain, settingsKey } from "./claims-arms.ts";
import { chosenSize, correct, difference, runsOf } from "./claims-compare.ts";
import { answered, type ClaimPart, judgeAsGood, judgeSign, untested } from "./claims-verdict.ts";
import { short } from "./claims-words.ts";
import type { StudyData } from "./report-load.ts";
import { median } from "./statistics.ts";
import type { StudyArm } from "./types.ts";

interface Net {
  arm: StudyArm;
  width: number;
  parameters: number;
}

const fewer = {
  id: "3a",
  statement: "Flat widths give the same Dice as doubling widths with far fewer parameters",
  add: "add two trained arms of equal settings, such as unet:8 and lean:8.",
};
const equal = {
  id: "3b",
  statement: "Flat widths beat doubling widths of equally many parameters",
  add: "add a pair of trained arms with equally many parameters, such as unet:4 and the flat net that is equal-to it.",
};
/** "Far fewer" means at least this many times, "equal" within this share. */
const farFewer = 5;
const equalWithin = 0.1;

/** Claim 3: flat widths are the leaner structure. */
export function flatClaim(data: StudyData, margin: number): ClaimPart[] {
  const nets = (family: "flat" | "doubling"): Net[] =>
    data.study.arms.flatMap((arm) => {
      const name = familyOf(arm.net);
      const runs = runsOf(data, arm.id);
      if (arm.kind !== "train" || !isPlain(arm) || name?.family !== family || runs.length === 0) return [];
      return [{ arm, width: name.width, parameters: median(runs.map((run) => chosenSize(run).parameters)) }];
    });
  const [flat, doubling] = [nets("flat"), nets("doubling")];
  const like = (one: Net): Net[] => flat.filter((f) => settingsKey(f.arm, "net") === settingsKey(one.arm, "net"));

  const lean = doubling.flatMap((wide) => {
    const candidates = like(wide).filter((f) => f.parameters * farFewer <= wide.parameters);
    const same = candidates.find((f) => f.width === wide.width);
    const best = same ?? candidates.toSorted((a, b) => b.parameters - a.parameters)[0];
    return best ? [{ flat: best, wide }] : [];
  });
  const pairs = doubling.flatMap((wide) => {
    const named = like(wide).find((f) => f.arm.pair === wide.arm.id || wide.arm.pair === f.arm.id);
    const near = like(wide).find((f) => Math.abs(f.parameters / wide.parameters - 1) <= equalWithin);
    const best = named ?? near;
    return best ? [{ flat: best, wide }] : [];
  });
  return [part(data, fewer, lean, (c) => judgeAsGood(c, margin)), part(data, equal, pairs, (c) => judgeSign(c, 1))];
}

function part(
  data: StudyData,
  { id, statement, add }: typeof fewer,
  pairs: readonly { flat: Net; wide: Net }[],
  judge: (comparison: ReturnType<typeof difference>) => ReturnType<typeof judgeSign>,
): ClaimPart {
  const comparisons = correct(pairs.map(({ flat, wide }) => difference(data, flat.arm, wide.arm, `claim ${id}`)));
  if (comparisons.every((c) => c.interval === null)) return untested(id, statement, add);
  return answered(
    id,
    statement,
    comparisons.map((comparison, i) => {
      const { flat, wide } = pairs[i];
      const ratio = wide.parameters / flat.parameters;
      const times = ratio >= farFewer ? `, ${ratio.toFixed(ratio < 10 ? 1 : 0)} times fewer` : "";
      const sizes = `${short(flat.parameters)} against ${short(wide.parameters)} parameters${times}`;
      const judged = judge(comparison);
      return {
        comparison,
        ...judged,
        sentence: judged.sentence.replace(comparison.label, `${comparison.label} (${sizes})`),
      };
    }),
  );
}
