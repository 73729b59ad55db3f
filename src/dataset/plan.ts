import { fail } from "../util/errors.ts";
import { type Vec3, voxelCount } from "../volume/volume.ts";
import type { Fingerprint } from "./fingerprint.ts";
import { median, percentiles } from "./statistics.ts";
import { checkPatch, planTopology, poolFactors, roundUpPatch, type Topology } from "./topology.ts";
import type { Dataset, Normalisation, Plan } from "./types.ts";

export { checkPatch } from "./topology.ts";

export interface PlanOverrides {
  /** D, H, W voxels. */
  patch?: Vec3;
  /** D, H, W mm. */
  spacing?: Vec3;
  /** Number of pools. */
  pools?: number;
  batch?: number;
  /** Axes (0 = D, 1 = H, 2 = W) to mirror along. */
  mirrorAxes?: number[];
}

/** Most voxels of a 3D patch (96^3) and of a 2D patch: what a laptop trains in a few seconds a step. */
const patchBudget = { 2: 512 * 512, 3: 96 ** 3 };
/** Voxels a 2D batch aims at: the work of the 3D default, 2 patches of 64^3. */
const batchVoxels = 2 * 64 ** 3;

const mm = (spacing: Vec3): string => `${spacing.map((s) => Number(s.toPrecision(4))).join(" x ")} mm`;
const by = (shape: readonly number[]): string => shape.join("x");

/**
 * Derives everything that decides how scans become the net's input, after nnU-Net's rules of thumb (Isensee et al., Nat Methods
 * 2021), each choice with its reason in words. Throws UserError for overrides that do not fit together.
 */
export function planDataset(fingerprint: Fingerprint, dataset: Dataset, overrides: PlanOverrides = {}): Plan {
  const reasons: string[] = [];
  checkOverrides(overrides);
  const spacing = overrides.spacing ?? targetSpacing(fingerprint, reasons);
  if (overrides.spacing) reasons.push(`Target spacing is ${mm(spacing)} (D, H, W), as asked.`);
  const size = medianSize(fingerprint, spacing);
  // Everything 2D has D = 1; a slice along another axis stays a 3D scan that is flat there.
  const dimensions = size[0] === 1 ? 2 : 3;
  if (dimensions === 2)
    reasons.push("The scans have one slice, so the net is 2D: no pooling and kernel 1 across the slice.");
  else if (size.includes(1))
    reasons.push(`The scans are one voxel thick along ${"DHW"[size.indexOf(1)]}: no pooling and kernel 1 along it.`);
  const { patch, topology } = choosePatch(size, spacing, dimensions, overrides, reasons);
  const batch = overrides.batch ?? (dimensions === 3 ? 2 : pictureBatch(patch));
  reasons.push(
    overrides.batch
      ? `Batch is ${batch}, as asked.`
      : dimensions === 3
        ? "Batch is 2: small batches take more steps in the same time."
        : `Batch is ${batch}, which makes a step about as much work as a 3D one.`,
  );
  const mirrorAxes = overrides.mirrorAxes ?? [];
  reasons.push(
    overrides.mirrorAxes
      ? `Mirroring is ${mirrorAxes.length ? `on along ${mirrorAxes.map((a) => "DHW"[a]).join(", ")}` : "off"}, as asked.`
      : "Mirroring is off by default because sides often carry meaning; turn it on with --mirror.",
  );
  return {
    version: 1,
    dataset: dataset.name,
    dimensions,
    channels: dataset.channels.map((name, c) => ({
      name,
      normalisation: normalisationOf(name, c, fingerprint, reasons),
    })),
    labels: dataset.labels,
    spacing,
    patch,
    batch,
    pools: topology.pools,
    kernels: topology.kernels,
    mirrorAxes,
    reasons,
  };
}

function checkOverrides({ patch, spacing, pools, batch, mirrorAxes }: PlanOverrides): void {
  const whole = (value: number): boolean => Number.isInteger(value) && value > 0;
  if (patch && !(patch.length === 3 && patch.every(whole)))
    fail(`Expected a patch of three whole numbers (D, H, W), but got ${patch}.`);
  if (spacing && !(spacing.length === 3 && spacing.every((s) => s > 0 && Number.isFinite(s)))) {
    fail(`Expected a spacing of three positive numbers in mm (D, H, W), but got ${spacing}.`);
  }
  if (pools !== undefined && !whole(pools)) fail(`Expected a whole number of pools, 1 or more, but got ${pools}.`);
  if (batch !== undefined && !whole(batch)) fail(`Expected a whole batch size, 1 or more, but got ${batch}.`);
  const odd = mirrorAxes?.find((axis) => ![0, 1, 2].includes(axis));
  if (odd !== undefined) fail(`Expected mirror axes among 0 (D), 1 (H), 2 (W), but got ${odd}.`);
}

/** Median spacing; where one axis is far coarser and has far fewer voxels, its 10th percentile (nnU-Net's rule). */
function targetSpacing(fingerprint: Fingerprint, reasons: string[]): Vec3 {
  const spacing = [...fingerprint.medianSpacing] as Vec3;
  const coarse = spacing.indexOf(Math.max(...spacing));
  const others = [0, 1, 2].filter((axis) => axis !== coarse);
  const finest = Math.max(...others.map((axis) => spacing[axis]));
  const shape = fingerprint.medianShape;
  const few = others.every((axis) => shape[coarse] * 3 < shape[axis]);
  if (shape[coarse] > 1 && spacing[coarse] > 3 * finest && few) {
    const tenth = percentiles(
      fingerprint.cases.map((entry) => entry.spacing[coarse]),
      [10],
    )[0];
    spacing[coarse] = Math.max(tenth, finest);
    reasons.push(
      `Target spacing is ${mm(spacing)} (D, H, W): the median, but the 10th percentile along the coarse axis ${"DHW"[coarse]}, so that thin slices keep their detail.`,
    );
  } else {
    reasons.push(`Target spacing is ${mm(spacing)} (D, H, W), the median of the set.`);
  }
  return spacing;
}

/** Median size in voxels once every case is at the target spacing. */
function medianSize(fingerprint: Fingerprint, spacing: Vec3): Vec3 {
  return [0, 1, 2].map((axis) => {
    const sizes = fingerprint.cases.map(({ shape, spacing: own }) =>
      shape[axis] === 1 ? 1 : Math.max(1, Math.round((shape[axis] * own[axis]) / spacing[axis])),
    );
    return Math.round(median(sizes));
  }) as Vec3;
}

function choosePatch(
  size: Vec3,
  spacing: Vec3,
  dimensions: 2 | 3,
  overrides: PlanOverrides,
  reasons: string[],
): { patch: Vec3; topology: Topology } {
  if (overrides.patch) {
    const patch = overrides.patch;
    const topology = planTopology(patch, spacing, overrides.pools);
    checkPatch(patch, topology.pools);
    reasons.push(`Patch is ${by(patch)} (D, H, W), as asked, with ${topology.pools.length} pools.`);
    return { patch, topology };
  }
  // Whole scans are best where they fit; else the longest axes are cut to one length.
  const budget = patchBudget[dimensions];
  let longest = Math.max(...size);
  const cut = (): Vec3 => size.map((n) => Math.min(n, longest)) as Vec3;
  while (voxelCount(cut()) > budget) longest--;
  const goal = cut();
  const topology = planTopology(goal, spacing, overrides.pools);
  const factors = poolFactors(topology.pools);
  const patch = roundUpPatch(goal, topology.pools).map((n, axis) =>
    n > goal[axis] && goal[axis] < size[axis] ? n - factors[axis] : n,
  ) as Vec3;
  reasons.push(
    by(goal) === by(size)
      ? `Patch is ${by(patch)} (D, H, W): the median scan is ${by(size)}, rounded up so that ${topology.pools.length} pools divide it.`
      : `Patch is ${by(patch)} (D, H, W): the median scan of ${by(size)} is too large for a step of ${budget} voxels, so its longest axes are cut; ${topology.pools.length} pools divide it.`,
  );
  reasons.push(
    overrides.pools
      ? `${topology.pools.length} pools, as asked.`
      : `${topology.pools.length} pools: each axis is halved while at least 4 voxels remain, 4 times at most.`,
  );
  if (topology.kernels.some((kernel) => kernel.some((k, axis) => k === 1 && patch[axis] > 1))) {
    reasons.push("Kernels are 1 along axes whose voxels are more than 3 times longer, until pooling evens them out.");
  }
  return { patch, topology };
}

/** A power of two from 2 to 32. */
function pictureBatch(patch: Vec3): number {
  return Math.min(32, Math.max(2, 2 ** Math.floor(Math.log2(batchVoxels / voxelCount(patch)))));
}

function normalisationOf(name: string, channel: number, fingerprint: Fingerprint, reasons: string[]): Normalisation {
  if (name.trim().toLowerCase() === "ct") {
    const { percentile005, percentile995, mean, sd } = fingerprint.foreground[channel];
    reasons.push(
      `Channel "${name}" has an absolute scale: clipped to the foreground's range ${percentile005.toFixed(1)} to ${percentile995.toFixed(1)}, then the set's mean and standard deviation.`,
    );
    return { kind: "ct", low: percentile005, high: percentile995, mean, sd };
  }
  reasons.push(
    `Channel "${name}" has no absolute scale: each scan is clipped to its percentiles 0.5 to 99.5, then z-scored.`,
  );
  return { kind: "zscore", percentiles: [0.5, 99.5] };
}
