import { fail } from "../util/errors.ts";
import type { Vec3 } from "../volume/volume.ts";

/** Patches [N, C, ...patch] to logits [N, K, ...patch], N always the full batch (spare places hold zeros). */
export type RunPatches = (patches: Float32Array) => Float32Array | Promise<Float32Array>;

export interface SlidingOptions {
  /** [C, D, H, W]. */
  image: Float32Array;
  shape: Vec3;
  channels: number;
  /** D, H, W of a window. */
  patch: Vec3;
  /** K, the channels of the logits. */
  classes: number;
  run: RunPatches;
  /** Windows per call of `run`. */
  batch?: number;
  /** Distance of windows as a share of the patch, 0 < step <= 1 (nnU-Net's 0.5). */
  step?: number;
  /** Average over all mirrorings along these axes (0 = D, 1 = H, 2 = W): 2^n runs. */
  mirrorAxes?: readonly number[];
  /** Average over this many copies moved by one voxel (0 to 7; axes of size 1 offer fewer). */
  shifts?: number;
  onProgress?: (done: number, total: number) => void;
  signal?: AbortSignal;
}

/** One window: its start in the image (negative where it hangs over) and which of the axis weights belong to it. */
interface Window {
  start: Vec3;
  weights: [Float64Array, Float64Array, Float64Array];
}

/**
 * Logits [K, D, H, W] of a whole volume from overlapping windows, averaged with Gaussian weights (nnU-Net: Isensee et al.
 * 2021, sigma = patch / 8). The product of Gaussians is normalised axis by axis, so the weights of all windows over a voxel
 * add up to 1 without a second volume; a voxel under one window takes that window's logits unchanged. A volume smaller
 * than the patch lies in its middle among zeros. Memory: K D H W floats for the average, and one batch in and out.
 * Throws UserError for a step, shift or axis outside its range, and the signal's reason when aborted.
 */
export async function slidingWindow(options: SlidingOptions): Promise<Float32Array> {
  const { image, shape, channels, patch, classes, run, batch = 1, mirrorAxes = [], onProgress, signal } = options;
  const voxels = shape[0] * shape[1] * shape[2];
  if (image.length !== channels * voxels) {
    fail(`Expected an image of ${channels} x ${shape.join(" x ")} values for the window, but got ${image.length}.`);
  }
  const windows = windowsOf(options);
  const size = patch[0] * patch[1] * patch[2];
  const mirrors = mirrorSets(mirrorAxes);
  const input = new Float32Array(batch * channels * size);
  const flipped = mirrors.length > 1 ? new Float32Array(input.length) : input;
  const out = new Float32Array(classes * voxels);
  let done = 0;
  let pause = performance.now();
  for (let first = 0; first < windows.length; first += batch) {
    const group = windows.slice(first, first + batch);
    group.forEach(({ start }, n) => {
      cut(image, shape, channels, start, patch, input.subarray(n * channels * size, (n + 1) * channels * size));
    });
    if (group.length < batch) input.fill(0, group.length * channels * size);
    for (const axes of mirrors) {
      signal?.throwIfAborted();
      if (axes.length > 0) mirror(input, flipped, patch, axes);
      const logits = await run(axes.length > 0 ? flipped : input);
      const straight = axes.length > 0 ? mirror(logits, new Float32Array(logits.length), patch, axes) : logits;
      group.forEach((window, n) => {
        const part = straight.subarray(n * classes * size, (n + 1) * classes * size);
        addWindow(out, shape, classes, part, patch, window, 1 / mirrors.length);
      });
      // A run blocks its thread: let timers and pages breathe now and then, or an abort would never arrive.
      if (performance.now() - pause > 50) {
        await new Promise((resolve) => setTimeout(resolve, 0));
        pause = performance.now();
      }
    }
    done += group.length;
    onProgress?.(done, windows.length);
  }
  return out;
}

/** Number of windows that {@link slidingWindow} will run, mirrorings not counted. */
export function countWindows(shape: Vec3, patch: Vec3, step = 0.5, shifts = 0): number {
  return windowsOf({ shape, patch, step, shifts }).length;
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

function windowsOf(options: Pick<SlidingOptions, "shape" | "patch" | "step" | "shifts">): Window[] {
  const { shape, patch, step = 0.5, shifts = 0 } = options;
  if (!(step > 0 && step <= 1)) fail(`Expected a window step above 0 and up to 1, but got ${step}.`);
  const moves = shiftList(shape, shifts);
  // The canvas holds the volume, its padding, and room for the volume to move.
  const reach = [0, 1, 2].map((axis) => Math.max(...moves.map((move) => move[axis])));
  const canvas = shape.map((n, axis) => Math.max(patch[axis], n + reach[axis]));
  const axes = canvas.map((length, axis) => axisWindows(length, patch[axis], step));
  const windows: Window[] = [];
  for (const move of moves) {
    const offset = canvas.map((length, axis) => Math.floor((length - shape[axis] - reach[axis]) / 2) + move[axis]);
    for (const d of axes[0]) {
      for (const h of axes[1]) {
        for (const w of axes[2]) {
          windows.push({
            start: [d.start - offset[0], h.start - offset[1], w.start - offset[2]],
            weights: [d.weights.map((x) => x / moves.length), h.weights, w.weights],
          });
        }
      }
    }
  }
  return windows;
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

/** All subsets of the axes, the empty one first. */
function mirrorSets(axes: readonly number[]): number[][] {
  const wrong = axes.find((axis) => ![0, 1, 2].includes(axis));
  if (wrong !== undefined) fail(`Expected mirror axes among 0 (D), 1 (H) and 2 (W), but got ${wrong}.`);
  const distinct = [...new Set(axes)];
  return Array.from({ length: 1 << distinct.length }, (_, bits) => distinct.filter((_, i) => (bits >> i) & 1));
}

/** Copies the voxels of a window to `into` [C, ...patch]; zeros outside the volume. */
function cut(image: Float32Array, shape: Vec3, channels: number, start: Vec3, patch: Vec3, into: Float32Array): void {
  const [D, H, W] = shape;
  const [pD, pH, pW] = patch;
  into.fill(0);
  const from = Math.max(0, start[2]);
  const to = Math.min(W, start[2] + pW);
  if (to <= from) return;
  for (let c = 0; c < channels; c++) {
    for (let d = Math.max(0, start[0]); d < Math.min(D, start[0] + pD); d++) {
      for (let h = Math.max(0, start[1]); h < Math.min(H, start[1] + pH); h++) {
        const source = ((c * D + d) * H + h) * W;
        const target = ((c * pD + d - start[0]) * pH + h - start[1]) * pW - start[2];
        into.set(image.subarray(source + from, source + to), target + from);
      }
    }
  }
}

/** Adds a window's logits [K, ...patch] times its weights to `out` [K, D, H, W]. */
function addWindow(
  out: Float32Array,
  shape: Vec3,
  classes: number,
  logits: Float32Array,
  patch: Vec3,
  { start, weights }: Window,
  scale: number,
): void {
  const [D, H, W] = shape;
  const [pD, pH, pW] = patch;
  const [wD, wH, wW] = weights;
  const from = Math.max(0, -start[2]);
  const to = Math.min(pW, W - start[2]);
  for (let k = 0; k < classes; k++) {
    for (let d = Math.max(0, -start[0]); d < Math.min(pD, D - start[0]); d++) {
      for (let h = Math.max(0, -start[1]); h < Math.min(pH, H - start[1]); h++) {
        const source = ((k * pD + d) * pH + h) * pW;
        const target = ((k * D + d + start[0]) * H + h + start[1]) * W + start[2];
        const row = wD[d] * wH[h] * scale;
        for (let w = from; w < to; w++) out[target + w] += row * wW[w] * logits[source + w];
      }
    }
  }
}

/** Mirrors every [...patch] block of `from` along the axes into `to`. */
function mirror(from: Float32Array, to: Float32Array, patch: Vec3, axes: readonly number[]): Float32Array {
  const [D, H, W] = patch;
  const [inD, inH, inW] = [0, 1, 2].map((axis) => axes.includes(axis));
  const blocks = from.length / (D * H * W);
  let i = 0;
  for (let block = 0; block < blocks; block++) {
    for (let d = 0; d < D; d++) {
      for (let h = 0; h < H; h++) {
        const row = ((block * D + (inD ? D - 1 - d : d)) * H + (inH ? H - 1 - h : h)) * W;
        if (inW) for (let w = W - 1; w >= 0; w--) to[row + w] = from[i++];
        else for (let w = 0; w < W; w++) to[row + w] = from[i++];
      }
    }
  }
  return to;
}
