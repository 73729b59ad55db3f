import { counted } from "../util/counted.ts";
import { type FailedRecord, recordName } from "./record.ts";

/** Failed cases that are told one by one. */
const mostListed = 20;

/** What came of a batch: counts, and each failure with its reason. */
export function outcomeText(
  { done, failed, before }: { done: number; failed: readonly FailedRecord[]; before: number },
  { total, out, seconds }: { total: number; out: string; seconds?: number },
): string {
  const those = total === 1 ? "it was" : `${before} of them ${before > 1 ? "were" : "was"}`;
  const earlier = before > 0 ? `; ${those} there before` : "";
  const time = seconds === undefined ? "" : ` in ${seconds.toFixed(1)} s`;
  const lines = [`${done} of ${counted(total, "case")} written to ${out}${time}${earlier}.`];
  if (failed.length > 0) {
    lines.push(`${failed.length} failed; the same command tries ${failed.length > 1 ? "them" : "it"} again:`);
    lines.push(...failed.slice(0, mostListed).map(({ id, error }) => `  ${id}: ${error}`));
    const more = failed.length - mostListed;
    if (more > 0) lines.push(`  ... and ${more} more, in ${recordName} there`);
  }
  return lines.join("\n");
}
