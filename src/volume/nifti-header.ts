import { fail } from "../util/errors.ts";
import { niftiAffine } from "./nifti-affine.ts";
import { getField, getText, type NiftiLayout, nifti1, nifti2 } from "./nifti-layout.ts";
import { niftiTypeOf } from "./nifti-types.ts";
import { type Vec3, voxelCount } from "./volume.ts";
import { type VoxelType, voxelBytes } from "./voxel-types.ts";

/** What a NIfTI header says, checked: every number here can be relied on. */
export interface NiftiHeader {
  version: 1 | 2;
  littleEndian: boolean;
  /** [D, H, W] of one volume: dim[3], dim[2], dim[1]. */
  shape: Vec3;
  /** dim[4]: volumes, time points or channels; 1 for a 3D file. */
  volumes: number;
  type: VoxelType;
  /** First byte of the voxels. */
  dataOffset: number;
  /** Bytes of all voxels. */
  dataBytes: number;
  /** value = slope * stored + intercept; 1 and 0 when the file has no scaling. */
  slope: number;
  intercept: number;
  /** Row-major 4x4, (i, j, k) to RAS+ mm. */
  affine: Float64Array;
  affineFrom: "sform" | "qform" | "pixdim";
  description: string;
}

/** One file with header and voxels, or the header of an .hdr/.img pair. */
type NiftiForm = "single" | "pair";

/** Bytes that {@link parseNiftiHeader} needs for a NIfTI-1 file and for any file. */
export const NIFTI1_HEADER_BYTES = 348;
export const NIFTI_HEADER_BYTES = 540;

/** True when the bytes begin with NIfTI-2's header size, in either byte order. */
export function looksLikeNifti2(bytes: Uint8Array): boolean {
  return bytes.length >= 4 && findLayout(bytes)?.layout === nifti2;
}

function findLayout(bytes: Uint8Array): { layout: NiftiLayout; little: boolean } | null {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  for (const little of [true, false]) {
    const size = view.getInt32(0, little);
    if (size === nifti1.size) return { layout: nifti1, little };
    if (size === nifti2.size) return { layout: nifti2, little };
  }
  return null;
}

/**
 * Reads a NIfTI-1 or NIfTI-2 header of either byte order from the first bytes of an unpacked file (348 or 540 of them).
 * Throws a UserError, beginning with `name`, for anything that is not a readable NIfTI of the expected form and of up to 4 dimensions.
 */
export function parseNiftiHeader(bytes: Uint8Array, name: string, form: NiftiForm = "single"): NiftiHeader {
  if (bytes.length < NIFTI1_HEADER_BYTES) {
    fail(
      `${name}: not a NIfTI file, only ${bytes.length} bytes where the header alone takes 348; copy the file again.`,
    );
  }
  const found = findLayout(bytes);
  if (!found) return fail(`${name}: not a NIfTI file, it does not begin with the header size 348 or 540.`);
  const { layout, little } = found;
  if (bytes.length < layout.size)
    fail(`${name}: cut short inside its ${layout.size}-byte header; copy the file again.`);
  checkMagic(bytes, layout, form, name);
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  const get = (field: keyof NiftiLayout & ScalarField, index = 0): number =>
    getField(view, layout[field], little, index);
  const many = (field: keyof NiftiLayout & ScalarField, first: number, count: number): number[] =>
    Array.from({ length: count }, (_, i) => get(field, first + i));

  const dimensions = checkDimensions(many("dim", 0, 8), name);
  const shape: Vec3 = [dimensions[2], dimensions[1], dimensions[0]];
  const type = niftiTypeOf(get("datatype"), name);
  const bits = voxelBytes[type] * 8;
  const bitpix = get("bitpix");
  if (bitpix !== bits && bitpix !== 0) {
    fail(`${name}: header contradicts itself, datatype says ${type} (${bits} bits) and bitpix says ${bitpix}.`);
  }
  const dataBytes = voxelCount(dimensions) * voxelBytes[type];
  if (!Number.isSafeInteger(dataBytes)) fail(`${name}: impossible dimensions ${dimensions.join(" x ")}.`);

  const zooms = many("pixdim", 1, 3) as Vec3;
  // A flat picture may leave the size of the missing axes unset.
  for (let i = getField(view, layout.dim, little); i < 3; i++) if (zooms[i] === 0) zooms[i] = 1;
  const { affine, from } = niftiAffine(
    {
      qformCode: get("qformCode"),
      sformCode: get("sformCode"),
      qfac: get("pixdim"),
      zooms,
      quaternion: many("quaternion", 0, 3) as Vec3,
      offset: many("quaternion", 3, 3) as Vec3,
      sform: many("sform", 0, 12),
      scale: unitScale(get("units") & 7),
    },
    name,
  );
  return {
    version: layout === nifti1 ? 1 : 2,
    littleEndian: little,
    shape,
    volumes: dimensions[3],
    type,
    dataOffset: checkOffset(get("voxOffset"), form === "pair" ? 0 : layout.dataStart, name),
    dataBytes,
    ...scaling(get("slope"), get("intercept"), name),
    affine,
    affineFrom: from,
    description: getText(bytes, layout.description.at, layout.description.length).trim(),
  };
}

type ScalarField = Exclude<keyof NiftiLayout, "size" | "dataStart" | "magic" | "description">;

function checkMagic(bytes: Uint8Array, layout: NiftiLayout, form: NiftiForm, name: string): void {
  const { at, single, pair } = layout.magic;
  const found = String.fromCharCode(...bytes.subarray(at, at + single.length));
  if (found === (form === "pair" ? pair : single)) return;
  if (found === pair)
    fail(`${name}: header of a .hdr/.img pair in one .nii file; expected x.hdr beside x.img: rename both.`);
  if (found === single) fail(`${name}: a whole NIfTI file named like the header of a pair; rename it to .nii.`);
  const shown = JSON.stringify(found.replace(/\0+$/, ""));
  fail(
    `${name}: not a NIfTI file, expected the mark "${single.slice(0, 3)}" and found ${shown} (Analyze 7.5 or damaged).`,
  );
}

/** dim[1..4], unused ones as 1. */
function checkDimensions(dim: number[], name: string): number[] {
  const rank = dim[0];
  if (!(rank >= 1 && rank <= 7)) fail(`${name}: impossible number of dimensions ${rank} (dim[0]); expected 1 to 7.`);
  for (let i = 1; i <= rank; i++) {
    if (!(dim[i] >= 1 && Number.isSafeInteger(dim[i]))) {
      fail(`${name}: impossible size ${dim[i]} of axis ${i} (dim[${i}]); expected 1 or more.`);
    }
    if (i > 4 && dim[i] > 1) {
      fail(`${name}: ${dim[i]} entries along axis ${i} (dim[${i}]); expected a 3D scan or a 4D list of volumes.`);
    }
  }
  return [1, 2, 3, 4].map((i) => (i <= rank ? dim[i] : 1));
}

function checkOffset(offset: number, least: number, name: string): number {
  if (offset === 0) return least; // Left unset by some writers of single files.
  if (offset >= least && Number.isSafeInteger(offset)) return offset;
  return fail(`${name}: voxels cannot start at byte ${offset} (vox_offset); expected ${least} or later.`);
}

/** Slope 0 means no scaling (standard), and so does a slope that is not a number (written by nibabel). */
function scaling(slope: number, intercept: number, name: string): { slope: number; intercept: number } {
  if (slope === 0 || !Number.isFinite(slope)) return { slope: 1, intercept: 0 };
  if (Number.isFinite(intercept)) return { slope, intercept };
  return fail(`${name}: scl_inter is ${intercept} beside scl_slope ${slope}; expected a finite number.`);
}

/** mm per spatial unit code: 1 metre, 2 mm, 3 micrometre; unknown is taken as mm. */
function unitScale(code: number): number {
  return code === 1 ? 1000 : code === 3 ? 0.001 : 1;
}
