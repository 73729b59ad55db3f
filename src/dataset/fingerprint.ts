import { readCase } from "./load.ts";
import { type Fingerprint, type FingerprintOptions, measureDataset } from "./measure.ts";
import type { Dataset } from "./types.ts";

/** Reads every training case once and measures it. UserError where none can be used. */
export function fingerprintDataset(dataset: Dataset, options: FingerprintOptions = {}): Promise<Fingerprint> {
  return measureDataset(dataset, (entry) => readCase(entry, dataset.channels, dataset), options);
}
