import type { PreparedCase } from "../dataset/types.ts";
import { counted } from "../util/counted.ts";
import { fail } from "../util/errors.ts";
import type { RunSetup } from "./setup.ts";

/**
 * A sentence for every foreground label that no training case has: the net cannot learn it, and the run goes on. UserError where
 * there is no foreground at all. Labels are class indices, places in `plan.labels`.
 */
export function missingClasses(
  training: readonly Pick<PreparedCase, "label">[],
  { plan, fold }: Pick<RunSetup, "plan" | "fold">,
): string[] {
  const seen = new Array<boolean>(plan.labels.length).fill(false);
  for (const { label = [] } of training) for (const k of label) seen[k] = true;
  const missing = plan.labels.filter((_, k) => k > 0 && !seen[k]);
  const where = `the ${counted(training.length, "training case")}${fold === null ? "" : ` of fold ${fold}`}`;
  if (missing.length === plan.labels.length - 1) {
    fail(
      `Expected foreground in ${where}, but their labels are background only; look at the labels (lunet verify), or take another --fold.`,
    );
  }
  return missing.map(
    ({ name, value }) =>
      `None of ${where} has label ${value} (${name}), so the net cannot learn it. Its Dice is 1 in cases without it, 0 in the others.`,
  );
}
