import { fail } from "../util/errors.ts";
import { type Inflater, inflate } from "./inflate.ts";
import {
  looksLikeNifti2,
  NIFTI_HEADER_BYTES,
  NIFTI1_HEADER_BYTES,
  type NiftiHeader,
  parseNiftiHeader,
} from "./nifti-header.ts";
import { type Volume, voxelCount } from "./volume.ts";
import { type Announced, checkInflation, plainVoxels, unpackedVoxels } from "./voxel-bytes.ts";
import { describeVoxels } from "./voxel-types.ts";
import { decodeVoxels } from "./voxels.ts";

export type { NiftiHeader } from "./nifti-header.ts";
export { writeNifti } from "./nifti-write.ts";

/** A NIfTI file in memory. `volumes` has one entry for 2D and 3D files, dim[4] entries for 4D ones. */
export interface NiftiImage {
  header: NiftiHeader;
  /** Views of one array: they share memory, and for unpacked files may share it with the bytes that were read. */
  volumes: Volume[];
}

export interface ReadNiftiOptions {
  /** Largest unpacked voxel data accepted, in bytes; default 8 GiB. */
  maxBytes?: number;
}

/**
 * Reads a NIfTI-1 or NIfTI-2 file (.nii, or .nii.gz, told apart by content) of either byte order. Packed data is unpacked
 * straight into the voxel array, never beyond what the header announces. Integers stay integers unless the file has a
 * slope or intercept. Throws a UserError that begins with `name` for any file that cannot be read whole.
 */
export async function readNifti(bytes: Uint8Array, name: string, options: ReadNiftiOptions = {}): Promise<NiftiImage> {
  const maxBytes = options.maxBytes ?? 2 ** 33;
  if (!isGzip(bytes)) {
    const header = parseNiftiHeader(bytes, name);
    return split(header, plainVoxels(bytes, header.dataOffset, announcedBy(header), name), false, name);
  }
  const source = inflate(bytes, "gzip", name);
  try {
    const header = parseNiftiHeader(await headerBytes(source), name);
    const { dataOffset, dataBytes } = header;
    const announced = announcedBy(header);
    if (dataBytes > maxBytes) {
      fail(`${name}: ${announced.what} take ${dataBytes} bytes; expected at most ${maxBytes}.`);
    }
    checkInflation(bytes.length, dataOffset, announced, name);
    await source.skip(dataOffset - headerLength(header));
    const raw = await unpackedVoxels(source, announced, name);
    return split(header, raw, true, name);
  } finally {
    await source.close();
  }
}

/** Reads the header alone from the first bytes of a .nii or .nii.gz file; 64 KiB of it always suffice. */
export async function readNiftiHeader(start: Uint8Array, name: string): Promise<NiftiHeader> {
  if (!isGzip(start)) return parseNiftiHeader(start, name);
  const source = inflate(start, "gzip", name);
  try {
    return parseNiftiHeader(await headerBytes(source), name);
  } finally {
    await source.close();
  }
}

function isGzip(bytes: Uint8Array): boolean {
  return bytes[0] === 0x1f && bytes[1] === 0x8b;
}

const headerLength = (header: NiftiHeader): number => (header.version === 1 ? NIFTI1_HEADER_BYTES : NIFTI_HEADER_BYTES);

/** As many bytes as the header of this version has, so that the source stands at its end. */
async function headerBytes(source: Inflater): Promise<Uint8Array> {
  const bytes = new Uint8Array(NIFTI_HEADER_BYTES);
  let filled = await source.read(bytes.subarray(0, NIFTI1_HEADER_BYTES));
  if (filled === NIFTI1_HEADER_BYTES && looksLikeNifti2(bytes)) {
    filled += await source.read(bytes.subarray(NIFTI1_HEADER_BYTES));
  }
  return bytes.subarray(0, filled);
}

function split(header: NiftiHeader, raw: Uint8Array, owned: boolean, name: string): NiftiImage {
  const data = decodeVoxels(raw, header, owned, name);
  const size = voxelCount(header.shape);
  const volumes = Array.from({ length: header.volumes }, (_, v) => ({
    data: header.volumes === 1 ? data : data.subarray(v * size, (v + 1) * size),
    shape: [...header.shape] as Volume["shape"],
    affine: header.affine.slice(),
  }));
  return { header, volumes };
}

const announcedBy = ({ shape, volumes, type, dataBytes }: NiftiHeader): Announced => ({
  length: dataBytes,
  what: describeVoxels(shape, volumes, type),
});
