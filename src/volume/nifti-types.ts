import { fail } from "../util/errors.ts";
import type { VoxelType } from "./voxel-types.ts";

/** datatype codes of the NIfTI standard. */
export const niftiCodes: Record<VoxelType, number> = {
  uint8: 2,
  int16: 4,
  int32: 8,
  float32: 16,
  float64: 64,
  int8: 256,
  uint16: 512,
  uint32: 768,
  int64: 1024,
  uint64: 1280,
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
export function niftiTypeOf(code: number, name: string): VoxelType {
  for (const [type, known] of Object.entries(niftiCodes)) if (known === code) return type as VoxelType;
  const known = refused[code];
  const what = known ? `voxels are ${known} (datatype ${code})` : `datatype ${code} is not in the NIfTI standard`;
  return fail(`${name}: ${what}; expected integers of 8 to 64 bits or float32/float64: convert the file first.`);
}
