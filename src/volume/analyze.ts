import { fail } from "../util/errors.ts";
import { identityAffine } from "./affine.ts";
import { parseNiftiHeader } from "./nifti-header.ts";
import { checkAffine, type RawScan, type ReadScanOptions, readRawScan } from "./raw-scan.ts";
import type { Vec3, Volume } from "./volume.ts";
import { type VoxelType, voxelBytes } from "./voxel-types.ts";

/** datatype codes of Analyze 7.5, and SPM's: 128 more turns the sign round. */
const types: Record<number, VoxelType> = {
  2: "uint8",
  4: "int16",
  8: "int32",
  16: "float32",
  64: "float64",
  130: "int8",
  132: "uint16",
  136: "uint32",
};

const HEADER_BYTES = 348;

/**
 * Reads the header of an Analyze 7.5 pair (Mayo Clinic 1989, with SPM's scale factor and origin), or of a NIfTI pair, which has the
 * same name endings and says where the scan lies. Analyze does not: its axes are taken as left, anterior, superior (its own
 * convention, as nibabel does), with the origin of SPM or else the middle of the scan, and a note says so.
 */
export function parseAnalyzeHeader(bytes: Uint8Array, name: string): RawScan {
  const dataFile = name.slice(Math.max(name.lastIndexOf("/"), name.lastIndexOf("\\")) + 1).replace(/\.hdr$/i, ".img");
  const magic = String.fromCharCode(...bytes.subarray(344, 347));
  const magic2 = String.fromCharCode(...bytes.subarray(4, 7));
  const pair = { packing: "raw", interleaved: false, dataFile, skip: 0 } as const;
  if (["ni1", "n+1"].includes(magic) || ["ni2", "n+2"].includes(magic2)) {
    const header = parseNiftiHeader(bytes, name, "pair");
    const { shape, volumes: channels, type, littleEndian, slope, intercept, affine, dataOffset } = header;
    return { shape, channels, type, littleEndian, slope, intercept, affine, ...pair, dataStart: dataOffset, notes: [] };
  }
  if (bytes.length < HEADER_BYTES) {
    fail(
      `${name}: no Analyze header, only ${bytes.length} bytes where one takes ${HEADER_BYTES}; copy the file again.`,
    );
  }
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  const little = view.getInt16(40, true) >= 1 && view.getInt16(40, true) <= 7;
  const rank = view.getInt16(40, little);
  if (view.getInt32(0, little) !== HEADER_BYTES || rank < 1 || rank > 7) {
    fail(`${name}: not an Analyze header, it does not begin with its size ${HEADER_BYTES}.`);
  }
  const [w, h, d, t, ...rest] = Array.from({ length: 7 }, (_, i) => (i < rank ? view.getInt16(42 + 2 * i, little) : 1));
  // Files of one volume often leave the sizes of unused axes at 0.
  const channels = Math.max(1, t);
  if (Math.min(w, h, d) < 1 || t < 0 || rest.some((n) => n > 1)) {
    fail(`${name}: impossible sizes ${[w, h, d, t, ...rest].join(" x ")}; expected a 3D scan or a 4D list of volumes.`);
  }
  const code = view.getInt16(70, little);
  const type = types[code];
  if (!type)
    fail(`${name}: datatype ${code} is not one number a voxel; expected integers or floats: convert the file first.`);
  const bits = view.getInt16(72, little);
  if (bits !== 0 && bits !== voxelBytes[type] * 8) {
    fail(`${name}: header contradicts itself, datatype says ${type} and bitpix says ${bits}.`);
  }
  const shape: Vec3 = [d, h, w];
  const scale = view.getFloat32(112, little);
  const dataStart = Math.abs(view.getFloat32(108, little));
  if (!Number.isSafeInteger(dataStart)) fail(`${name}: voxels cannot start at byte ${dataStart} (vox_offset).`);
  return {
    shape,
    channels,
    type,
    littleEndian: little,
    slope: scale !== 0 && Number.isFinite(scale) ? scale : 1,
    intercept: 0,
    affine: checkAffine(analyzeAffine(view, little, shape, name), name),
    ...pair,
    dataStart,
    notes: [
      "Analyze 7.5 does not say where left and right are; its axes are taken as left, anterior, superior (LAS): " +
        "compare with another file of this scan.",
    ],
  };
}

function analyzeAffine(view: DataView, little: boolean, [d, h, w]: Vec3, name: string): Float64Array {
  const orient = view.getUint8(252);
  if (orient !== 0) {
    fail(`${name}: slices of the Analyze orientation code ${orient}; expected 0 (axial): convert the file to NIfTI.`);
  }
  const affine = identityAffine();
  const sizes = [w, h, d];
  // SPM: the voxel at 0 mm, counted from 1; three zeros are unset, and far outside stands something else (nibabel's rule).
  const origin = [0, 1, 2].map((axis) => view.getInt16(253 + 2 * axis, little));
  const known = origin.some((at) => at !== 0) && origin.every((at, i) => at > -sizes[i] && at < 2 * sizes[i]);
  for (const [axis, size] of sizes.entries()) {
    const pixdim = Math.abs(view.getFloat32(80 + 4 * axis, little));
    const step = (axis === 0 ? -1 : 1) * (pixdim || 1);
    affine[5 * axis] = step;
    affine[4 * axis + 3] = -step * (known ? origin[axis] - 1 : (size - 1) / 2) + 0; // + 0 turns -0 into 0
  }
  return affine;
}

/**
 * Reads an .hdr/.img pair, the second got by `options.open` (plain or packed by gzip). Throws a UserError that begins with
 * `name` for any pair that cannot be read whole.
 */
export async function readAnalyze(bytes: Uint8Array, name: string, options: ReadScanOptions = {}): Promise<Volume[]> {
  const scan = parseAnalyzeHeader(bytes, name);
  const voxels = await options.open?.(scan.dataFile!);
  if (!voxels) return readRawScan(scan, bytes, name);
  if (voxels[0] !== 0x1f || voxels[1] !== 0x8b)
    return readRawScan(scan, bytes, name, { ...options, open: async () => voxels });
  const packed = { ...scan, packing: "gzip", dataStart: 0, skip: scan.dataStart } as const;
  return readRawScan(packed, bytes, name, { ...options, open: async () => voxels });
}
