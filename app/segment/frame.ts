import type { Vec3, Volume, VoxelArray } from "../../src/volume/volume.ts";
import type { Scan } from "../shared/scan.ts";

/**
 * The frame of what the viewer draws: voxel sizes (mm along D, H, W), and the first voxel at 0. NiiVue slices by voxels, so it is told no
 * more; where voxels lie in the world stays with our own affines.
 */
export function viewerFrame([d, h, w]: Vec3): Float64Array {
  return Float64Array.of(w, 0, 0, 0, 0, h, 0, 0, 0, 0, d, 0, 0, 0, 0, 1);
}

/**
 * A volume on a scan's grid with the world in which it is shown. A picture's first row is its top, but lies at the back (A = 0) where
 * lunet places pictures, and the back is drawn at the bottom: front and back change places.
 */
export function upright<T extends VoxelArray>(volume: Volume<T>, { format }: Pick<Scan, "format">): Volume<T> {
  if (format !== "PNG") return volume;
  return { ...volume, affine: volume.affine.map((value, i) => (Math.floor(i / 4) === 1 ? -value : value)) };
}
