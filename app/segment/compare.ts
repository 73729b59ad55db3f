import type { LabelInfo } from "../../src/dataset/types.ts";
import { countClasses, diceOf } from "../../src/evaluate/overlap.ts";
import { fail } from "../../src/util/errors.ts";
import { cornerShift, shiftLimit } from "../../src/volume/grid.ts";
import { reorient } from "../../src/volume/orientation.ts";
import type { Volume } from "../../src/volume/volume.ts";

/**
 * A reference label map on the canonical grid of the scan, as bytes. Throws a UserError where it lies on another grid or holds values that
 * are none of the labels.
 */
export function referenceFor(
  map: Volume,
  name: string,
  scan: Pick<Volume, "shape" | "affine">,
  labels: readonly LabelInfo[],
): Uint8Array {
  const { data, shape, affine } = reorient(map);
  if (shape.some((n, axis) => n !== scan.shape[axis])) {
    fail(
      `The reference ${name} has ${shape.join(" x ")} voxels and the scan ${scan.shape.join(" x ")} (D x H x W); ` +
        "expected a label map of this scan.",
    );
  }
  const shift = cornerShift({ shape, affine }, scan);
  if (!(shift <= shiftLimit(scan))) {
    fail(`The reference ${name} lies ${shift.toPrecision(3)} mm off the scan; expected a label map of this scan.`);
  }
  const known = new Set(labels.map(({ value }) => value));
  const out = new Uint8Array(data.length);
  for (let i = 0; i < out.length; i++) {
    if (!known.has(data[i])) {
      fail(
        `The reference ${name} holds the value ${data[i]}; expected the labels ${[...known].join(", ")}. Is it an image?`,
      );
    }
    out[i] = data[i];
  }
  return out;
}

/** Dice by label value, the background left out. */
export function diceByValue(
  mask: Uint8Array,
  reference: Uint8Array,
  labels: readonly LabelInfo[],
): Map<number, number> {
  const counts = countClasses(mask, reference, 256);
  return new Map(labels.filter(({ value }) => value !== 0).map(({ value }) => [value, diceOf(counts[value])]));
}

/** 0 where both have background, else a value of the difference legend: 1 both, 2 mask only, 3 reference only, 4 another label. */
export function differenceMap(mask: Uint8Array, reference: Uint8Array): Uint8Array {
  return mask.map((m, i) => {
    const r = reference[i];
    if (m === r) return m === 0 ? 0 : 1;
    return r === 0 ? 2 : m === 0 ? 3 : 4;
  });
}
