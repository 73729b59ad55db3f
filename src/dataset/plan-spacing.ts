import type { Vec3 } from "../volume/volume.ts";
import type { Fingerprint } from "./measure.ts";
import { median, percentiles } from "./statistics.ts";

/** An axis is coarse when its voxels are more than this many times as long as the others', and it has so many times fewer. */
const coarseness = 3;

/** "1 x 0.5 x 0.5 mm". */
export const spacingText = (spacing: Vec3): string => `${spacing.map((s) => Number(s.toPrecision(4))).join(" x ")} mm`;

/**
 * Median spacing; where one axis is more than 3 times as coarse as both others and has less than a third of their voxels, its 10th
 * percentile, but no finer than the coarser of the others (nnU-Net's rule).
 */
export function targetSpacing(fingerprint: Fingerprint, reasons: string[]): Vec3 {
  const spacing = [...fingerprint.medianSpacing] as Vec3;
  const coarse = spacing.indexOf(Math.max(...spacing));
  const others = [0, 1, 2].filter((axis) => axis !== coarse);
  const coarserOther = Math.max(...others.map((axis) => spacing[axis]));
  const shape = fingerprint.medianShape;
  const few = others.every((axis) => shape[coarse] * coarseness < shape[axis]);
  if (shape[coarse] > 1 && spacing[coarse] > coarseness * coarserOther && few) {
    const tenth = percentiles(
      fingerprint.cases.map((entry) => entry.spacing[coarse]),
      [10],
    )[0];
    spacing[coarse] = Math.max(tenth, coarserOther);
    reasons.push(
      `Target spacing is ${spacingText(spacing)} (D, H, W): the median, but the 10th percentile along the coarse axis ${"DHW"[coarse]}, so that thin slices keep their detail.`,
    );
  } else {
    reasons.push(`Target spacing is ${spacingText(spacing)} (D, H, W), the median of the set.`);
  }
  return spacing;
}

/** Size in voxels of a scan brought to a spacing; an axis of one voxel stays. */
export function sizeAt({ shape, spacing: own }: { shape: Vec3; spacing: Vec3 }, spacing: Vec3): Vec3 {
  return shape.map((n, axis) => (n === 1 ? 1 : Math.max(1, Math.round((n * own[axis]) / spacing[axis])))) as Vec3;
}

/** Median size in voxels once every case is at the target spacing. */
export function medianSizeAt({ cases }: Pick<Fingerprint, "cases">, spacing: Vec3): Vec3 {
  const sizes = cases.map((entry) => sizeAt(entry, spacing));
  return [0, 1, 2].map((axis) => Math.round(median(sizes.map((size) => size[axis])))) as Vec3;
}

/** A step of the spacing on the way to coarser voxels, as in nnU-Net's low-resolution stage. */
const coarserStep = 1.03;

/**
 * The spacing at which scans have `gain` times fewer voxels, to 2 digits: axes that are more than twice as fine as the coarsest
 * first, then all alike; axes of one voxel stay.
 */
export function coarserSpacing(spacing: Vec3, size: Vec3, gain: number): Vec3 {
  const at = [...spacing] as Vec3;
  const axes = [0, 1, 2].filter((axis) => size[axis] > 1);
  for (let product = 1; product < gain; ) {
    const coarsest = Math.max(...axes.map((axis) => at[axis]));
    const fine = axes.filter((axis) => coarsest > 2 * at[axis]);
    for (const axis of fine.length > 0 ? fine : axes) {
      at[axis] *= coarserStep;
      product *= coarserStep;
    }
  }
  return at.map((mm, axis) => (mm === spacing[axis] ? mm : Number(mm.toPrecision(2)))) as Vec3;
}
