import type { Random } from "../util/random.ts";
import type { Vec3 } from "../volume/volume.ts";

/** Row-major 3x3 in D, H, W order. */
export type Matrix3 = readonly number[];

const radians = Math.PI / 180;

/**
 * Row-major matrix from an output offset to a source offset, both in voxels from the patch centre: rotations (degrees about D, H
 * and W, applied in that order) and zoom factors, in millimetres. zoom > 1 sees a larger region, so objects shrink.
 */
export function spatialMatrix(spacing: Vec3, degrees: Vec3, zoom: Vec3): number[] {
  let m = [1, 0, 0, 0, 1, 0, 0, 0, 1];
  for (let axis = 0; axis < 3; axis++) {
    if (degrees[axis] === 0) continue;
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

/** How far patches of one shape and spacing are turned and zoomed. */
export interface SpatialRanges {
  /** The axis that nothing moves along, which are slices thick or single; null: all three are turned and zoomed. */
  thick: number | null;
  /** Largest rotation about each axis, degrees; 0 about those that are not turned. */
  degrees: Vec3;
  /** Zoom; below and above 1 equally likely. */
  zoom: readonly [number, number];
  /** Probability of a rotation, and of a zoom. */
  probability: number;
}

/** nnU-Net's threshold (ANISO_THRESHOLD) for patches and spacings. */
const anisotropy = 3;

/**
 * nnU-Net's rules (v2, configure_rotation_dummyDA_mirroring_and_inital_patch_size). Where the patch is more than 3 times longer
 * than along its axis of coarsest spacing ("dummy 2D"), patches are turned about that axis only, by up to 180 degrees, and
 * zoomed across it; in 2D by up to 180 degrees, or 15 where one side is more than 1.5 times the other; else by up to 30 about each
 * axis. Beyond nnU-Net's: slices more than 3 times thicker than a voxel is wide count as anisotropic too, because voxels read between
 * two such slices show neither.
 */
export function spatialRanges(shape: Vec3, spacing: Vec3): SpatialRanges {
  const zoom = [0.7, 1.4] as const;
  const probability = 0.2;
  const about = (axis: number, most: number): Vec3 => [0, 1, 2].map((a) => (a === axis ? most : 0)) as Vec3;
  const single = shape.indexOf(1);
  if (single >= 0) {
    const sides = shape.filter((_, axis) => axis !== single);
    const [short, long] = [Math.min(...sides), Math.max(...sides)];
    const most = short === 1 ? 0 : long / short > 1.5 ? 15 : 180;
    return { thick: single, degrees: about(single, most), zoom, probability };
  }
  // Spacings of one scanner differ by rounding; of axes as coarse as each other the shortest decides.
  const coarsest = Math.max(...spacing);
  const candidates = [0, 1, 2].filter((axis) => spacing[axis] > 0.99 * coarsest);
  const thick = candidates.reduce((best, axis) => (shape[axis] < shape[best] ? axis : best));
  const next = Math.max(...spacing.filter((_, axis) => axis !== thick));
  const planar = Math.max(...shape) / shape[thick] > anisotropy || spacing[thick] / next > anisotropy;
  if (planar) return { thick, degrees: about(thick, 180), zoom, probability };
  return { thick: null, degrees: [30, 30, 30], zoom, probability };
}

/** A number of a range that holds 1, below and above 1 equally likely. */
export function drawFactor([low, high]: readonly [number, number], random: Random): number {
  return random.chance(0.5) ? random.uniform(low, 1) : random.uniform(1, high);
}

/** Draws a rotation and a zoom as a {@link spatialMatrix}, or undefined for neither. */
export function drawSpatial(spacing: Vec3, ranges: SpatialRanges, random: Random): number[] | undefined {
  const { probability, thick } = ranges;
  const turned = random.chance(probability);
  const degrees = ranges.degrees.map((most) => (turned && most > 0 ? random.uniform(-most, most) : 0)) as Vec3;
  const zoomed = random.chance(probability);
  const zoom = zoomed ? drawFactor(ranges.zoom, random) : 1;
  if (!turned && !zoomed) return undefined;
  return spatialMatrix(spacing, degrees, zoomAcross(thick, zoom));
}

/** One zoom for all axes but the thick one. */
export function zoomAcross(thick: number | null, zoom: number): Vec3 {
  return [0, 1, 2].map((axis) => (axis === thick ? 1 : zoom)) as Vec3;
}
