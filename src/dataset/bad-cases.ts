import { fingerprintDataset } from "./fingerprint.ts";
import type { Fingerprint, FingerprintOptions, SkippedCase } from "./measure.ts";
import type { Dataset } from "./types.ts";

export interface SoundPart {
  /** Without the bad cases, in its folds neither. */
  dataset: Dataset;
  fingerprint: Fingerprint;
  skipped: SkippedCase[];
}

/**
 * Reads every training case once and leaves out those that {@link fingerprintDataset} would refuse. Read the set with `allowIncomplete`,
 * so that a case with a missing file is one of them. UserError where no case is left.
 */
export async function fingerprintSound(
  dataset: Dataset,
  options: Pick<FingerprintOptions, "onProgress"> = {},
): Promise<SoundPart> {
  const skipped: SkippedCase[] = [];
  const fingerprint = await fingerprintDataset(dataset, { ...options, onBad: (bad) => skipped.push(bad) });
  const bad = new Set(skipped.map((entry) => entry.case));
  const sound = (ids: string[]): string[] => ids.filter((id) => !bad.has(id));
  return {
    dataset: {
      ...dataset,
      training: dataset.training.filter(({ id }) => !bad.has(id)),
      ...(dataset.splits
        ? { splits: dataset.splits.map(({ train, val }) => ({ train: sound(train), val: sound(val) })) }
        : {}),
    },
    fingerprint,
    skipped,
  };
}

/** "Leaving out case b: ..." for each, to be told. */
export function skippedText(skipped: readonly SkippedCase[]): string[] {
  return skipped.map(({ case: id, why }) => `Leaving out case ${id}: ${why}`);
}
