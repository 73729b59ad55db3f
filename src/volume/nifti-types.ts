import { fail } from "../util/errors.ts";
import type { VoxelArray } from "./volume.ts";

/** Voxel types that lunet reads. The 64-bit integers become float64, checked to be exact. */
export type NiftiType =
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

interface TypeInfo {
  code: number;
  bytes: 1 | 2 | 4 | 8;
}

export const niftiTypes: Record<NiftiType, TypeInfo> = {
  uint8: { code: 2, bytes: 1 },
  int16: { code: 4, bytes: 2 },
  int32: { code: 8, bytes: 4 },
  float32: { code: 16, bytes: 4 },
  float64: { code: 64, bytes: 8 },
  int8: { code: 256, bytes: 1 },
  uint16: { code: 512, bytes: 2 },
  uint32: { code: 768, bytes: 4 },
  int64: { code: 1024, bytes: 8 },
  uint64: { code: 1280, bytes: 8 },
};

/** Types of the standard that are no scans of one number a voxel, or that no typed array holds. */
const refused: Record<number, string> = {
  1: "binary (1 bit a voxel)",
  32: "complex64",
  128: "RGB24 colour",
  1536: "float128",
  1792: "complex128",
  2048: "complex256",
  2304: "RGBA32 colour",
};

/** The type behind a datatype code; throws a UserError for the types that cannot be read. */
export function niftiTypeOf(code: number, name: string): NiftiType {
  for (const [type, info] of Object.entries(niftiTypes)) if (info.code === code) return type as NiftiType;
  const known = refused[code];
  const what = known ? `voxels are ${known} (datatype ${code})` : `datatype ${code} is not in the NIfTI standard`;
  return fail(`${name}: ${what}; expected integers of 8 to 64 bits or float32/float64: convert the file first.`);
}

/** The type that holds a typed array's numbers. */
export function niftiTypeFor(data: VoxelArray): NiftiType {
  if (data instanceof Uint8Array) return "uint8";
  if (data instanceof Int8Array) return "int8";
  if (data instanceof Uint16Array) return "uint16";
  if (data instanceof Int16Array) return "int16";
  if (data instanceof Uint32Array) return "uint32";
  if (data instanceof Int32Array) return "int32";
  return data instanceof Float32Array ? "float32" : "float64";
}
