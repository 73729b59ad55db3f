import { fail } from "../util/errors.ts";
import { arrayLike } from "../volume/arrays.ts";
import { cornerShift, shiftLimit } from "../volume/grid.ts";
import { axisCodes, reorient } from "../volume/orientation.ts";
import { resampleLabels } from "../volume/resample.ts";
import { type Vec3, type Volume, type VoxelArray, voxelCount } from "../volume/volume.ts";
import { chooseCrop, cropVolume } from "./crop.ts";
import { checkFinite, createNormaliser } from "./normalise.ts";
import { createPlaneResampler } from "./preprocess-resample.ts";
import { canonicalView, readPlane } from "./preprocess-view.ts";
import type { LabelInfo, Plan, PreparedCase } from "./types.ts";

/** Spacings that differ less than this (as a share) count as equal: no resampling. */
const sameSpacing = 0.01;

const by = (shape: Vec3): string => `[${shape.join(", ")}]`;

/** A case in the net's space, made plane by plane: as large as the scan may be, only what is asked for takes memory. */
export interface OpenCase extends Omit<PreparedCase, "image" | "label"> {
  /** Plane d of the prepared image [C, H, W], to be read only. Cheapest in ascending order. */
  plane(d: number): Float32Array;
}

/**
 * Looks at one case and gives its planes in the net's space: canonical RAS orientation, crop to the non-zero box where that
 * saves at least 25 %, normalisation per channel, linear resampling to the plan's spacing where it differs by more than 1 %.
 * `images`: one volume per channel, all on one grid; they are read until the last plane was asked for. Throws UserError
 * where channels or grids do not fit or voxels are not finite.
 */
export function openCase(images: readonly Volume[], plan: Pick<Plan, "channels" | "spacing">, id: string): OpenCase {
  const channels = plan.channels.map(({ name }) => name);
  checkGrids(images, undefined, channels, id);
  // All take over the first image's affine, so that they turn alike: within the tolerance their axis codes may differ.
  const { shape: fileShape, affine } = images[0];
  const view = canonicalView(fileShape, affine);
  const crop = view.boxOf(chooseCrop(images));
  const shape = targetShape(crop.shape, view.spacing, plan.spacing);
  const [D, H, W] = crop.shape;
  const reading = images.map(({ data }) => {
    const spare = arrayLike(data, H * W);
    return (d: number, into: Float32Array): void => into.set(readPlane(data, view, crop, d, spare));
  });
  const normalisers = plan.channels.map(({ name, normalisation }, c) => {
    const plane = new Float32Array(H * W);
    const planes = function* (): Iterable<Float32Array> {
      for (let d = 0; d < D; d++) {
        reading[c](d, plane);
        yield plane;
      }
    };
    if (holdsFloats(images[c].data))
      for (const values of planes()) checkFinite(values, () => `case ${id}, channel ${name}`);
    return createNormaliser(planes, normalisation);
  });
  const resampler = createPlaneResampler(images.length, crop.shape, shape);
  // Planes of the result in ascending order lie between the same two source planes or the next.
  let entered: { d: number; plane: Float32Array }[] = [];
  const enter = (d: number): Float32Array => {
    const known = entered.find((source) => source.d === d);
    if (known) return known.plane;
    const plane = new Float32Array(images.length * H * W);
    for (const [c, read] of reading.entries()) {
      const values = plane.subarray(c * H * W, (c + 1) * H * W);
      read(d, values);
      normalisers[c](values);
    }
    const source = { d, plane: resampler.enter(plane) };
    entered = [...entered, source].slice(-2);
    return source.plane;
  };
  return {
    id,
    shape,
    source: {
      shape: [...fileShape],
      affine: [...affine],
      canonicalShape: view.shape,
      cropStart: crop.start,
      cropShape: crop.shape,
    },
    plane(d) {
      const [low, high] = resampler.sources(d);
      return resampler.leave(d, enter(low), enter(high));
    },
  };
}

/**
 * Brings one whole case into the net's space, as {@link openCase} does; `label` on the images' grid, with values of `plan.labels`,
 * is resampled per class linearly + argmax. Throws UserError where channels, grids or label values do not fit.
 */
export function prepareCase(
  images: readonly Volume[],
  label: Volume | undefined,
  plan: Pick<Plan, "channels" | "labels" | "spacing">,
  id: string,
): PreparedCase {
  const channels = plan.channels.map(({ name }) => name);
  checkGrids(images, label, channels, id);
  const { shape, source, plane } = openCase(images, plan, id);
  const image = new Float32Array(images.length * voxelCount(shape));
  for (let d = 0; d < shape[0]; d++) putPlane(image, shape, d, plane(d));
  if (!label) return { id, image, shape, source };
  const classes = toClasses(label, plan.labels, id);
  const turned = reorient({ data: classes, shape: label.shape, affine: images[0].affine });
  const cropped = cropVolume(turned, { start: source.cropStart, shape: source.cropShape });
  return { id, image, shape, label: resampleLabels(cropped, shape).data, source };
}

/** Copies plane d [K, H, W] to its place in `out` [K, D, H, W]. */
export function putPlane(out: Float32Array, [D, H, W]: Vec3, d: number, plane: Float32Array): void {
  const size = H * W;
  for (let k = 0; k * size < plane.length; k++) out.set(plane.subarray(k * size, (k + 1) * size), (k * D + d) * size);
}

/** Integers are finite: there is nothing to check. */
function holdsFloats(data: VoxelArray): boolean {
  return data instanceof Float32Array || data instanceof Float64Array;
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
      `Expected ${channels.length} ${channels.length === 1 ? "channel" : "channels"} (${channels.join(", ")}) for case ${id}, but got ${images.length}; give one image per channel.`,
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
