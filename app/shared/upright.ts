import type { Volume, VoxelArray } from "../../src/volume/volume.ts";

/**
 * A volume with the world in which it is shown. A picture's first row is its top, but lies at the back (A = 0) where lunet places
 * pictures, and the back is drawn at the bottom: front and back change places.
 */
export function upright<T extends VoxelArray>(volume: Volume<T>, isPicture: boolean): Volume<T> {
  if (!isPicture) return volume;
  return { ...volume, affine: volume.affine.map((value, i) => (Math.floor(i / 4) === 1 ? -value : value)) };
}
