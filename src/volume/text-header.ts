import { fail } from "../util/errors.ts";
import { identityAffine } from "./affine.ts";
import type { Vec3 } from "./volume.ts";

/** No header of a scan is longer; what goes on for more is another kind of file. */
export const MAX_TEXT_HEADER = 1 << 20;

/**
 * The lines of a text header that stands before binary data, up to and including the first that `isLast` holds for, and
 * where the data starts. `complete` is false where the bytes ended first.
 */
export function readTextLines(
  bytes: Uint8Array,
  isLast: (line: string) => boolean,
): { lines: string[]; end: number; complete: boolean } {
  const decoder = new TextDecoder();
  const limit = Math.min(bytes.length, MAX_TEXT_HEADER);
  const lines: string[] = [];
  for (let at = 0; at < limit; ) {
    let end = bytes.subarray(at, limit).indexOf(10);
    end = end < 0 ? limit : at + end;
    const line = decoder.decode(bytes.subarray(at, end)).replace(/\r$/, "");
    lines.push(line);
    at = Math.min(end + 1, limit);
    if (isLast(line)) return { lines, end: at, complete: true };
  }
  return { lines, end: limit, complete: false };
}

/** Numbers apart by blanks; a UserError unless there are `count` finite ones. */
export function parseNumbers(text: string, count: number, field: string, name: string): number[] {
  const words = text.trim().split(/\s+/);
  const values = words.map((word) => (word === "" ? Number.NaN : Number(word)));
  if (values.length !== count || !values.every(Number.isFinite)) {
    fail(`${name}: "${field}: ${shorten(text)}" is not ${count} finite numbers; repair the file's header.`);
  }
  return values;
}

/** Sizes of 1 or more; a UserError for anything else. */
export function parseSizes(text: string, count: number, field: string, name: string): number[] {
  const sizes = parseNumbers(text, count, field, name);
  if (!sizes.every((n) => Number.isSafeInteger(n) && n > 0)) {
    fail(`${name}: "${field}: ${shorten(text)}" holds an impossible size; expected whole numbers of 1 or more.`);
  }
  return sizes;
}

/** A header's text as far as an error sentence can hold it. */
export function shorten(text: string): string {
  return text.length > 60 ? `${text.slice(0, 57)}...` : text;
}

/** Signs that turn world coordinates x, y, z of a named space into RAS+. */
export const toRas = { RAS: [1, 1, 1], LAS: [-1, 1, 1], LPS: [-1, -1, 1] } as const;

/**
 * The RAS+ affine of a grid whose voxel axes i, j, k step by `columns` (mm) from `origin`, in the given space. A flat picture
 * gives two columns of 2 or 3 numbers: the third is their normal, 1 mm long.
 */
export function affineFrom(
  columns: readonly (readonly number[])[],
  origin: readonly number[],
  space: keyof typeof toRas,
): Float64Array {
  const [a, b] = columns.map((column): Vec3 => [column[0], column[1], column[2] ?? 0]);
  const c = columns[2] ?? unitNormal(a, b);
  const affine = identityAffine();
  for (let r = 0; r < 3; r++) {
    affine.set(
      [a[r], b[r], c[r], origin[r] ?? 0].map((value) => value * toRas[space][r] + 0), // + 0 turns -0 into 0
      4 * r,
    );
  }
  return affine;
}

function unitNormal(a: Vec3, b: Vec3): Vec3 {
  const n: Vec3 = [a[1] * b[2] - a[2] * b[1], a[2] * b[0] - a[0] * b[2], a[0] * b[1] - a[1] * b[0]];
  const length = Math.hypot(...n);
  return [n[0] / length, n[1] / length, n[2] / length];
}

/** Columns i, j, k and origin of an affine in LPS, as NRRD and MetaImage keep them. */
export function lpsOf(affine: ArrayLike<number>): { columns: Vec3[]; origin: Vec3 } {
  const column = (c: number): Vec3 => [-affine[c] + 0, -affine[4 + c] + 0, affine[8 + c] + 0];
  return { columns: [column(0), column(1), column(2)], origin: column(3) };
}
