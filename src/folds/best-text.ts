import { postprocessingWords } from "../predict/postprocess.ts";
import { counted } from "../util/counted.ts";
import { textTable } from "../util/text-table.ts";
import type { BestFile, CandidateResult } from "./best-file.ts";
import type { TriedStep } from "./steps.ts";

const percent = (value: number): string => (100 * value).toFixed(2);
const signed = (value: number): string => (value < 0 ? percent(value) : `+${percent(value)}`);

/** The report of a choice, in words. */
export function bestText(best: BestFile): string {
  const { candidates, tried, chosen, cases, subjects, folds, labels, metrics, postprocessing } = best;
  const own = candidates.find(({ name }) => name === chosen)!;
  const { dice, hd95 } = metrics.mean;
  const over = subjects === null ? "" : ` of ${counted(subjects, "subject")}`;
  const result =
    dice &&
    `Dice ${percent(dice.mean)} (95 % interval ${percent(dice.low)} to ${percent(dice.high)})` +
      (hd95 ? `, HD95 ${hd95.mean.toFixed(2)} mm` : "");
  return [
    `${best.data}: Dice in % of ${counted(cases, "case")}${over}, each predicted by the models of the ${folds} folds that have not seen it.`,
    "",
    candidateTable(best),
    "",
    ...simplerWords(own, candidates),
    `Post-processing that was tried on ${chosen} (largest 26-connected component kept):`,
    ...tried.map((step) => `  ${stepWords(step)}`),
    "",
    `Chosen: ${chosen}; ${postprocessing ? postprocessingWords(postprocessing, labels) : "no post-processing"}.`,
    `Result: ${result}. The choice was made on the same cases, so this is slightly too good.`,
  ].join("\n");
}

function candidateTable({ candidates, classes, chosen }: BestFile): string {
  const rows = candidates.map(({ name, parameters, dice, lead }) => [
    name,
    parameters.toLocaleString("en-US"),
    ...dice.classes.map(percent),
    percent(dice.mean),
    name === chosen ? "chosen" : `${signed(lead.mean)} (${signed(lead.low)} to ${signed(lead.high)})`,
  ]);
  return textTable([["", "parameters", ...classes, "mean", "lead of the chosen (95 %)"], ...rows], 1);
}

/** Candidates of fewer parameters that chance alone may have put behind. */
function simplerWords(own: CandidateResult, candidates: readonly CandidateResult[]): string[] {
  const close = candidates.filter(({ parameters, lead }) => parameters < own.parameters && lead.low <= 0);
  if (close.length === 0) return [];
  return [
    `Smaller, and not behind beyond chance: ${close.map(({ name }) => name).join(", ")}. Take that one where size or time matters.`,
    "",
  ];
}

function stepWords({ name, taken, before, after, dropped, better, worse, difference }: TriedStep): string {
  const change = `${percent(before)} -> ${percent(after)} (${signed(difference.low)} to ${signed(difference.high)}), ${counted(better, "case")} better, ${worse} worse`;
  const why = dropped.length > 0 ? `${dropped.join(", ")} would drop` : "the mean does not rise";
  return `${name}: ${change}; ${taken ? "taken" : `not taken: ${why}`}`;
}
