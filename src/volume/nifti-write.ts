import { fail } from "../util/errors.ts";
import { affineFault, columnLengths } from "./affine.ts";
import { joinBytes } from "./arrays.ts";
import { deflate } from "./inflate.ts";
import { quaternionOf } from "./nifti-affine.ts";
import { nifti1, nifti2, setField, setText } from "./nifti-layout.ts";
import { niftiCodes } from "./nifti-types.ts";
import { type Vec3, type Volume, voxelCount } from "./volume.ts";
import { type VoxelType, voxelBytes, voxelTypeFor } from "./voxel-types.ts";

export interface WriteNiftiOptions {
  /** Pack the file (.nii.gz); default false. */
  gzip?: boolean;
  /** 2 for NIfTI-2; default 1, or 2 when a dimension is above 32767. */
  version?: 1 | 2;
  /** descrip field, ASCII, up to 79 characters. */
  description?: string;
}

/**
 * A NIfTI file of one volume (3D) or of several of the same grid and type (4D): voxels in the type of their array, little
 * endian, no scaling, mm; sform always, qform too where the affine is a rotation times voxel sizes. NIfTI-1 keeps the
 * affine in single precision, NIfTI-2 in double. Throws a UserError for volumes that no NIfTI can hold.
 */
export async function writeNifti(
  volumes: Volume | readonly Volume[],
  options: WriteNiftiOptions = {},
): Promise<Uint8Array> {
  const list = "data" in volumes ? [volumes] : volumes;
  const type = checkVolumes(list);
  const header = niftiHeaderBytes(list[0].shape, list.length, type, list[0].affine, options);
  const parts = [header, ...list.map(({ data }) => new Uint8Array(data.buffer, data.byteOffset, data.byteLength))];
  if (options.gzip) return deflate(parts, "gzip");
  return joinBytes(parts);
}

function checkVolumes(volumes: readonly Volume[]): VoxelType {
  if (volumes.length === 0) return fail("A NIfTI file needs at least one volume; got none.");
  const [first] = volumes;
  const type = voxelTypeFor(first.data);
  for (const { data, shape, affine } of volumes) {
    if (!shape.every((n) => Number.isInteger(n) && n > 0) || voxelCount(shape) !== data.length) {
      fail(`Cannot write a NIfTI file: shape [${shape.join(", ")}] does not fit ${data.length} voxels.`);
    }
    if (voxelTypeFor(data) !== type || shape.some((n, i) => n !== first.shape[i])) {
      fail(
        `Cannot write a 4D NIfTI file: volumes must share shape and type; got ${type} [${first.shape.join(", ")}] ` +
          `and ${voxelTypeFor(data)} [${shape.join(", ")}].`,
      );
    }
    const fault = affineFault(affine);
    if (fault) fail(`Cannot write a NIfTI file: the affine ${fault}; expected an invertible matrix.`);
  }
  return type;
}

/** Header and the empty extension flag: 352 or 544 bytes. */
function niftiHeaderBytes(
  shape: Vec3,
  volumes: number,
  type: VoxelType,
  affine: Float64Array,
  options: WriteNiftiOptions,
): Uint8Array {
  const large = Math.max(...shape, volumes) > 32767;
  if (large && options.version === 1) {
    fail(`Cannot write NIfTI-1: shape [${shape.join(", ")}] has an axis above 32767; use version 2.`);
  }
  const layout = (options.version ?? (large ? 2 : 1)) === 1 ? nifti1 : nifti2;
  const bytes = new Uint8Array(layout.dataStart);
  const view = new DataView(bytes.buffer);
  view.setInt32(0, layout.size, true);
  setText(bytes, layout.magic.at, layout.magic.single);
  const [d, h, w] = shape;
  setField(view, layout.dim, volumes > 1 ? 4 : 3, w, h, d, volumes, 1, 1, 1);
  setField(view, layout.datatype, niftiCodes[type]);
  setField(view, layout.bitpix, voxelBytes[type] * 8);
  setField(view, layout.voxOffset, layout.dataStart);
  setField(view, layout.slope, 1);
  setField(view, layout.units, 2); // NIFTI_UNITS_MM
  setText(bytes, layout.description.at, options.description ?? "lunet", layout.description.length - 1);
  const rotation = quaternionOf(affine);
  setField(view, layout.pixdim, rotation?.qfac ?? 1, ...columnLengths(affine), 1, 1, 1, 1);
  if (rotation) {
    setField(view, layout.qformCode, 1); // NIFTI_XFORM_SCANNER_ANAT
    setField(view, layout.quaternion, ...rotation.quaternion, affine[3], affine[7], affine[11]);
  }
  setField(view, layout.sformCode, 1);
  setField(view, layout.sform, ...affine.subarray(0, 12));
  return bytes;
}
