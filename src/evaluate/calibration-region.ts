import type { Vec3 } from "../volume/volume.ts";

/**
 * Voxels that the region reaches beyond the true foreground along each axis. On hippocampus scans a smaller margin gives temperatures
 * that calibrate the border best and the rest of the scan worse than before; with 5 both get better.
 */
const regionMargin = 5;

/**
 * The voxels near true foreground: 1 at voxels at most `margin` voxels away from one of class 1 or more along every axis (a cube),
 * else 0. `classes` are class indices [D, H, W].
 */
export function nearForeground(classes: Uint8Array, shape: Vec3, margin = regionMargin): Uint8Array {
  const [D, H, W] = shape;
  let near = Uint8Array.from(classes, (k) => (k > 0 ? 1 : 0));
  // A cube is the sum of three lines, one axis after the other.
  for (const [n, stride] of [
    [W, 1],
    [H, W],
    [D, H * W],
  ]) {
    if (n === 1) continue;
    const wider = new Uint8Array(near.length);
    for (let i = 0; i < near.length; i++) {
      if (near[i] === 0) continue;
      const position = Math.floor(i / stride) % n;
      const first = Math.max(-margin, -position);
      const last = Math.min(margin, n - 1 - position);
      for (let step = first; step <= last; step++) wider[i + step * stride] = 1;
    }
    near = wider;
  }
  return near;
}
