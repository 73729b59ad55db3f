import { worldOf } from "./affine.ts";
import { spacingOf, type Volume } from "./volume.ts";

/** Two grids are the same when no corner of one lies further from the other's than this share of its smallest voxel edge. */
export const gridTolerance = 0.05;

type Placed = Pick<Volume, "shape" | "affine">;

/** Largest distance in mm between the same corner voxel of two grids of one shape. */
export function cornerShift(a: Placed, b: Placed): number {
  const [D, H, W] = a.shape;
  let largest = 0;
  for (let corner = 0; corner < 8; corner++) {
    const at = [corner & 1 ? W - 1 : 0, corner & 2 ? H - 1 : 0, corner & 4 ? D - 1 : 0] as const;
    const [p, q] = [worldOf(a.affine, ...at), worldOf(b.affine, ...at)];
    largest = Math.max(largest, Math.hypot(p[0] - q[0], p[1] - q[1], p[2] - q[2]));
  }
  return largest;
}

/** The {@link gridTolerance} in mm on the grid of `reference`. */
export function shiftLimit(reference: Placed): number {
  return gridTolerance * Math.min(...spacingOf(reference));
}
