import { fail, UserError } from "../util/errors.ts";
import { type Inflater, inflate, MAX_INFLATION } from "./inflate.ts";
import {
  looksLikeNifti2,
  NIFTI_HEADER_BYTES,
  NIFTI1_HEADER_BYTES,
  type NiftiHeader,
  parseNiftiHeader,
} from "./nifti-header.ts";
import { type Volume, voxelCount } from "./volume.ts";
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

/** Data after the voxels that is passed over; more means that the header does not describe the file. */
const MAX_TRAILING = 1 << 16;

/**
 * Reads a NIfTI-1 or NIfTI-2 file (.nii, or .nii.gz, told apart by content) of either byte order. Packed data is unpacked
 * straight into the voxel array, never beyond what the header announces. Integers stay integers unless the file has a
 * slope or intercept. Throws a UserError that begins with `name` for any file that cannot be read whole.
 */
export async function readNifti(bytes: Uint8Array, name: string, options: ReadNiftiOptions = {}): Promise<NiftiImage> {
  const maxBytes = options.maxBytes ?? 2 ** 33;
  if (!isGzip(bytes)) {
    const header = parseNiftiHeader(bytes, name);
    const { dataOffset, dataBytes } = header;
    const surplus = bytes.length - dataOffset - dataBytes;
    if (surplus < 0) failShort(header, Math.max(0, bytes.length - dataOffset), name);
    if (surplus > MAX_TRAILING) failSurplus(header, name);
    const raw = bytes.subarray(dataOffset, dataOffset + dataBytes);
    return split(header, raw, false, name);
  }
  const source = inflate(bytes, "gzip", name);
  try {
    const header = parseNiftiHeader(await headerBytes(source), name);
    const { dataOffset, dataBytes } = header;
    if (dataBytes > maxBytes) {
      fail(`${name}: ${describe(header)} take ${dataBytes} bytes; expected at most ${maxBytes}.`);
    }
    if (dataOffset + dataBytes > bytes.length * MAX_INFLATION) {
      fail(
        `${name}: impossible dimensions, ${describe(header)} take ${dataBytes} bytes, ` +
          `more than ${bytes.length} compressed bytes can hold; the file is damaged or cut short.`,
      );
    }
    await source.skip(dataOffset - headerLength(header));
    const raw = allocate(dataBytes, header, name);
    const filled = await source.read(raw);
    if (filled < dataBytes) failShort(header, filled, name);
    // Reading on to the end also checks the checksum.
    if ((await source.skip(MAX_TRAILING + 1)) > MAX_TRAILING) failSurplus(header, name);
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

function allocate(length: number, header: NiftiHeader, name: string): Uint8Array {
  try {
    return new Uint8Array(length);
  } catch {
    throw new UserError(`${name}: ${describe(header)} take ${length} bytes, more than this computer can give.`);
  }
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

const describe = ({ shape, volumes, type }: NiftiHeader): string => describeVoxels(shape, volumes, type);

function failShort(header: NiftiHeader, found: number, name: string): never {
  return fail(
    `${name}: cut short, ${describe(header)} take ${header.dataBytes} bytes and the file holds ${found}; copy it again.`,
  );
}

function failSurplus(header: NiftiHeader, name: string): never {
  return fail(
    `${name}: holds more data than its header describes (${describe(header)}, ${header.dataBytes} bytes); ` +
      "the dimensions in the header are wrong: repair or convert the file again.",
  );
}
