import { fail } from "../util/errors.ts";
import type { Vec3 } from "../volume/volume.ts";

/** One window: its start in the image (negative where it hangs over) and the weights of its planes, rows and columns. */
export interface Placement {
  start: Vec3;
  weights: [Float64Array, Float64Array, Float64Array];
}

export interface PlacementOptions {
  /** D, H, W of the volume. */
  shape: Vec3;
  /** D, H, W of a window. */
  patch: Vec3;
  /** Distance of windows as a share of the patch, 0 < step <= 1 (nnU-Net's 0.5). */
  step?: number;
  /** Average over this many copies moved by one voxel (0 to 7; axes of size 1 offer fewer). */
  shifts?: number;
}

/**
 * The windows over a volume, ascending along D. Weights are Gaussian (nnU-Net: Isensee et al. 2021, sigma = patch / 8), normalised
 * axis by axis, so that those of all windows over a voxel add up to 1. A volume smaller than the patch lies in its middle.
 * Throws UserError for a step or shift outside its range.
 */
export function placeWindows(options: PlacementOptions): Placement[] {
  const { shape, patch, step = 0.5, shifts = 0 } = options;
  if (!(step > 0 && step <= 1)) fail(`Expected a window step above 0 and up to 1, but got ${step}.`);
  const moves = shiftList(shape, shifts);
  // The canvas holds the volume, its padding, and room for the volume to move.
  const reach = [0, 1, 2].map((axis) => Math.max(...moves.map((move) => move[axis])));
  const canvas = shape.map((n, axis) => Math.max(patch[axis], n + reach[axis]));
  const axes = canvas.map((length, axis) => axisWindows(length, patch[axis], step));
  const windows: Placement[] = [];
  for (const move of moves) {
    const offset = canvas.map((length, axis) => Math.floor((length - shape[axis] - reach[axis]) / 2) + move[axis]);
    for (const d of axes[0]) {
      const planes = d.weights.map((x) => x / moves.length);
      for (const h of axes[1]) {
        for (const w of axes[2]) {
          const start: Vec3 = [d.start - offset[0], h.start - offset[1], w.start - offset[2]];
          windows.push({ start, weights: [planes, h.weights, w.weights] });
        }
      }
    }
  }
  return windows.sort((a, b) => a.start[0] - b.start[0]);
}

/** Number of {@link placeWindows}. */
export function countWindows(shape: Vec3, patch: Vec3, step = 0.5, shifts = 0): number {
  return placeWindows({ shape, patch, step, shifts }).length;
}

/**
 * Starts of windows along one axis: as many as it takes to be at most `step * patch` apart, spread evenly, the last ending
 * at the border (nnU-Net's rule).
 */
export function windowStarts(length: number, patch: number, step: number): number[] {
  const room = length - patch;
  if (room <= 0) return [0];
  const gaps = Math.ceil(room / Math.max(1, patch * step));
  return Array.from({ length: gaps + 1 }, (_, i) => Math.round((room * i) / gaps));
}

/** Windows of one axis with their weights, normalised so that the weights over each voxel add up to 1. */
function axisWindows(length: number, patch: number, step: number): { start: number; weights: Float64Array }[] {
  const centre = (patch - 1) / 2;
  const sigma = patch / 8;
  // At a patch's rim this is above exp(-8), so no weight is 0 and none needs a floor.
  const gauss = Float64Array.from({ length: patch }, (_, x) => Math.exp(-(((x - centre) / sigma) ** 2) / 2));
  const starts = windowStarts(length, patch, step);
  const sums = new Float64Array(length);
  for (const start of starts) for (let x = 0; x < patch; x++) sums[start + x] += gauss[x];
  return starts.map((start) => ({ start, weights: gauss.map((g, x) => g / sums[start + x]) }));
}

/**
 * No move, then up to `shifts` moves of one voxel: along one axis each, then two, then three. A pooled net groups voxels in pairs,
 * so a move by one shows it the other grouping.
 */
function shiftList(shape: Vec3, shifts: number): Vec3[] {
  const moves: Vec3[] = [];
  for (let bits = 0; bits < 8; bits++) {
    const move: Vec3 = [bits >> 2, (bits >> 1) & 1, bits & 1];
    if (move.every((m, axis) => m === 0 || shape[axis] > 1)) moves.push(move);
  }
  const steps = (move: Vec3): number => move[0] + move[1] + move[2];
  moves.sort((a, b) => steps(a) - steps(b));
  if (!Number.isInteger(shifts) || shifts < 0 || shifts >= moves.length) {
    fail(`Expected 0 to ${moves.length - 1} shifts for a volume of ${shape.join(" x ")} voxels, but got ${shifts}.`);
  }
  return moves.slice(0, shifts + 1);
}
