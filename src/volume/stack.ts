import { fail } from "../util/errors.ts";
import { identityAffine } from "./affine.ts";
import type { GreyPicture } from "./png.ts";
import type { Vec3, Volume } from "./volume.ts";

/** Name of the file beside the slices that gives their distances in mm: {"spacing": [between slices, rows, columns]}. */
export const SPACING_FILE = "spacing.json";

/** Slices in the order of their names, numbers by value: s2 before s10. */
export function sliceOrder(names: readonly string[]): string[] {
  const compare = new Intl.Collator("en", { numeric: true }).compare;
  return [...names].sort((a, b) => compare(a, b) || (a < b ? -1 : 1));
}

/** Checks the value of a {@link SPACING_FILE}; [D, H, W] in mm. */
export function parseSpacing(value: unknown, name: string): Vec3 {
  const spacing = value && typeof value === "object" && "spacing" in value ? value.spacing : undefined;
  if (!Array.isArray(spacing) || spacing.length !== 3 || !spacing.every((mm) => Number.isFinite(mm) && mm > 0)) {
    return fail(`${name}: expected {"spacing": [between slices, rows, columns]} with three positive numbers of mm.`);
  }
  return spacing as Vec3;
}

/** Affine of a stack: axes along x, y, z from the origin, as lunet places a single picture. */
export function stackAffine([d, h, w]: Vec3): Float64Array {
  const affine = identityAffine();
  for (const [axis, mm] of [w, h, d].entries()) affine[5 * axis] = mm;
  return affine;
}

/** One volume of pictures of one size and depth, first slice first; `names` lead the sentences about the others. */
export function stackPictures(pictures: readonly GreyPicture[], names: readonly string[], spacing: Vec3): Volume {
  const [{ width, height, data: first }] = pictures;
  const size = width * height;
  const data = new (first.constructor as Uint8ArrayConstructor | Uint16ArrayConstructor)(size * pictures.length);
  for (const [d, picture] of pictures.entries()) {
    const bits = picture.data.BYTES_PER_ELEMENT * 8;
    if (picture.width !== width || picture.height !== height || bits !== data.BYTES_PER_ELEMENT * 8) {
      fail(
        `${names[d]}: ${picture.width} x ${picture.height} pixels of ${bits} bits; expected ` +
          `${width} x ${height} of ${data.BYTES_PER_ELEMENT * 8}, as in ${names[0]}: slices of one scan are alike.`,
      );
    }
    data.set(picture.data, d * size);
  }
  return { data, shape: [pictures.length, height, width], affine: stackAffine(spacing) };
}
