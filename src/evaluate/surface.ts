import type { Vec3 } from "../volume/volume.ts";
import { nearestDistances } from "./nearest.ts";

/**
 * The boundary of a mask as small surface elements: one for every face between a voxel inside and one outside (voxels
 * beyond the volume are outside). An element stands at the face's centre and weighs the face's area.
 * Along an axis of size 1 there are no faces, so a 2D mask is bounded by the edges of its pixels.
 */
export interface Surface {
  /** [n, 3] centres in mm, relative to the centre of voxel (0, 0, 0). */
  centres: Float64Array;
  /** [n] areas in mm². */
  areas: Float64Array;
}

/**
 * Distances between the surfaces of prediction P and truth T, in mm, weighted by area as in Nikolov et al. 2018
 * (arXiv 1809.04430), each element of one surface to the nearest element centre of the other.
 * Empty masks: both empty gives distances 0 and NSD 1; one empty gives distances null and NSD 0.
 */
export interface SurfaceDistances {
  /** 95th percentile Hausdorff: the smallest distance that covers 95 % of the area, the larger of P to T and T to P. */
  hd95: number | null;
  /** Average symmetric surface distance: the mean over the area of both surfaces. */
  assd: number | null;
  /** Normalised surface Dice: the share of both surfaces' area that lies within the tolerance of the other surface. */
  nsd: number;
}

/** Half-open box of voxels in D, H, W. */
export interface Box {
  start: Vec3;
  end: Vec3;
}

/** Float32 affines carry rounding of about 1e-7; a distance of exactly the tolerance must still count as within it. */
const SLACK = 1 + 1e-5;

/** Bounding box of every class of a map of class indices [D, H, W], in one pass; null where a class is absent. */
export function classBoxes(map: Uint8Array, shape: Vec3, classes: number): (Box | null)[] {
  const [D, H, W] = shape;
  const low = Array.from({ length: 256 }, () => [D, H, W] as Vec3);
  const high = Array.from({ length: 256 }, () => [0, 0, 0] as Vec3);
  let i = 0;
  for (let d = 0; d < D; d++) {
    for (let h = 0; h < H; h++) {
      for (let w = 0; w < W; ) {
        const c = map[i];
        const first = w;
        do {
          w++;
          i++;
        } while (w < W && map[i] === c);
        if (c === 0) continue;
        const l = low[c];
        const u = high[c];
        if (d < l[0]) l[0] = d;
        if (h < l[1]) l[1] = h;
        if (first < l[2]) l[2] = first;
        if (d >= u[0]) u[0] = d + 1;
        if (h >= u[1]) u[1] = h + 1;
        if (w > u[2]) u[2] = w;
      }
    }
  }
  return Array.from({ length: classes }, (_, c) =>
    high[c][0] === 0 || c === 0 ? null : { start: low[c], end: high[c] },
  );
}

/**
 * Surface elements of class `value` in a map of class indices [D, H, W], looked for inside `box` (null: none).
 * `affine` is the volume's 4x4 row-major matrix; its three columns place the elements, so sheared and rotated grids are exact.
 */
export function surfaceOf(
  map: Uint8Array,
  shape: Vec3,
  value: number,
  affine: ArrayLike<number>,
  box: Box | null,
): Surface {
  if (!box) return { centres: new Float64Array(0), areas: new Float64Array(0) };
  const axes = axisVectors(affine);
  const strides = [shape[1] * shape[2], shape[2], 1];
  let centres = new Float64Array(3 * 4096);
  let areas = new Float64Array(4096);
  let n = 0;
  for (let axis = 0; axis < 3; axis++) {
    if (shape[axis] === 1) continue;
    const area = areaOf(axes[(axis + 1) % 3], axes[(axis + 2) % 3]);
    const stride = strides[axis];
    const last = shape[axis] - 1;
    const at = [0, 0, 0];
    for (at[0] = box.start[0]; at[0] < box.end[0]; at[0]++) {
      for (at[1] = box.start[1]; at[1] < box.end[1]; at[1]++) {
        let i = at[0] * strides[0] + at[1] * strides[1] + box.start[2];
        for (at[2] = box.start[2]; at[2] < box.end[2]; at[2]++, i++) {
          if (map[i] !== value) continue;
          const k = at[axis];
          if (k === 0 || map[i - stride] !== value) add(at, axis, -0.5, area);
          if (k === last || map[i + stride] !== value) add(at, axis, 0.5, area);
        }
      }
    }
  }
  return { centres: centres.slice(0, 3 * n), areas: areas.slice(0, n) };

  function add(at: number[], axis: number, step: number, area: number): void {
    if (n === areas.length) {
      const wider = new Float64Array(centres.length * 2);
      wider.set(centres);
      centres = wider;
      const longer = new Float64Array(areas.length * 2);
      longer.set(areas);
      areas = longer;
    }
    const d = at[0] + (axis === 0 ? step : 0);
    const h = at[1] + (axis === 1 ? step : 0);
    const w = at[2] + (axis === 2 ? step : 0);
    for (let x = 0; x < 3; x++) centres[3 * n + x] = d * axes[0][x] + h * axes[1][x] + w * axes[2][x];
    areas[n++] = area;
  }
}

/** Distances between two surfaces; `tolerance` in mm is that of the normalised surface Dice. */
export function surfaceDistances(prediction: Surface, truth: Surface, tolerance = 1): SurfaceDistances {
  const empty = [prediction, truth].filter((s) => s.areas.length === 0).length;
  if (empty === 2) return { hd95: 0, assd: 0, nsd: 1 };
  if (empty === 1) return { hd95: null, assd: null, nsd: 0 };
  const there = nearestDistances(truth.centres)(prediction.centres);
  const back = nearestDistances(prediction.centres)(truth.centres);
  let total = 0;
  let distance = 0;
  let within = 0;
  for (const [distances, areas] of [
    [there, prediction.areas],
    [back, truth.areas],
  ]) {
    for (let i = 0; i < distances.length; i++) {
      total += areas[i];
      distance += areas[i] * distances[i];
      if (distances[i] <= tolerance * SLACK) within += areas[i];
    }
  }
  return {
    hd95: Math.max(weightedPercentile(there, prediction.areas, 0.95), weightedPercentile(back, truth.areas, 0.95)),
    assd: distance / total,
    nsd: within / total,
  };
}

/** The smallest value such that the weights of all values up to it make up at least `share` of all weights. */
export function weightedPercentile(values: Float64Array, weights: Float64Array, share: number): number {
  const order = new Uint32Array(values.length);
  for (let i = 0; i < order.length; i++) order[i] = i;
  order.sort((a, b) => values[a] - values[b]);
  // A relative 1e-9 keeps rounding of the running sum from stepping past a share that is met exactly.
  const goal = share * weights.reduce((sum, w) => sum + w, 0) * (1 - 1e-9);
  let sum = 0;
  for (const i of order) {
    sum += weights[i];
    if (sum >= goal) return values[i];
  }
  return values[order[order.length - 1]];
}

/** World vectors in mm of one voxel step along D, H, W: the affine's columns, last to first. */
function axisVectors(affine: ArrayLike<number>): Vec3[] {
  return [2, 1, 0].map((column) => [affine[column], affine[4 + column], affine[8 + column]]);
}

function areaOf(a: Vec3, b: Vec3): number {
  return Math.hypot(a[1] * b[2] - a[2] * b[1], a[2] * b[0] - a[0] * b[2], a[0] * b[1] - a[1] * b[0]);
}
