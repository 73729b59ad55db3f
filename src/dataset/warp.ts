import type { Random } from "../util/random.ts";
import type { Vec3 } from "../volume/volume.ts";
import type { Patch } from "./sample.ts";
import type { PreparedCase } from "./types.ts";

/** Row-major 3x3 in D, H, W order. */
export type Matrix3 = readonly number[];

const radians = Math.PI / 180;

/**
 * Row-major matrix from an output offset to a source offset, both in voxels from the patch centre: rotations (degrees about D, H
 * and W, applied in that order) and one zoom factor, in millimetres. zoom > 1 sees a larger region, so objects shrink.
 */
export function spatialMatrix(spacing: Vec3, degrees: Vec3, zoom: Vec3): number[] {
  let m = [1, 0, 0, 0, 1, 0, 0, 0, 1];
  for (let axis = 0; axis < 3; axis++) {
    const [a, b] = [(axis + 1) % 3, (axis + 2) % 3];
    const c = Math.cos(degrees[axis] * radians);
    const s = Math.sin(degrees[axis] * radians);
    const turn = [1, 0, 0, 0, 1, 0, 0, 0, 1];
    turn[a * 3 + a] = c;
    turn[a * 3 + b] = -s;
    turn[b * 3 + a] = s;
    turn[b * 3 + b] = c;
    m = multiply(turn, m);
  }
  return m.map((value, i) => (value * zoom[i % 3] * spacing[i % 3]) / spacing[Math.floor(i / 3)]);
}

function multiply(a: Matrix3, b: Matrix3): number[] {
  return Array.from({ length: 9 }, (_, i) => {
    const row = i - (i % 3);
    return a[row] * b[i % 3] + a[row + 1] * b[3 + (i % 3)] + a[row + 2] * b[6 + (i % 3)];
  });
}

export interface SpatialOptions {
  /** Largest rotation, degrees. */
  degrees: number;
  zoom: [number, number];
  /** Probability of rotating, and of zooming. */
  probability: number;
}

/**
 * Draws a rotation and a zoom, or undefined for neither. Rotations only turn planes whose two spacings differ at most 3 fold, and
 * axes of one voxel stay untouched (nnU-Net turns thick-slice and 2D data in the plane only). Zoom above and below 1 are equally likely.
 */
export function drawSpatial(shape: Vec3, spacing: Vec3, random: Random, options: SpatialOptions): number[] | undefined {
  const degrees: Vec3 = [0, 0, 0];
  let zoom = 1;
  if (random.chance(options.probability)) {
    for (let axis = 0; axis < 3; axis++) {
      const [a, b] = [(axis + 1) % 3, (axis + 2) % 3];
      const angle = random.uniform(-options.degrees, options.degrees);
      const ratio = Math.max(spacing[a] / spacing[b], spacing[b] / spacing[a]);
      if (shape[a] > 1 && shape[b] > 1 && ratio <= 3) degrees[axis] = angle;
    }
  }
  if (random.chance(options.probability)) {
    zoom = random.chance(0.5) ? random.uniform(options.zoom[0], 1) : random.uniform(1, options.zoom[1]);
  }
  if (zoom === 1 && degrees.every((angle) => angle === 0)) return undefined;
  return spatialMatrix(spacing, degrees, shape.map((n) => (n > 1 ? zoom : 1)) as Vec3);
}

/**
 * Reads a patch through a matrix, from the whole case (so rotated-in corners hold real voxels): intensities trilinear; labels
 * trilinear per class, then the heaviest class (ties: the lower index). Zeros outside the volume, as {@link cutPatch}.
 */
export function warpPatch(prepared: PreparedCase, shape: Vec3, start: Vec3, m: Matrix3, into?: Patch): Patch {
  const [D, H, W] = prepared.shape;
  const [pD, pH, pW] = shape;
  const volume = D * H * W;
  const voxels = pD * pH * pW;
  const { image, label } = prepared;
  const channels = image.length / volume;
  const patch = into ?? { image: new Float32Array(channels * voxels), label: new Uint8Array(voxels), shape };
  const outImage = patch.image;
  const outLabel = patch.label;
  const half = shape.map((n) => (n - 1) / 2);
  const centre = start.map((s, axis) => s + half[axis]);
  const votes = new Float64Array(256);
  const corner = new Int32Array(8);
  const weight = new Float64Array(8);
  let out = 0;
  for (let d = 0; d < pD; d++) {
    for (let h = 0; h < pH; h++) {
      const od = d - half[0];
      const oh = h - half[1];
      const ow = -half[2];
      const z0 = centre[0] + m[0] * od + m[1] * oh + m[2] * ow;
      const y0 = centre[1] + m[3] * od + m[4] * oh + m[5] * ow;
      const x0 = centre[2] + m[6] * od + m[7] * oh + m[8] * ow;
      for (let w = 0; w < pW; w++, out++) {
        const z = z0 + m[2] * w;
        const y = y0 + m[5] * w;
        const x = x0 + m[8] * w;
        const zi = Math.floor(z);
        const yi = Math.floor(y);
        const xi = Math.floor(x);
        if (zi < -1 || yi < -1 || xi < -1 || zi >= D || yi >= H || xi >= W) {
          for (let c = 0; c < channels; c++) outImage[c * voxels + out] = 0;
          outLabel[out] = 0;
          continue;
        }
        const fz = z - zi;
        const fy = y - yi;
        const fx = x - xi;
        const base = (zi * H + yi) * W + xi;
        const right = fx > 0 ? 1 : 0;
        const down = fy > 0 ? W : 0;
        const deep = fz > 0 ? H * W : 0;
        let n = 8;
        // A neighbour that weighs nothing may lie outside (slices of one voxel): its stride above is then 0.
        const inside =
          zi >= 0 && yi >= 0 && xi >= 0 && zi + (deep ? 1 : 0) < D && yi + (down ? 1 : 0) < H && xi + right < W;
        const gz = 1 - fz;
        const gy = 1 - fy;
        const gx = 1 - fx;
        if (inside) {
          corner[0] = base;
          corner[1] = base + right;
          corner[2] = base + down;
          corner[3] = base + down + right;
          corner[4] = base + deep;
          corner[5] = base + deep + right;
          corner[6] = base + deep + down;
          corner[7] = base + deep + down + right;
          weight[0] = gz * gy * gx;
          weight[1] = gz * gy * fx;
          weight[2] = gz * fy * gx;
          weight[3] = gz * fy * fx;
          weight[4] = fz * gy * gx;
          weight[5] = fz * gy * fx;
          weight[6] = fz * fy * gx;
          weight[7] = fz * fy * fx;
        } else {
          n = 0;
          for (let k = 0; k < 8; k++) {
            const cz = zi + (k >> 2);
            const cy = yi + ((k >> 1) & 1);
            const cx = xi + (k & 1);
            if (cz < 0 || cy < 0 || cx < 0 || cz >= D || cy >= H || cx >= W) continue;
            corner[n] = (cz * H + cy) * W + cx;
            weight[n++] = (k & 4 ? fz : gz) * (k & 2 ? fy : gy) * (k & 1 ? fx : gx);
          }
        }
        for (let c = 0; c < channels; c++) {
          const plane = c * volume;
          let sum = 0;
          for (let k = 0; k < n; k++) sum += weight[k] * image[plane + corner[k]];
          outImage[c * voxels + out] = sum;
        }
        if (!label) {
          outLabel[out] = 0;
          continue;
        }
        let same = inside;
        const first = label[corner[0]];
        for (let k = 1; same && k < 8; k++) same = label[corner[k]] === first;
        outLabel[out] = same ? first : vote(label, corner, weight, n, votes);
      }
    }
  }
  return patch;
}

/** The class with the largest weight; weight missing to 1 lies outside the volume and counts for background. */
function vote(label: Uint8Array, corner: Int32Array, weight: Float64Array, n: number, votes: Float64Array): number {
  let missing = 1;
  for (let k = 0; k < n; k++) {
    votes[label[corner[k]]] += weight[k];
    missing -= weight[k];
  }
  let best = 0;
  let heaviest = votes[0] + Math.max(0, missing);
  for (let k = 0; k < n; k++) {
    const value = label[corner[k]];
    if (value > 0 && (votes[value] > heaviest || (votes[value] === heaviest && best > 0 && value < best))) {
      best = value;
      heaviest = votes[value];
    }
  }
  for (let k = 0; k < n; k++) votes[label[corner[k]]] = 0;
  votes[0] = 0;
  return best;
}
