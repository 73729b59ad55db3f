import { type Connectivity, findComponents } from "../volume/components.ts";
import type { Vec3 } from "../volume/volume.ts";

/**
 * Keeps of the voxels that hold one of `values` in a map [D, H, W] only the largest connected component (of equals the one whose
 * first voxel comes first); the others become `background`. Works in place and gives the number of voxels removed.
 */
export function keepLargest(
  map: Uint8Array,
  shape: Vec3,
  values: readonly number[],
  connectivity: Connectivity = 26,
  background = 0,
): number {
  const { starts, ends, places } = findComponents(map, values, shape, connectivity);
  let removed = 0;
  for (let run = 0; run < places.length; run++) {
    if (places[run] === 0) continue;
    map.fill(background, starts[run], ends[run]);
    removed += ends[run] - starts[run];
  }
  return removed;
}
