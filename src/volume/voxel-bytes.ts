import { fail } from "../util/errors.ts";
import { type Inflater, MAX_INFLATION } from "./inflate.ts";

/** The voxel data that a header announces. */
export interface Announced {
  /** Bytes of it. */
  length: number;
  /** "3 x 4 x 5 voxels of int16". */
  what: string;
}

/** Data after the voxels that is passed over; more means that the header does not describe the file. */
const MAX_TRAILING = 1 << 16;

/** The voxels that lie plain in `source` from byte `start`: a view. Throws a UserError that begins with `name` where they do not fit. */
export function plainVoxels(source: Uint8Array, start: number, { length, what }: Announced, name: string): Uint8Array {
  const surplus = source.length - start - length;
  if (start < 0 || surplus < 0) failShort({ length, what }, Math.max(0, source.length - Math.max(0, start)), name);
  if (surplus > MAX_TRAILING) failSurplus({ length, what }, name);
  return source.subarray(start, start + length);
}

/** Refuses a header that announces more bytes (`skip` before the voxels counted) than so many packed ones can hold. */
export function checkInflation(packed: number, skip: number, { length, what }: Announced, name: string): void {
  if (skip + length <= packed * MAX_INFLATION) return;
  fail(
    `${name}: impossible dimensions, ${what} take ${length} bytes, more than ${packed} compressed bytes can hold; ` +
      "the file is damaged or cut short.",
  );
}

/** The voxels that `source` gives next, and its end, where the checksum stands. */
export async function unpackedVoxels(source: Inflater, announced: Announced, name: string): Promise<Uint8Array> {
  const raw = allocate(announced, name);
  const filled = await source.read(raw);
  if (filled < raw.length) failShort(announced, filled, name);
  if ((await source.skip(MAX_TRAILING + 1)) > MAX_TRAILING) failSurplus(announced, name);
  return raw;
}

function allocate({ length, what }: Announced, name: string): Uint8Array {
  try {
    return new Uint8Array(length);
  } catch {
    return fail(`${name}: ${what} take ${length} bytes, more than this computer can give.`);
  }
}

function failShort({ length, what }: Announced, found: number, name: string): never {
  return fail(`${name}: cut short, ${what} take ${length} bytes and the file holds ${found}; copy it again.`);
}

function failSurplus({ length, what }: Announced, name: string): never {
  return fail(
    `${name}: holds more data than its header describes (${what}, ${length} bytes); ` +
      "the dimensions in the header are wrong: repair or convert the file again.",
  );
}
