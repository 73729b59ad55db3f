import { UserError } from "../util/errors.ts";
import { scanExtension } from "../volume/extensions.ts";
import { readCase } from "./load.ts";
import { checkGrids } from "./preprocess.ts";
import { type CaseMeasures, measureCase } from "./report-measure.ts";
import { findOutliers, type Mixture, type Outlier, typicalCases } from "./report-outliers.ts";
import { foldsOf, type SplitOptions } from "./splits.ts";
import type { Dataset, Fold } from "./types.ts";
import { type Verification, verifyDataset } from "./verify.ts";

export interface FoldMeasures {
  training: number;
  validation: number;
  /** Per foreground label: validation cases that have it, and its mean volume there in ml; null where none has it. */
  labels: { name: string; cases: number; meanMl: number | null }[];
}

/** What there is to know about a data set before training on it, as plain JSON. */
export interface DatasetReport {
  version: 1;
  dataset: string;
  channels: string[];
  labels: Dataset["labels"];
  /** Pictures say nothing of their size: 1 mm a pixel is assumed, and ml are thousands of pixels. */
  assumedSpacing: boolean;
  verification: Verification;
  cases: CaseMeasures[];
  /** Cases that could not be measured, and why. */
  unreadable: { id: string; error: string }[];
  outliers: Outlier[];
  mixtures: Mixture[];
  /** Ids of cases close to the middle in everything, the closest first. */
  typical: string[];
  folds: {
    /** Whether the set brings them (splits.json). */
    own: boolean;
    list: FoldMeasures[];
    /** Cases that no fold validates. */
    unvalidated: string[];
    /** Why there are none. */
    error?: string;
  };
}

export interface ReportOptions extends SplitOptions {
  onProgress?: (done: number, total: number) => void;
}

const typicalCount = 6;

/** Verifies and measures every case. Cases that cannot be read are listed, not thrown. */
export async function reportDataset(dataset: Dataset, options: ReportOptions = {}): Promise<DatasetReport> {
  const { onProgress, ...split } = options;
  const entries = [
    ...dataset.training.map((entry) => ({ entry, part: "training" as const })),
    ...dataset.test.map((entry) => ({ entry, part: "test" as const })),
  ];
  const verification = await verifyDataset(dataset, {
    onProgress: (done, total) => onProgress?.(done, 2 * total),
  });
  const cases: CaseMeasures[] = [];
  const unreadable: DatasetReport["unreadable"] = [];
  for (const [index, { entry, part }] of entries.entries()) {
    try {
      const { images, label } = await readCase(entry, dataset.channels, dataset);
      checkGrids(images, label, dataset.channels, entry.id);
      cases.push(measureCase({ id: entry.id, part }, images, label, dataset));
    } catch (error) {
      if (!(error instanceof UserError)) throw error;
      unreadable.push({ id: entry.id, error: error.message });
    }
    onProgress?.(entries.length + index + 1, 2 * entries.length);
  }
  return {
    version: 1,
    dataset: dataset.name,
    channels: dataset.channels,
    labels: dataset.labels,
    assumedSpacing: entries.every(({ entry }) => entry.images.every((path) => scanExtension(path) === ".png")),
    verification,
    cases,
    unreadable,
    ...findOutliers(cases),
    typical: typicalCases(cases, typicalCount),
    folds: measureFolds(dataset, cases, split),
  };
}

function measureFolds(dataset: Dataset, cases: readonly CaseMeasures[], split: SplitOptions): DatasetReport["folds"] {
  const own = dataset.splits !== undefined && split.folds === undefined && split.groups === undefined;
  const byId = new Map(cases.filter(({ part }) => part === "training").map((one) => [one.id, one]));
  let folds: Fold[];
  try {
    folds = foldsOf(dataset, split);
  } catch (error) {
    if (!(error instanceof UserError)) throw error;
    return { own, list: [], unvalidated: [], error: error.message };
  }
  const validated = new Set(folds.flatMap(({ val }) => val));
  const list = folds.map(({ train, val }): FoldMeasures => {
    const measured = val.flatMap((id) => byId.get(id)?.labels ?? []);
    const labels = dataset.labels.slice(1).map(({ name, value }) => {
      const volumes = measured.filter((label) => label.value === value && label.voxels > 0).map(({ ml }) => ml);
      const sum = volumes.reduce((total, ml) => total + ml, 0);
      return { name, cases: volumes.length, meanMl: volumes.length > 0 ? sum / volumes.length : null };
    });
    return { training: train.length, validation: val.length, labels };
  });
  return { own, list, unvalidated: dataset.training.map(({ id }) => id).filter((id) => !validated.has(id)) };
}
