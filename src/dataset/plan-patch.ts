import { type Vec3, voxelCount } from "../volume/volume.ts";
import { layTopology, roundUpPatch, type Topology } from "./topology.ts";

/** A patch and the pools and kernels that fit it. */
export interface PatchChoice {
  patch: Vec3;
  topology: Topology;
}

/** No patch is cut below this many voxels along an axis. */
const smallestPatch = 8;

/**
 * The patches that may be cut from a scan of this size, from the whole scan (rounded up to what its pools divide) down to the
 * smallest. As in nnU-Net the axis that has kept the largest share of the scan gives way first, by as little as the pools allow, so
 * that every patch has about the scan's own proportions; each has the topology of its own size. `pools` fixes the number of pools.
 */
export function patchLadder(size: Vec3, spacing: Vec3, pools?: number): PatchChoice[] {
  const choiceOf = (goal: Vec3): PatchChoice | null => {
    const topology = layTopology(goal, spacing, pools);
    if (pools !== undefined && topology.pools.length < pools) return null;
    return { patch: roundUpPatch(goal, topology.pools), topology };
  };
  const ladder: PatchChoice[] = [];
  let at = choiceOf(size);
  while (at) {
    ladder.push(at);
    at = cut(at.patch, size, choiceOf);
  }
  return ladder;
}

/** The next smaller patch, or null where no axis can give anything. */
function cut(patch: Vec3, size: Vec3, choiceOf: (goal: Vec3) => PatchChoice | null): PatchChoice | null {
  const share = (axis: number): number => patch[axis] / size[axis];
  // Of equal shares the last axis gives way.
  const axes = [2, 1, 0].sort((a, b) => share(b) - share(a));
  for (const axis of axes) {
    for (let n = patch[axis] - 1; n >= Math.min(smallestPatch, size[axis]); n--) {
      const goal = patch.map((m, a) => (a === axis ? n : m)) as Vec3;
      const choice = choiceOf(goal);
      // Rounding may bring the old size back, and another topology may make another axis longer.
      if (choice && choice.patch[axis] < patch[axis] && voxelCount(choice.patch) < voxelCount(patch)) return choice;
    }
  }
  return null;
}
