import { fail } from "../util/errors.ts";
import { cornerShift, shiftLimit } from "../volume/grid.ts";
import { axisCodes, reorient, restoreOrientation } from "../volume/orientation.ts";
import { resample, resampleLabels } from "../volume/resample.ts";
import { spacingOf, type Vec3, type Volume, type VoxelArray, voxelCount } from "../volume/volume.ts";
import { chooseCrop, cropVolume } from "./crop.ts";
import { normalise } from "./normalise.ts";
import type { LabelInfo, Plan, PreparedCase } from "./types.ts";

/** Spacings that differ less than this (as a share) count as equal: no resampling. */
const sameSpacing = 0.01;

const by = (shape: Vec3): string => `[${shape.join(", ")}]`;

/**
 * Brings one case into the net's space: canonical RAS orientation, crop to the non-zero box where that saves at least 25 %,
 * normalisation per channel, resampling to the plan's spacing where it differs by more than 1 % (intensities linear, labels per
 * class linear + argmax). `images`: one volume per channel, all on one grid; `label` on the same grid, with values of
 * `plan.labels`. Throws UserError where channels, grids or label values do not fit.
 */
export function prepareCase(
  images: readonly Volume[],
  label: Volume | undefined,
  plan: Pick<Plan, "channels" | "labels" | "spacing">,
  id: string,
): PreparedCase {
  checkGrids(
    images,
    label,
    plan.channels.map(({ name }) => name),
    id,
  );
  const [first] = images;
  // All take over the first image's affine, so that they turn alike: within the tolerance their axis codes may differ.
  const { affine } = first;
  const canonical = images.map((image) => reorient({ ...image, affine }));
  const crop = chooseCrop(canonical);
  const shape = targetShape(crop.shape, spacingOf(canonical[0]), plan.spacing);
  const voxels = voxelCount(shape);
  const image = new Float32Array(images.length * voxels);
  for (const [c, volume] of canonical.entries()) {
    const { data } = cropVolume(volume, crop);
    const values = normalise(
      data,
      plan.channels[c].normalisation,
      () => `case ${id}, channel ${plan.channels[c].name}`,
    );
    image.set(resample({ data: values, shape: crop.shape }, shape).data, c * voxels);
  }
  const source = {
    shape: [...first.shape] as Vec3,
    affine: [...affine],
    canonicalShape: canonical[0].shape,
    cropStart: crop.start,
    cropShape: crop.shape,
  };
  if (!label) return { id, image, shape, source };
  const classes = toClasses(label, plan.labels, id);
  const turned = reorient({ data: classes, shape: label.shape, affine });
  return { id, image, shape, label: resampleLabels(cropVolume(turned, crop), shape).data, source };
}

/** Voxels along each axis at the target spacing; axes of one voxel and differences up to 1 % stay. */
function targetShape(shape: Vec3, spacing: Vec3, target: Vec3): Vec3 {
  return shape.map((n, axis) =>
    n === 1 || Math.abs(spacing[axis] / target[axis] - 1) <= sameSpacing
      ? n
      : Math.max(1, Math.round((n * spacing[axis]) / target[axis])),
  ) as Vec3;
}

/** Throws a UserError unless there is an image per channel, and all of them and the label lie on one grid. */
export function checkGrids(
  images: readonly Volume[],
  label: Volume | undefined,
  channels: readonly string[],
  id: string,
): void {
  if (images.length !== channels.length) {
    fail(
      `Expected ${channels.length} channels (${channels.join(", ")}) for case ${id}, but got ${images.length}; give one image per channel.`,
    );
  }
  const [first] = images;
  for (const [what, volume] of [
    ...images.slice(1).map((image, c) => [`channel ${channels[c + 1]}`, image] as const),
    ...(label ? [["the label", label] as const] : []),
  ]) {
    if (by(volume.shape) !== by(first.shape)) {
      fail(
        `Expected ${what} of case ${id} on the grid of its first image ${by(first.shape)} (D, H, W), but it is ${by(volume.shape)}; resample it or take the case out.`,
      );
    }
    const shift = cornerShift(volume, first);
    if (!(shift <= shiftLimit(first))) {
      fail(
        `Expected ${what} of case ${id} in the place of its first image, but their affines put a corner ${shift.toPrecision(3)} mm apart (axes ${axisCodes(volume.affine)} against ${axisCodes(first.affine)}); run lunet verify and mend the file.`,
      );
    }
  }
}

/** Refuses a voxel of a label map that is none of the data set's labels. */
export function failLabelValue(value: number, labels: readonly LabelInfo[], id: string): never {
  return fail(
    `Expected label values ${labels.map((known) => known.value).join(", ")} in case ${id}, but found ${value}; add it to the labels of dataset.json or mend the file.`,
  );
}

/** Label values to class indices. */
function toClasses(label: Volume, labels: readonly LabelInfo[], id: string): Uint8Array {
  const index = new Int16Array(256).fill(-1);
  for (const [k, { value }] of labels.entries()) index[value] = k;
  const classes = new Uint8Array(label.data.length);
  for (let i = 0; i < classes.length; i++) {
    const value = label.data[i];
    // A fractional or negative value is no key of a typed array, so it gives undefined.
    const k = index[value] ?? -1;
    if (k < 0) failLabelValue(value, labels, id);
    classes[i] = k;
  }
  return classes;
}

/**
 * Brings class scores back to the file's own grid. `scores` [K, D, H, W] on the prepared grid, K = number of labels (logits or
 * probabilities); they are resampled linearly, the largest wins (ties: the first), background outside the crop.
 * Returns label values (not class indices) with the file's shape and affine.
 */
export function restoreGrid(
  scores: Float32Array,
  prepared: Pick<PreparedCase, "id" | "shape" | "source">,
  plan: Pick<Plan, "labels">,
): Volume<Uint8Array> {
  const { shape, source } = prepared;
  const { canonicalShape, cropStart, cropShape } = source;
  const voxels = voxelCount(shape);
  const K = plan.labels.length;
  if (scores.length !== K * voxels) {
    fail(
      `Expected scores of ${K} classes on ${by(shape)} voxels for case ${prepared.id}, but got ${scores.length / voxels} classes; use the plan the net was trained with.`,
    );
  }
  const grid = (k: number): VoxelArray =>
    resample({ data: scores.subarray(k * voxels, (k + 1) * voxels), shape }, cropShape).data;
  const best = Float32Array.from(grid(0));
  const values = new Uint8Array(best.length).fill(plan.labels[0].value);
  for (let k = 1; k < K; k++) {
    const score = grid(k);
    const value = plan.labels[k].value;
    for (let i = 0; i < best.length; i++) {
      if (score[i] > best[i]) {
        best[i] = score[i];
        values[i] = value;
      }
    }
  }
  const whole = new Uint8Array(voxelCount(canonicalShape)).fill(plan.labels[0].value);
  const [cD, cH, cW] = cropShape;
  for (let d = 0; d < cD; d++) {
    for (let h = 0; h < cH; h++) {
      const row = ((d + cropStart[0]) * canonicalShape[1] + h + cropStart[1]) * canonicalShape[2] + cropStart[2];
      const from = (d * cH + h) * cW;
      whole.set(values.subarray(from, from + cW), row);
    }
  }
  const affine = Float64Array.from(source.affine);
  return restoreOrientation({ data: whole, shape: canonicalShape, affine }, { shape: source.shape, affine });
}
