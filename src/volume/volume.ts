/** Three numbers in D, H, W order unless a name says otherwise. */
export type Vec3 = [number, number, number];

export type VoxelArray =
  | Uint8Array
  | Int8Array
  | Uint16Array
  | Int16Array
  | Uint32Array
  | Int32Array
  | Float32Array
  | Float64Array;

/**
 * A scan in memory. `shape` is [D, H, W]; voxel (d, h, w) is `data[(d * H + h) * W + w]`, so W (the file's first axis, i)
 * runs fastest. `affine` is a row-major 4x4 matrix that takes voxel indices (i = w, j = h, k = d, 1) to world
 * millimetres in RAS+ (NIfTI-1 convention).
 */
export interface Volume<T extends VoxelArray = VoxelArray> {
  data: T;
  shape: Vec3;
  affine: Float64Array;
}

/** Voxel size in mm along D, H, W: the lengths of the affine's columns. */
export function spacingOf(volume: { affine: ArrayLike<number> }): Vec3 {
  const a = volume.affine;
  const length = (column: number): number => Math.hypot(a[column], a[4 + column], a[8 + column]);
  return [length(2), length(1), length(0)];
}

/** Number of voxels of a shape. */
export function voxelCount(shape: readonly number[]): number {
  return shape.reduce((product, n) => product * n, 1);
}
