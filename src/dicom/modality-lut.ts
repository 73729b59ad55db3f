import type { DataSet } from "dicom-parser";
import { fail } from "../util/errors.ts";

/** A table that turns stored values into those of the modality, in place of slope and intercept (PS3.3, C.11.1). */
export interface ModalityLut {
  /** The stored value that the first entry is for; smaller ones take the first entry, too large ones the last. */
  first: number;
  entries: Uint16Array;
}

/** The Modality LUT of a file, or null where it has none. UserError, beginning with `name`, for a table that is not whole. */
export function modalityLut(data: DataSet, name: string, signed: boolean): ModalityLut | null {
  const item = data.elements.x00283000?.items?.[0]?.dataSet;
  if (!item) return null;
  const table = item.elements.x00283006;
  const [size, first, bits] = [0, 1, 2].map((i) =>
    i === 1 && signed ? item.int16("x00283002", i) : item.uint16("x00283002", i),
  );
  const count = size || 2 ** 16; // 65536 does not fit 16 bits and is written as 0
  if (size === undefined || first === undefined || bits === undefined || !table) {
    return fail(`${name}: its Modality LUT (0028,3000) has no descriptor or no data; the file is damaged.`);
  }
  const entries = new Uint16Array(count);
  if (table.length >= 2 * count) {
    for (let i = 0; i < count; i++) entries[i] = item.uint16("x00283006", i)!;
  } else if (bits <= 8 && table.length >= count) {
    entries.set(item.byteArray.subarray(table.dataOffset, table.dataOffset + count));
  } else {
    fail(
      `${name}: its Modality LUT has ${table.length} bytes for ${count} entries of ${bits} bits; the file is damaged.`,
    );
  }
  return { first, entries };
}

/** What a table makes of a stored value. */
export function lookUp({ first, entries }: ModalityLut, value: number): number {
  return entries[Math.min(entries.length - 1, Math.max(0, value - first))];
}
