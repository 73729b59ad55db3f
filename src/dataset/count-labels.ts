import { failLabelValue } from "./preprocess.ts";
import type { LabelInfo } from "./types.ts";

/** Counts voxels of each label over label maps, in the order of `labels`. UserError for a value that is none of them. */
export function createLabelCounter(labels: readonly LabelInfo[]) {
  const counts = labels.map(() => 0);
  const index = new Int16Array(256).fill(-1);
  for (const [k, { value }] of labels.entries()) index[value] = k;
  return {
    counts,
    add(map: Iterable<number>, id: string): void {
      for (const value of map) {
        // A fractional or negative value is no key of a typed array, so it gives undefined.
        const k = index[value] ?? -1;
        if (k < 0) failLabelValue(value, labels, id);
        counts[k]++;
      }
    },
  };
}
