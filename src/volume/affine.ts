import type { Vec3 } from "./volume.ts";

/** A 4x4 identity matrix, row-major. */
export function identityAffine(): Float64Array {
  return Float64Array.of(1, 0, 0, 0, 0, 1, 0, 0, 0, 0, 1, 0, 0, 0, 0, 1);
}

/** World position (x, y, z) in mm of the voxel index (i, j, k) = (w, h, d). */
export function worldOf(affine: ArrayLike<number>, i: number, j: number, k: number): Vec3 {
  const row = (r: number): number => affine[r] * i + affine[r + 1] * j + affine[r + 2] * k + affine[r + 3];
  return [row(0), row(4), row(8)];
}

/**
 * The affine of a grid whose voxel axis t runs along axis `axes[t]` of the old grid with step `steps[t]` (in old voxels),
 * and whose first voxel lies at the old index `start`. All three are in i, j, k order, `axes` per new axis and `start` per
 * old axis.
 */
export function regridAffine(
  affine: ArrayLike<number>,
  axes: readonly number[],
  steps: readonly number[],
  start: readonly number[],
): Float64Array {
  const out = identityAffine();
  const origin = worldOf(affine, start[0], start[1], start[2]);
  for (let r = 0; r < 3; r++) {
    for (let t = 0; t < 3; t++) out[r * 4 + t] = affine[r * 4 + axes[t]] * steps[t] + 0; // + 0 turns -0 into 0
    out[r * 4 + 3] = origin[r];
  }
  return out;
}

/** Lengths of the three columns, i, j, k order: voxel sizes in mm. */
export function columnLengths(affine: ArrayLike<number>): Vec3 {
  const length = (c: number): number => Math.hypot(affine[c], affine[4 + c], affine[8 + c]);
  return [length(0), length(1), length(2)];
}

/** Volume of the cell spanned by unit vectors along the columns: 1 when orthogonal, 0 when flat, negative when mirrored. */
function unitDeterminant(a: ArrayLike<number>, lengths: Vec3): number {
  const det =
    a[0] * (a[5] * a[10] - a[6] * a[9]) - a[1] * (a[4] * a[10] - a[6] * a[8]) + a[2] * (a[4] * a[9] - a[5] * a[8]);
  return det / (lengths[0] * lengths[1] * lengths[2]);
}

/** Below this the axes are taken to lie in one plane (single precision headers leave about 1e-7 of noise). */
const FLAT = 1e-4;

/** What makes a matrix useless as a geometry, in words that complete "the affine ...", or null when it is sound. */
export function affineFault(affine: ArrayLike<number>): string | null {
  for (let i = 0; i < 12; i++) {
    if (!Number.isFinite(affine[i])) return `holds ${affine[i]} in row ${Math.floor(i / 4) + 1}, column ${(i % 4) + 1}`;
  }
  const lengths = columnLengths(affine);
  const zero = lengths.indexOf(0);
  if (zero >= 0) return `is singular: voxel axis ${"ijk"[zero]} has length 0 mm`;
  if (Math.abs(unitDeterminant(affine, lengths)) < FLAT) return "is singular: its three voxel axes lie in one plane";
  return null;
}

/** Volume of a voxel in mm³: the size of the determinant of the affine's 3x3 part. */
export function voxelVolume(a: ArrayLike<number>): number {
  const [x, y, z] = [0, 4, 8];
  return Math.abs(
    a[x] * (a[y + 1] * a[z + 2] - a[y + 2] * a[z + 1]) -
      a[x + 1] * (a[y] * a[z + 2] - a[y + 2] * a[z]) +
      a[x + 2] * (a[y] * a[z + 1] - a[y + 1] * a[z]),
  );
}
