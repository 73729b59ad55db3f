import { rawItems } from "../volume/arrays.ts";
import { axisCodes, reorientation } from "../volume/orientation.ts";
import { spacingOf, type Vec3, type VoxelArray } from "../volume/volume.ts";
import type { Crop } from "./crop.ts";

/** A file's voxels seen along the canonical RAS+ axes where they lie: voxel (d, h, w) is `data[first + d steps[0] + ...]`. */
export interface CanonicalView {
  shape: Vec3;
  /** mm along D, H, W. */
  spacing: Vec3;
  first: number;
  steps: Vec3;
  /** A box of the file's own grid as a box of this view. */
  boxOf(crop: Crop): Crop;
}

/** The view of a file's grid; nothing is copied, so a large scan needs no second array to be turned. */
export function canonicalView(shape: Vec3, affine: ArrayLike<number>): CanonicalView {
  // A reorientation names axes i, j, k (W, H, D); axis t of the view is axis axes[t] of the file.
  const { axes, flips } = reorientation(axisCodes(affine), "RAS");
  const turned = [2, 1, 0].map((t) => ({ axis: 2 - axes[t], flip: flips[t] }));
  const strides: Vec3 = [shape[1] * shape[2], shape[2], 1];
  const spacing = spacingOf({ affine });
  const first = turned.reduce((sum, { axis, flip }) => sum + (flip ? (shape[axis] - 1) * strides[axis] : 0), 0);
  return {
    shape: turned.map(({ axis }) => shape[axis]) as Vec3,
    spacing: turned.map(({ axis }) => spacing[axis]) as Vec3,
    first,
    steps: turned.map(({ axis, flip }) => (flip ? -strides[axis] : strides[axis])) as Vec3,
    boxOf: (crop) => ({
      start: turned.map(({ axis, flip }) =>
        flip ? shape[axis] - crop.start[axis] - crop.shape[axis] : crop.start[axis],
      ) as Vec3,
      shape: turned.map(({ axis }) => crop.shape[axis]) as Vec3,
    }),
  };
}

/** Plane d [H, W] of the box: a part of `data` where it lies in one piece, else copied into `spare`, an array of its size. */
export function readPlane<T extends VoxelArray>(data: T, view: CanonicalView, box: Crop, d: number, spare: T): T {
  const [H, W] = [box.shape[1], box.shape[2]];
  const [, stepH, stepW] = view.steps;
  const first = planeStart(view, box, d);
  if (stepW === 1 && stepH === W) return data.subarray(first, first + H * W) as T;
  const from = rawItems(data);
  const to = rawItems(spare);
  for (let h = 0, at = 0; h < H; h++) {
    let source = first + h * stepH;
    for (let w = 0; w < W; w++, source += stepW) to[at++] = from[source];
  }
  return spare;
}

/** Copies a plane [H, W] to its place d of the box. */
export function writePlane<T extends VoxelArray>(data: T, view: CanonicalView, box: Crop, d: number, plane: T): void {
  const [H, W] = [box.shape[1], box.shape[2]];
  const [, stepH, stepW] = view.steps;
  const first = planeStart(view, box, d);
  const from = rawItems(plane);
  const to = rawItems(data);
  for (let h = 0, at = 0; h < H; h++) {
    let target = first + h * stepH;
    for (let w = 0; w < W; w++, target += stepW) to[target] = from[at++];
  }
}

function planeStart({ first, steps }: CanonicalView, { start }: Crop, d: number): number {
  return first + (start[0] + d) * steps[0] + start[1] * steps[1] + start[2] * steps[2];
}
