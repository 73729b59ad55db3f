import type { TensorMap } from "../engine/types.ts";
import { fail } from "../util/errors.ts";
import { voxelCount } from "../volume/volume.ts";
import { fromFloat16 } from "./float16.ts";
import { shown } from "./words.ts";

/** A safetensors file in memory: named float32 tensors with shapes, and a map of strings. */
export interface TensorFile {
  tensors: Map<string, { shape: number[]; data: Float32Array }>;
  metadata: Record<string, string>;
}

/** The format's own limit on the JSON header. */
const headerLimit = 100_000_000;

/**
 * Writes the safetensors format (github.com/huggingface/safetensors): header length as 64-bit little endian, JSON header
 * padded with spaces to 8 bytes, then the tensors' float32 little-endian bytes without gaps, in the order given.
 */
export function writeSafetensors(file: TensorFile): Uint8Array<ArrayBuffer> {
  const header: Record<string, unknown> = { __metadata__: file.metadata };
  let end = 0;
  for (const [name, { shape, data }] of file.tensors) {
    const begin = end;
    end += 4 * data.length;
    header[name] = { dtype: "F32", shape, data_offsets: [begin, end] };
  }
  const json = new TextEncoder().encode(JSON.stringify(header));
  const start = 8 + Math.ceil(json.length / 8) * 8;
  const bytes = new Uint8Array(start + end).fill(0x20, 8, start);
  const view = new DataView(bytes.buffer);
  view.setBigUint64(0, BigInt(start - 8), true);
  bytes.set(json, 8);
  let at = start;
  for (const { data } of file.tensors.values()) {
    for (let i = 0; i < data.length; i++, at += 4) view.setFloat32(at, data[i], true);
  }
  return bytes;
}

/** Longer names would fill a screen when they are printed. */
const longestName = 256;

export interface ReadOptions {
  /** Also take F64, F16 and BF16 as float32, and leave out tensors of integers and booleans (counters of other programs). Default false. */
  convert?: boolean;
}

/** Bytes of a value, and how a floating one is read. */
const dtypes: Record<string, { bytes: number; read?: (view: DataView, at: number) => number }> = {
  F32: { bytes: 4, read: (view, at) => view.getFloat32(at, true) },
  F64: { bytes: 8, read: (view, at) => view.getFloat64(at, true) },
  F16: { bytes: 2, read: (view, at) => fromFloat16(view.getUint16(at, true)) },
  // The upper half of a float32.
  BF16: { bytes: 2, read: (view, at) => upperHalf(view.getUint16(at, true)) },
  ...Object.fromEntries([1, 2, 4, 8].flatMap((n) => ["I", "U"].map((sign) => [`${sign}${8 * n}`, { bytes: n }]))),
  BOOL: { bytes: 1 },
};

const word = new DataView(new ArrayBuffer(4));

function upperHalf(bits: number): number {
  word.setUint16(0, bits);
  return word.getFloat32(0);
}

/**
 * Reads a safetensors file of F32 tensors. `name` is used in messages. Throws UserError for a file that is cut short or
 * too long, a broken header, another number type, offsets that overlap, leave the file or disagree with the shape.
 */
export function readSafetensors(bytes: Uint8Array, name: string, options: ReadOptions = {}): TensorFile {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  if (bytes.length < 8) fail(`Expected a safetensors file, but ${name} has only ${bytes.length} bytes.`);
  const length = view.getBigUint64(0, true);
  if (length > BigInt(headerLimit)) {
    fail(`Expected a safetensors file, but ${name} states a header of ${length} bytes: it is another kind of file.`);
  }
  const start = 8 + Number(length);
  if (bytes.length < start) {
    fail(`${name} is cut short: its header needs ${start} bytes, but the file has ${bytes.length}; copy it again.`);
  }
  const header = parseHeader(bytes.subarray(8, start), name);
  const { __metadata__, ...entries } = header;
  const spans: { tensor: string; begin: number; end: number }[] = [];
  const tensors: TensorFile["tensors"] = new Map();
  for (const [tensor, value] of Object.entries(entries)) {
    if (tensor.length > longestName || /\p{Cc}/u.test(tensor)) {
      fail(
        `Expected names of tensors as programs give them in ${name}, but one is ${shown(tensor)}: the file is damaged.`,
      );
    }
    const { shape, begin, end, type } = checkEntry(value, tensor, name, options);
    if (start + end > bytes.length) {
      const needs = `tensor ${tensor} ends at byte ${start + end}`;
      fail(`${name} is cut short: ${needs}, but the file has ${bytes.length}; copy it again.`);
    }
    spans.push({ tensor, begin, end });
    const { bytes: size, read } = type;
    if (!read) continue;
    const data = new Float32Array((end - begin) / size);
    for (let i = 0; i < data.length; i++) data[i] = read(view, start + begin + size * i);
    tensors.set(tensor, { shape, data });
  }
  checkCover(spans, bytes.length - start, name);
  return { tensors, metadata: checkMetadata(__metadata__, name) };
}

function parseHeader(bytes: Uint8Array, name: string): Record<string, unknown> {
  try {
    const header: unknown = JSON.parse(new TextDecoder("utf-8", { fatal: true }).decode(bytes));
    if (typeof header === "object" && header !== null && !Array.isArray(header)) return { ...header };
  } catch {
    // Falls through to the same sentence: a header that is no JSON object.
  }
  return fail(`Expected a safetensors file, but the header of ${name} is not a JSON object.`);
}

function checkEntry(value: unknown, tensor: string, name: string, { convert = false }: ReadOptions) {
  const { dtype, shape, data_offsets: offsets } = (value ?? {}) as Record<string, unknown>;
  const type = typeof dtype === "string" && Object.hasOwn(dtypes, dtype) ? dtypes[dtype] : undefined;
  if (!type || (dtype !== "F32" && !convert)) {
    fail(`Expected tensor ${tensor} of ${name} to be F32, but its dtype is ${shown(dtype)}: convert it first.`);
  }
  const count = (n: unknown): boolean => Number.isSafeInteger(n) && (n as number) >= 0;
  if (!Array.isArray(shape) || !shape.every(count)) {
    fail(`Expected the shape of tensor ${tensor} of ${name} to be a list of counts, but got ${shown(shape)}.`);
  }
  if (!Array.isArray(offsets) || offsets.length !== 2 || !offsets.every(count) || offsets[1] < offsets[0]) {
    const got = shown(offsets);
    fail(
      `Expected data_offsets of tensor ${tensor} of ${name} to be [begin, end], but got ${got}: the file is damaged.`,
    );
  }
  const [begin, end] = offsets as [number, number];
  if (end - begin !== type.bytes * voxelCount(shape)) {
    const needs = `${type.bytes * voxelCount(shape)} bytes for shape [${shape}]`;
    fail(
      `Expected ${needs} of tensor ${tensor} of ${name}, but its data_offsets span ${end - begin}: the file is damaged.`,
    );
  }
  return { shape: shape as number[], begin, end, type };
}

/** The format wants every byte of the data part to belong to exactly one tensor. */
function checkCover(spans: { tensor: string; begin: number; end: number }[], size: number, name: string): void {
  let at = 0;
  for (const { tensor, begin, end } of spans.toSorted((a, b) => a.begin - b.begin || a.end - b.end)) {
    if (begin !== at) {
      const what = begin < at ? "overlaps the tensor before it" : "leaves a gap before it";
      fail(`Expected tensor ${tensor} of ${name} to begin at data byte ${at}, but it ${what}: the file is damaged.`);
    }
    at = end;
  }
  if (at !== size) fail(`Expected ${at} data bytes in ${name}, but it has ${size}: the file is damaged.`);
}

function checkMetadata(value: unknown, name: string): Record<string, string> {
  if (value === undefined) return {};
  if (typeof value === "object" && value !== null && Object.values(value).every((v) => typeof v === "string")) {
    return { ...(value as Record<string, string>) };
  }
  return fail(`Expected __metadata__ of ${name} to be an object of strings, but got ${shown(value)}.`);
}

/** The tensors by name without their shapes. */
export function tensorMapOf(file: TensorFile): TensorMap {
  return new Map([...file.tensors].map(([name, { data }]) => [name, data]));
}
