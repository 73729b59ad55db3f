import { fail, UserError } from "../util/errors.ts";
import { reorient } from "../volume/orientation.ts";
import { spacingOf, type Vec3, type Volume } from "../volume/volume.ts";
import { chooseCrop } from "./crop.ts";
import { checkFinite } from "./normalise.ts";
import { checkGrids, failLabelValue } from "./preprocess.ts";
import { meanAndSd, median, percentiles } from "./statistics.ts";
import type { Dataset, DatasetCase } from "./types.ts";

export interface IntensityStatistics {
  percentile005: number;
  percentile995: number;
  mean: number;
  sd: number;
}

export interface CaseFingerprint {
  id: string;
  /** Voxels along D, H, W in canonical orientation, after the crop to non-zero voxels where that helps. */
  shape: Vec3;
  /** mm. */
  spacing: Vec3;
  /** Per channel, over foreground voxels (over all voxels where a case has no foreground). */
  foreground: IntensityStatistics[];
  /** Per label in the set's order: voxels, and volume in ml. */
  voxels: number[];
  ml: number[];
}

/** What a set looks like, as plain JSON: the ground for planning. */
export interface Fingerprint {
  version: 1;
  dataset: string;
  cases: CaseFingerprint[];
  medianShape: Vec3;
  medianSpacing: Vec3;
  /** Per channel over the whole set, from up to 10,000 evenly spaced foreground voxels of each case. */
  foreground: IntensityStatistics[];
  /** Over the cases that have the class. */
  classes: { name: string; value: number; cases: number; medianMl: number; voxels: number }[];
}

/** A training case that was left out because it cannot be read or does not fit the data set. */
export interface SkippedCase {
  case: string;
  why: string;
}

const samplesPerCase = 10_000;

export interface FingerprintOptions {
  onProgress?: (done: number, total: number) => void;
  /** Hears of cases that cannot be used, and they are left out; without it the first one is thrown as a UserError. */
  onBad?: (bad: SkippedCase) => void;
}

/** Reads a case with its label map. */
type ReadCase = (entry: DatasetCase) => Promise<{ images: Volume[]; label?: Volume }>;

/** Measures every training case once, as `read` gives it. UserError where none can be used. */
export async function measureDataset(
  dataset: Dataset,
  read: ReadCase,
  options: FingerprintOptions = {},
): Promise<Fingerprint> {
  const cases: CaseFingerprint[] = [];
  const samples: number[][] = dataset.channels.map(() => []);
  let firstBad: SkippedCase | undefined;
  for (const [done, entry] of dataset.training.entries()) {
    try {
      const { images, label } = await read(entry);
      const measured = fingerprintCase(entry.id, images, label, dataset);
      cases.push(measured.fingerprint);
      for (const [c, values] of measured.foreground.entries()) {
        const step = Math.max(1, values.length / samplesPerCase);
        for (let at = 0; at < values.length; at += step) samples[c].push(values[Math.floor(at)]);
      }
    } catch (error) {
      if (!(options.onBad && error instanceof UserError)) throw error;
      const bad = { case: entry.id, why: error.message };
      firstBad ??= bad;
      options.onBad(bad);
    }
    options.onProgress?.(done + 1, dataset.training.length);
  }
  if (cases.length === 0) {
    fail(
      `Expected a training case in ${dataset.name} that can be used, but all ${dataset.training.length} are bad; the first, ${firstBad?.case}: ${firstBad?.why}`,
    );
  }
  const axes = [0, 1, 2] as const;
  return {
    version: 1,
    dataset: dataset.name,
    cases,
    medianShape: axes.map((a) => Math.round(median(cases.map((entry) => entry.shape[a])))) as Vec3,
    medianSpacing: axes.map((a) => median(cases.map((entry) => entry.spacing[a]))) as Vec3,
    foreground: samples.map(statisticsOf),
    classes: dataset.labels.map(({ name, value }, k) => {
      const present = cases.filter((entry) => entry.voxels[k] > 0);
      return {
        name,
        value,
        cases: present.length,
        medianMl: present.length ? median(present.map((entry) => entry.ml[k])) : 0,
        voxels: present.reduce((sum, entry) => sum + entry.voxels[k], 0),
      };
    }),
  };
}

/**
 * Measures one case; also returns the foreground intensities of each channel. Throws a UserError where channels, grids, label
 * values or voxels are not as training needs them: the plan would be wrong without a word.
 */
export function fingerprintCase(
  id: string,
  images: readonly Volume[],
  label: Volume | undefined,
  { channels, labels }: Pick<Dataset, "channels" | "labels">,
): { fingerprint: CaseFingerprint; foreground: Float32Array[] } {
  checkGrids(images, label, channels, id);
  for (const [c, { data }] of images.entries()) checkFinite(data, () => `case ${id}, channel ${channels[c]}`);
  const { affine } = images[0];
  const canonical = images.map((image) => reorient({ ...image, affine }));
  const crop = chooseCrop(canonical);
  const spacing = spacingOf(canonical[0]);
  const counts = new Map(labels.map(({ value }) => [value, 0]));
  for (const value of label?.data ?? []) {
    const n = counts.get(value);
    if (n === undefined) failLabelValue(value, labels, id);
    counts.set(value, n + 1);
  }
  const total = label?.data.length ?? 0;
  const inside = total - (counts.get(0) ?? 0);
  const foreground = images.map(({ data }) => {
    if (!label || inside === 0) return Float32Array.from(data);
    const values = new Float32Array(inside);
    let n = 0;
    for (let i = 0; i < total; i++) if (label.data[i] !== 0) values[n++] = data[i];
    return values;
  });
  const voxels = labels.map(({ value }) => counts.get(value) ?? 0);
  const mlPerVoxel = (spacing[0] * spacing[1] * spacing[2]) / 1000;
  return {
    fingerprint: {
      id,
      shape: crop.shape,
      spacing,
      foreground: foreground.map(statisticsOf),
      voxels,
      ml: voxels.map((n) => n * mlPerVoxel),
    },
    foreground,
  };
}

function statisticsOf(values: ArrayLike<number>): IntensityStatistics {
  const [percentile005, percentile995] = percentiles(values, [0.5, 99.5]);
  return { percentile005, percentile995, ...meanAndSd(values) };
}
