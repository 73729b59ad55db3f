import type { Vec3 } from "../../src/volume/volume.ts";

/**
 * The frame of what the viewer draws: voxel sizes (mm along D, H, W), and the first voxel at 0. NiiVue slices by voxels, so it is told no
 * more; where voxels lie in the world stays with our own affines.
 */
export function viewerFrame([d, h, w]: Vec3): Float64Array {
  return Float64Array.of(w, 0, 0, 0, 0, h, 0, 0, 0, 0, d, 0, 0, 0, 0, 1);
}
