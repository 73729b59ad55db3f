import type { VoxelArray } from "./volume.ts";

/** Voxel types that lunet reads. The 64-bit integers become float64, checked to be exact. */
export type VoxelType =
  | "uint8"
  | "int8"
  | "uint16"
  | "int16"
  | "uint32"
  | "int32"
  | "uint64"
  | "int64"
  | "float32"
  | "float64";

/** Bytes of one voxel. */
export const voxelBytes: Record<VoxelType, 1 | 2 | 4 | 8> = {
  uint8: 1,
  int8: 1,
  uint16: 2,
  int16: 2,
  uint32: 4,
  int32: 4,
  float32: 4,
  uint64: 8,
  int64: 8,
  float64: 8,
};

/** The type that holds a typed array's numbers. */
export function voxelTypeFor(data: VoxelArray): Exclude<VoxelType, "int64" | "uint64"> {
  if (data instanceof Uint8Array) return "uint8";
  if (data instanceof Int8Array) return "int8";
  if (data instanceof Uint16Array) return "uint16";
  if (data instanceof Int16Array) return "int16";
  if (data instanceof Uint32Array) return "uint32";
  if (data instanceof Int32Array) return "int32";
  return data instanceof Float32Array ? "float32" : "float64";
}

/** "3 x 4 x 5 voxels of int16", in the file's axis order, from a shape [D, H, W]. */
export function describeVoxels(shape: readonly number[], count: number, type: string): string {
  const sizes = [...shape].reverse();
  if (count > 1) sizes.push(count);
  return `${sizes.join(" x ")} voxels of ${type}`;
}
