import type { Random } from "../util/random.ts";
import type { Vec3 } from "../volume/volume.ts";
import type { PreparedCase } from "./types.ts";

export interface Patch {
  /** [C, ...shape]. */
  image: Float32Array;
  /** Class indices [...shape]; zeros where the case has no label. */
  label: Uint8Array;
  /** [F, ...shape], in the units of {@link PreparedCase.soft}; zeros outside the volume. */
  soft?: Float32Array;
  shape: Vec3;
}

/** Voxels to read a patch from. */
export interface PatchSource {
  /** [C, D, H, W]. */
  image: Float32Array | Uint8Array;
  label?: Uint8Array;
  shape: Vec3;
}

const foregrounds = new WeakMap<PreparedCase, Int32Array[]>();

/** Flat voxel indices of each class that is present (background left out), computed once per case. */
export function foregroundOf(prepared: PreparedCase): Int32Array[] {
  const known = foregrounds.get(prepared);
  if (known) return known;
  const label = prepared.label ?? new Uint8Array(0);
  const counts = new Int32Array(256);
  for (let i = 0; i < label.length; i++) counts[label[i]]++;
  const lists = Array.from(counts, (n, c) => new Int32Array(c === 0 ? 0 : n));
  counts.fill(0);
  for (let i = 0; i < label.length; i++) {
    const c = label[i];
    if (c > 0) lists[c][counts[c]++] = i;
  }
  const present = lists.filter((list) => list.length > 0);
  foregrounds.set(prepared, present);
  return present;
}

/**
 * Start of a patch (D, H, W; negative where the patch hangs over). Along an axis where the volume is smaller than the patch, it
 * lies in the middle. Else uniform over all positions inside; with `foreground`, the patch is centred on a random voxel of a
 * random present class (nnU-Net's oversampling) and pushed back inside. `shift` is the least share of the patch by which places
 * differ from the middle one: where the volume leaves less room, patches hang over its edges, and those centred on foreground
 * are moved as far as they may hang over, so that what lies in the middle of every volume is not always in the middle of the patch.
 */
export function patchStart(prepared: PreparedCase, patch: Vec3, random: Random, foreground: boolean, shift = 0): Vec3 {
  const { shape } = prepared;
  const classes = foreground ? foregroundOf(prepared) : [];
  let centre: Vec3 | undefined;
  if (classes.length > 0) {
    const list = classes[random.int(classes.length)];
    const index = list[random.int(list.length)];
    const w = index % shape[2];
    const row = (index - w) / shape[2];
    centre = [Math.floor(row / shape[1]), row % shape[1], w];
  }
  return [0, 1, 2].map((axis) => {
    const room = shape[axis] - patch[axis];
    const over = Math.max(0, Math.floor(shift * patch[axis] - Math.max(0, room) / 2));
    const low = (room > 0 ? 0 : Math.ceil(room / 2) || 0) - over;
    const high = (room > 0 ? room : low + over) + over;
    if (low === high) return low;
    if (!centre) return low + random.int(high - low + 1);
    const moved = over === 0 ? 0 : random.int(2 * over + 1) - over;
    return Math.min(high, Math.max(low, centre[axis] - (patch[axis] >> 1) + moved));
  }) as Vec3;
}

/** Copies the voxels at `start` into `into` (made when absent); zeros outside the volume. */
export function cutPatch(prepared: PatchSource, shape: Vec3, start: Vec3, into?: Patch): Patch {
  const [D, H, W] = prepared.shape;
  const [pD, pH, pW] = shape;
  const voxels = pD * pH * pW;
  const channels = prepared.image.length / (D * H * W);
  const patch = into ?? { image: new Float32Array(channels * voxels), label: new Uint8Array(voxels), shape };
  patch.image.fill(0);
  patch.label.fill(0);
  const { label } = prepared;
  const from = Math.max(0, start[2]);
  const to = Math.min(W, start[2] + pW);
  if (to <= from) return patch;
  for (let d = Math.max(0, start[0]); d < Math.min(D, start[0] + pD); d++) {
    for (let h = Math.max(0, start[1]); h < Math.min(H, start[1] + pH); h++) {
      const row = (d * H + h) * W;
      const target = ((d - start[0]) * pH + (h - start[1])) * pW + from - start[2];
      // Rows are short: plain loops beat a subarray and set() for each.
      const n = to - from;
      for (let c = 0; c < channels; c++) {
        const source = c * D * H * W + row + from;
        const at = c * voxels + target;
        for (let i = 0; i < n; i++) patch.image[at + i] = prepared.image[source + i];
      }
      if (label) for (let i = 0; i < n; i++) patch.label[target + i] = label[row + from + i];
    }
  }
  return patch;
}
