import { fail } from "../util/errors.ts";
import { affineFault } from "./affine.ts";
import { inflate } from "./inflate.ts";
import { type Vec3, type Volume, type VoxelArray, voxelCount } from "./volume.ts";
import { type Announced, checkInflation, plainVoxels, unpackedVoxels } from "./voxel-bytes.ts";
import { describeVoxels, voxelBytes, voxelTypeFor } from "./voxel-types.ts";
import { decodeVoxels, type StoredVoxels } from "./voxels.ts";

/** What the header of a NRRD, MetaImage or Analyze scan says, checked: every number here can be relied on. */
export interface RawScan extends StoredVoxels {
  /** [D, H, W]. */
  shape: Vec3;
  channels: number;
  /** True where the channels of a voxel lie side by side; else channel after channel. */
  interleaved: boolean;
  /** Row-major 4x4, (i, j, k) to RAS+ mm. */
  affine: Float64Array;
  packing: "raw" | "gzip" | "deflate";
  /** Name of the file with the voxels beside the header; null where they follow it. */
  dataFile: string | null;
  /** First byte of the (packed) voxel data in its file. */
  dataStart: number;
  /** Bytes to drop before the voxels, after unpacking; -1: the voxels are the last bytes of the file. */
  skip: number;
  /** Doubts about the geometry that the user should hear of. */
  notes: string[];
}

export interface ReadScanOptions {
  /** Gets a file that the header names, by that name. */
  open?: (file: string) => Promise<Uint8Array>;
  /** Told what had to be assumed about the geometry. */
  warn?: (sentence: string) => void;
  /** Largest unpacked voxel data accepted, in bytes; default 8 GiB. */
  maxBytes?: number;
}

/** Throws a UserError for a geometry that cannot be used. */
export function checkAffine(affine: Float64Array, name: string): Float64Array {
  const fault = affineFault(affine);
  if (fault) fail(`${name}: the affine ${fault}; expected an invertible matrix: repair the file's header.`);
  return affine;
}

/**
 * The channels of a scan whose header was read from `bytes`. Packed data is unpacked straight into the voxel array, never
 * beyond what the header announces. Throws a UserError that begins with `name` for data that does not fit the header.
 */
export async function readRawScan(
  scan: RawScan,
  bytes: Uint8Array,
  name: string,
  options: ReadScanOptions = {},
): Promise<Volume[]> {
  const size = voxelCount(scan.shape);
  const length = size * scan.channels * voxelBytes[scan.type];
  const what = describeVoxels(scan.shape, scan.channels, scan.type);
  const maxBytes = options.maxBytes ?? 2 ** 33;
  if (!(length <= maxBytes)) fail(`${name}: ${what} take ${length} bytes; expected at most ${maxBytes}.`);
  for (const note of scan.notes) options.warn?.(`${name}: ${note}`);
  const source = await dataOf(scan, bytes, name, options);
  const announced = { length, what };
  const start = scan.skip < 0 ? source.length - length : scan.skip;
  const raw =
    scan.packing === "raw" ? plainVoxels(source, start, announced, name) : await unpack(scan, source, announced, name);
  const data = decodeVoxels(raw, scan, scan.packing !== "raw", name);
  return Array.from({ length: scan.channels }, (_, channel) => ({
    data: channelOf(data, channel, scan, size),
    shape: [...scan.shape] as Vec3,
    affine: scan.affine.slice(),
  }));
}

async function dataOf(scan: RawScan, bytes: Uint8Array, name: string, { open }: ReadScanOptions): Promise<Uint8Array> {
  if (scan.dataFile === null) return bytes.subarray(scan.dataStart);
  if (!open) fail(`${name}: its voxels lie in another file, ${scan.dataFile}; give both, or a file that holds both.`);
  return (await open(scan.dataFile)).subarray(scan.dataStart);
}

async function unpack(scan: RawScan, source: Uint8Array, announced: Announced, name: string): Promise<Uint8Array> {
  checkInflation(source.length, scan.skip, announced, name);
  const inflater = inflate(source, scan.packing as "gzip" | "deflate", name);
  try {
    await inflater.skip(scan.skip);
    return await unpackedVoxels(inflater, announced, name);
  } finally {
    await inflater.close();
  }
}

function channelOf(data: VoxelArray, channel: number, { channels, interleaved }: RawScan, size: number): VoxelArray {
  if (channels === 1) return data;
  if (!interleaved) return data.subarray(channel * size, (channel + 1) * size);
  const out = data.slice(0, size);
  for (let i = 0; i < size; i++) out[i] = data[i * channels + channel];
  return out;
}

/** Type name and bytes of a volume that can be written to `format`; throws a UserError for an unsound one. */
export function checkWritable(
  { data, shape, affine }: Volume,
  format: string,
): { type: ReturnType<typeof voxelTypeFor>; bytes: Uint8Array } {
  if (!shape.every((n) => Number.isInteger(n) && n > 0) || voxelCount(shape) !== data.length) {
    fail(`Cannot write a ${format} file: shape [${shape.join(", ")}] does not fit ${data.length} voxels.`);
  }
  const fault = affineFault(affine);
  if (fault) fail(`Cannot write a ${format} file: the affine ${fault}; expected an invertible matrix.`);
  return { type: voxelTypeFor(data), bytes: new Uint8Array(data.buffer, data.byteOffset, data.byteLength) };
}
