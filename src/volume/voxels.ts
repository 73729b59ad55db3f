import { fail } from "../util/errors.ts";
import type { VoxelArray } from "./volume.ts";
import { type VoxelType, voxelBytes } from "./voxel-types.ts";

/** How voxels lie in a file. */
export interface StoredVoxels {
  type: VoxelType;
  littleEndian: boolean;
  /** value = slope * stored + intercept; 1 and 0 when the file has no scaling. */
  slope: number;
  intercept: number;
}

/** True where typed arrays hold the low byte first (every current engine). */
const hostLittle = new Uint8Array(Uint16Array.of(1).buffer)[0] === 1;

/**
 * Typed array of a file's voxel bytes. Without scaling, in the host's byte order and aligned, it is a view of `raw`, not
 * a copy. `owned` allows swapping bytes in place. With a slope and intercept the result is Float32Array for types of up to
 * 16 bits and float32, else Float64Array.
 */
export function decodeVoxels(raw: Uint8Array, stored: StoredVoxels, owned: boolean, name: string): VoxelArray {
  const { type, slope, intercept } = stored;
  const width = voxelBytes[type];
  const swap = stored.littleEndian !== hostLittle && width > 1;
  let bytes = raw;
  if (raw.byteOffset % width !== 0 || (swap && !owned)) bytes = raw.slice();
  if (swap) swapBytes(bytes, width);
  const values = viewOf(bytes, type, name);
  return slope === 1 && intercept === 0 ? values : scaled(values, slope, intercept);
}

function viewOf(bytes: Uint8Array, type: VoxelType, name: string): VoxelArray {
  const { buffer, byteOffset: at, byteLength } = bytes;
  const count = byteLength / voxelBytes[type];
  switch (type) {
    case "uint8":
      return new Uint8Array(buffer, at, count);
    case "int8":
      return new Int8Array(buffer, at, count);
    case "uint16":
      return new Uint16Array(buffer, at, count);
    case "int16":
      return new Int16Array(buffer, at, count);
    case "uint32":
      return new Uint32Array(buffer, at, count);
    case "int32":
      return new Int32Array(buffer, at, count);
    case "float32":
      return new Float32Array(buffer, at, count);
    case "float64":
      return new Float64Array(buffer, at, count);
    case "int64":
    case "uint64":
      return wideIntegers(new Uint32Array(buffer, at, count * 2), type === "int64", name);
  }
}

/** 64-bit integers as float64, refused where that would round. */
function wideIntegers(words: Uint32Array, signed: boolean, name: string): Float64Array {
  const out = new Float64Array(words.length / 2);
  const low = hostLittle ? 0 : 1;
  for (let i = 0; i < out.length; i++) {
    const high = words[2 * i + 1 - low];
    out[i] = (signed ? high | 0 : high) * 4294967296 + words[2 * i + low];
    if (!Number.isSafeInteger(out[i])) {
      fail(
        `${name}: voxel ${i} holds a 64-bit integer beyond 2^53, which float64 would round; convert the file to float64.`,
      );
    }
  }
  return out;
}

function scaled(stored: VoxelArray, slope: number, intercept: number): Float32Array | Float64Array {
  const small = stored instanceof Float32Array || stored.BYTES_PER_ELEMENT <= 2;
  const out = small ? new Float32Array(stored.length) : new Float64Array(stored.length);
  for (let i = 0; i < out.length; i++) out[i] = stored[i] * slope + intercept;
  return out;
}

const swap16 = (x: number): number => (x << 8) | (x >>> 8);
const swap32 = (x: number): number => (x << 24) | ((x & 0xff00) << 8) | ((x >>> 8) & 0xff00) | (x >>> 24);

/** Reverses the bytes of each item in place; `bytes` is aligned to `width`. */
function swapBytes(bytes: Uint8Array, width: 1 | 2 | 4 | 8): void {
  if (width === 2) {
    const items = new Uint16Array(bytes.buffer, bytes.byteOffset, bytes.length / 2);
    for (let i = 0; i < items.length; i++) items[i] = swap16(items[i]);
    return;
  }
  const words = new Uint32Array(bytes.buffer, bytes.byteOffset, bytes.length / 4);
  for (let i = 0; i < words.length; i++) words[i] = swap32(words[i]);
  if (width === 8) {
    for (let i = 0; i < words.length; i += 2) {
      const first = words[i];
      words[i] = words[i + 1];
      words[i + 1] = first;
    }
  }
}
