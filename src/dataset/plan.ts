import { counted } from "../util/counted.ts";
import { fail } from "../util/errors.ts";
import { type Vec3, voxelCount } from "../volume/volume.ts";
import type { Fingerprint } from "./measure.ts";
import { normalisationOf, parseNormalisations } from "./plan-normalisation.ts";
import { type PatchChoice, patchLadder } from "./plan-patch.ts";
import { coarserSpacing, medianSizeAt, spacingText, targetSpacing } from "./plan-spacing.ts";
import { checkPatch, mostPools, planTopology } from "./topology.ts";
import type { Dataset, Plan } from "./types.ts";

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
  /** As {@link parseNormalisations} reads it. */
  normalise?: string;
  /** What a budget allows; `patch` and `batch` win over it. */
  limit?: PlanLimit;
}

/** The largest patch that may be chosen, and the batch, with the reason: "so that ...". */
export interface PlanLimit {
  voxels: number;
  batch: number;
  why: string;
}

/** Most voxels of a 3D patch (96^3) and of a 2D patch: what a laptop trains in a few seconds a step. */
const patchBudget = { 2: 512 * 512, 3: 96 ** 3 };
/** Pixels a 2D batch aims at: 4 pictures of 128^2. Small batches take more steps in the same time, and many steps are what counts. */
const batchVoxels = 4 * 128 ** 2;
/** A step sees at most this share of the set's voxels, where the batch is not at its smallest. */
const mostCovered = 0.05;
/** nnU-Net adds a coarser first stage where a patch holds less than this share of the median scan. */
const smallShare = 0.25;

const by = (shape: readonly number[]): string => shape.join("x");

/**
 * Derives everything that decides how scans become the net's input, after nnU-Net's rules of thumb (Isensee et al., Nat Methods
 * 2021), each choice with its reason in words. Throws UserError for overrides that do not fit together.
 */
export function planDataset(fingerprint: Fingerprint, dataset: Dataset, overrides: PlanOverrides = {}): Plan {
  const reasons: string[] = [];
  checkOverrides(overrides);
  checkForeground(fingerprint);
  const spacing = overrides.spacing ?? targetSpacing(fingerprint, reasons);
  if (overrides.spacing) reasons.push(`Target spacing is ${spacingText(spacing)} (D, H, W), as asked.`);
  const size = medianSizeAt(fingerprint, spacing);
  // Everything 2D has D = 1; a slice along another axis stays a 3D scan that is flat there.
  const dimensions = size[0] === 1 ? 2 : 3;
  if (dimensions === 2)
    reasons.push("The scans have one slice, so the net is 2D: no pooling and kernel 1 across the slice.");
  else if (size.includes(1))
    reasons.push(`The scans are one voxel thick along ${"DHW"[size.indexOf(1)]}: no pooling and kernel 1 along it.`);
  const { patch, topology } = choosePatch(size, spacing, dimensions, overrides, reasons);
  const usual = defaultBatch(patch, dimensions, fingerprint.cases.length * voxelCount(size));
  const batch = overrides.batch ?? overrides.limit?.batch ?? usual.batch;
  reasons.push(
    overrides.batch
      ? `Batch is ${batch}, as asked.`
      : batch === usual.batch
        ? `Batch is ${batch}${usual.why}.`
        : `Batch is ${batch} instead of ${usual.batch}, ${overrides.limit?.why}.`,
  );
  const normalisations =
    overrides.normalise === undefined ? undefined : parseNormalisations(overrides.normalise, fingerprint);
  if (normalisations) reasons.push(`Normalisation is ${overrides.normalise}, as asked.`);
  const mirrorAxes = overrides.mirrorAxes ?? [];
  reasons.push(
    overrides.mirrorAxes
      ? `Mirroring is ${mirrorAxes.length ? `on along ${mirrorAxes.map((a) => "DHW"[a]).join(", ")}` : "off"}, as asked.`
      : "Mirroring is off by default because sides often carry meaning; turn it on with --mirror.",
  );
  if (dataset.regions) {
    reasons.push(
      `The targets are ${dataset.regions.length} regions that may overlap, so the net has a sigmoid output for each instead of a softmax over labels.`,
    );
  }
  for (const { name, value } of absentClasses(fingerprint)) {
    reasons.push(
      `No case has label ${value} (${name}), so the net cannot learn it: check dataset.json and the labels.`,
    );
  }
  return {
    version: 1,
    dataset: dataset.name,
    dimensions,
    channels: dataset.channels.map((name, c) => ({
      name,
      normalisation: normalisations?.[c] ?? normalisationOf(name, c, fingerprint, reasons),
    })),
    labels: dataset.labels,
    ...(dataset.regions ? { regions: dataset.regions } : {}),
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

/** Foreground classes that are in no case. */
function absentClasses({ classes }: Pick<Fingerprint, "classes">): Fingerprint["classes"] {
  return classes.filter(({ value, cases }) => value !== 0 && cases === 0);
}

function checkForeground({ classes, cases }: Fingerprint): void {
  const foreground = classes.filter(({ value }) => value !== 0);
  if (foreground.length === 0 || absentClasses({ classes }).length < foreground.length) return;
  fail(
    `Expected label ${foreground.map(({ value, name }) => `${value} (${name})`).join(" or ")} in some training case, but ${cases.length === 1 ? "the only one is" : `all ${cases.length} are`} background only; check that the labels are the right files and that dataset.json has their values.`,
  );
}

function choosePatch(
  size: Vec3,
  spacing: Vec3,
  dimensions: 2 | 3,
  overrides: PlanOverrides,
  reasons: string[],
): PatchChoice {
  if (overrides.patch) {
    const patch = overrides.patch;
    const topology = planTopology(patch, spacing, overrides.pools);
    checkPatch(patch, topology.pools);
    reasons.push(`Patch is ${by(patch)} (D, H, W), as asked, with ${topology.pools.length} pools.`);
    sayKernels(topology.kernels, patch, reasons);
    return { patch, topology };
  }
  // Throws where a stated number of pools does not fit the median scan.
  planTopology(size, spacing, overrides.pools);
  const { limit } = overrides;
  const ladder = patchLadder(size, spacing, overrides.pools);
  // The whole scan is best where it fits: what rounding adds to it does not count.
  const whole = voxelCount(size) <= patchBudget[dimensions];
  const fits = limit
    ? ({ patch }: PatchChoice) => voxelCount(patch) <= limit.voxels
    : ({ patch }: PatchChoice) => (whole && patch === ladder[0].patch) || voxelCount(patch) <= patchBudget[dimensions];
  const choice = ladder.find(fits) ?? ladder[ladder.length - 1];
  const { patch, topology } = choice;
  const pools = topology.pools.length;
  reasons.push(
    choice === ladder[0]
      ? `Patch is ${by(patch)} (D, H, W): the median scan is ${by(size)}, rounded up so that ${counted(pools, "pool divides", "pools divide")} it.`
      : limit
        ? `Patch is ${by(patch)} (D, H, W): cut from the median scan of ${by(size)} in its proportions, ${limit.why}; ${counted(pools, "pool divides", "pools divide")} it.`
        : `Patch is ${by(patch)} (D, H, W): the median scan of ${by(size)} is too large for a step of ${patchBudget[dimensions]} voxels, so it is cut in its proportions; ${counted(pools, "pool divides", "pools divide")} it.`,
  );
  const share = voxelCount(patch) / voxelCount(size);
  if (share < smallShare) {
    reasons.push(
      `A patch sees ${Math.max(1, Math.round(100 * share))} % of the median scan; if a structure is larger than that, plan with coarser voxels, for instance --spacing ${coarserSpacing(spacing, size, smallShare / share).join(",")}.`,
    );
  }
  reasons.push(
    overrides.pools
      ? `${counted(pools, "pool")}, as asked.`
      : `${counted(pools, "pool")}: each axis is halved while at least 4 voxels remain, ${mostPools} times at most.`,
  );
  sayKernels(topology.kernels, patch, reasons);
  return choice;
}

function sayKernels(kernels: readonly Vec3[], patch: Vec3, reasons: string[]): void {
  if (kernels.some((kernel) => kernel.some((k, axis) => k === 1 && patch[axis] > 1))) {
    reasons.push(
      "Kernels are 1 along axes whose voxels are at least twice as long, until pooling the others evens them out; until then those axes are not pooled.",
    );
  }
}

/** 2 in 3D; in 2D a power of two from 2 to 16, or less where that would be more than 5 % of the set's voxels (nnU-Net's limit). */
function defaultBatch(patch: Vec3, dimensions: 2 | 3, setVoxels: number): { batch: number; why: string } {
  if (dimensions === 3) return { batch: 2, why: ": small batches take more steps in the same time" };
  const work = Math.min(16, Math.max(2, 2 ** Math.floor(Math.log2(batchVoxels / voxelCount(patch)))));
  const covered = Math.max(2, Math.floor((mostCovered * setVoxels) / voxelCount(patch)));
  return covered < work
    ? { batch: covered, why: `: more would be over ${mostCovered * 100} % of the set in one step` }
    : { batch: work, why: ": small batches take more steps in the same time" };
}
