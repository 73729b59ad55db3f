import { putPlane } from "../dataset/preprocess.ts";
import { fail } from "../util/errors.ts";
import { type Vec3, voxelCount } from "../volume/volume.ts";
import { mirrored, mirrorSets } from "./mirror.ts";
import { type Placement, type PlacementOptions, placeWindows } from "./placement.ts";
import { type ImagePlanes, planesOf } from "./planes.ts";

/** Patches [N, C, ...patch] to logits [N, K, ...patch], N always the full batch (spare places hold zeros). */
export type RunPatches = (patches: Float32Array) => Float32Array | Promise<Float32Array>;

export interface SlidingOptions extends PlacementOptions {
  /** Planes up to the last one that was yielded are not asked for again. */
  image: ImagePlanes;
  channels: number;
  /** K, the channels of the logits. */
  classes: number;
  run: RunPatches;
  /** Windows per call of `run`. */
  batch?: number;
  /** Average over all mirrorings along these axes (0 = D, 1 = H, 2 = W): 2^n runs. */
  mirrorAxes?: readonly number[];
  onProgress?: (done: number, total: number) => void;
  signal?: AbortSignal;
}

/**
 * Logits of a volume from overlapping windows (see {@link placeWindows}), averaged by their weights; a voxel under one window
 * takes that window's logits unchanged, outside the volume windows see zeros. Yields planes 0 to D - 1, each a new array
 * [K, H, W], as soon as no later window touches them. Memory: K H W floats for every plane of one patch, and one batch in and
 * out, however many planes the volume has. Throws UserError for a step, shift or axis outside its range, and the signal's
 * reason when aborted.
 */
export async function* slidingPlanes(options: SlidingOptions): AsyncGenerator<Float32Array, void, void> {
  const { image, shape, channels, patch, classes, run, batch = 1, mirrorAxes = [], onProgress, signal } = options;
  const windows = placeWindows(options);
  const size = voxelCount(patch);
  const mirrors = mirrorSets(mirrorAxes);
  const input = new Float32Array(batch * channels * size);
  const [flippedIn, flippedOut] = [channels, classes].map((n) =>
    mirrors.length > 1 ? new Float32Array(batch * n * size) : input,
  );
  /** Sums of planes that later windows may still touch. */
  const open = new Map<number, Float32Array>();
  let done = 0;
  let pause = performance.now();
  for (let d = 0; d < shape[0]; d++) {
    while (done < windows.length && windows[done].start[0] <= d) {
      const group = windows.slice(done, done + batch);
      for (const [n, { start }] of group.entries()) {
        cut(image, shape, channels, start, patch, input.subarray(n * channels * size, (n + 1) * channels * size));
      }
      if (group.length < batch) input.fill(0, group.length * channels * size);
      for (const axes of mirrors) {
        signal?.throwIfAborted();
        const turned = axes.length > 0;
        const logits = await run(turned ? mirrored(input, flippedIn, patch, axes) : input);
        const straight = turned ? mirrored(logits, flippedOut, patch, axes) : logits;
        for (const [n, window] of group.entries()) {
          const part = straight.subarray(n * classes * size, (n + 1) * classes * size);
          addWindow(open, shape, classes, part, patch, window, 1 / mirrors.length);
        }
        // A run blocks its thread: let timers and pages breathe now and then, or an abort would never arrive.
        if (performance.now() - pause > 50) {
          await new Promise((resolve) => setTimeout(resolve, 0));
          pause = performance.now();
        }
      }
      done += group.length;
      onProgress?.(done, windows.length);
    }
    const plane = open.get(d)!;
    open.delete(d);
    yield plane;
  }
}

/** {@link slidingPlanes} of an image [C, D, H, W] in memory, put together: logits [K, D, H, W]. */
export async function slidingWindow(
  options: Omit<SlidingOptions, "image"> & { image: Float32Array },
): Promise<Float32Array> {
  const { image, shape, channels, classes } = options;
  const [D, H, W] = shape;
  if (image.length !== channels * D * H * W) {
    fail(`Expected an image of ${channels} x ${shape.join(" x ")} values for the window, but got ${image.length}.`);
  }
  const out = new Float32Array(classes * D * H * W);
  let d = 0;
  for await (const plane of slidingPlanes({ ...options, image: planesOf(image, shape) })) {
    putPlane(out, shape, d++, plane);
  }
  return out;
}

/** Copies the voxels of a window to `into` [C, ...patch]; zeros outside the volume. */
function cut(image: ImagePlanes, shape: Vec3, channels: number, start: Vec3, patch: Vec3, into: Float32Array): void {
  const [D, H, W] = shape;
  const [pD, pH, pW] = patch;
  into.fill(0);
  const from = Math.max(0, start[2]);
  const to = Math.min(W, start[2] + pW);
  if (to <= from) return;
  for (let c = 0; c < channels; c++) {
    for (let d = Math.max(0, start[0]); d < Math.min(D, start[0] + pD); d++) {
      const plane = image(c, d);
      for (let h = Math.max(0, start[1]); h < Math.min(H, start[1] + pH); h++) {
        const target = ((c * pD + d - start[0]) * pH + h - start[1]) * pW - start[2];
        into.set(plane.subarray(h * W + from, h * W + to), target + from);
      }
    }
  }
}

/** Adds a window's logits [K, ...patch] times its weights to the open planes [K, H, W], and opens those it is first to touch. */
function addWindow(
  open: Map<number, Float32Array>,
  shape: Vec3,
  classes: number,
  logits: Float32Array,
  patch: Vec3,
  { start, weights }: Placement,
  scale: number,
): void {
  const [D, H, W] = shape;
  const [pD, pH, pW] = patch;
  const [wD, wH, wW] = weights;
  const from = Math.max(0, -start[2]);
  const to = Math.min(pW, W - start[2]);
  for (let d = Math.max(0, -start[0]); d < Math.min(pD, D - start[0]); d++) {
    const out = open.get(d + start[0]) ?? new Float32Array(classes * H * W);
    open.set(d + start[0], out);
    for (let k = 0; k < classes; k++) {
      for (let h = Math.max(0, -start[1]); h < Math.min(pH, H - start[1]); h++) {
        const source = ((k * pD + d) * pH + h) * pW;
        const target = (k * H + h + start[1]) * W + start[2];
        const row = wD[d] * wH[h] * scale;
        for (let w = from; w < to; w++) out[target + w] += row * wW[w] * logits[source + w];
      }
    }
  }
}
