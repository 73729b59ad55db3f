import { fail } from "../util/errors.ts";
import { regridAffine } from "./affine.ts";
import { arrayLike, rawItems } from "./arrays.ts";
import { CUBIC_PAD, cubicCoefficients, type ResampleOrder, tapsFor } from "./resample-taps.ts";
import { type Vec3, type Volume, type VoxelArray, voxelCount } from "./volume.ts";

export type { ResampleOrder } from "./resample-taps.ts";

export interface ResampleOptions {
  /** Default "linear". */
  order?: ResampleOrder;
}

/** Voxels without a place in the world. */
export interface Grid<T extends VoxelArray = VoxelArray> {
  data: T;
  shape: Vec3;
}

type Float = Float32Array | Float64Array;

/**
 * Resamples to `newShape` ([D, H, W]) over the same field of view: voxel i of an axis lies at (i + 0.5) * in / out - 0.5, edges
 * go on beyond the border, no smoothing before shrinking (what nnU-Net does). A volume's affine changes so that world
 * positions stay. "nearest" keeps the voxel type; "linear" and "cubic" (interpolating B-spline, may overshoot) give Float32,
 * or Float64 for float64 and 32-bit integers. Data is shared when the shape does not change and the type fits.
 */
export function resample<T extends VoxelArray>(
  volume: Volume<T>,
  newShape: Vec3,
  options: { order: "nearest" },
): Volume<T>;
export function resample(volume: Volume, newShape: Vec3, options?: ResampleOptions): Volume;
export function resample<T extends VoxelArray>(grid: Grid<T>, newShape: Vec3, options: { order: "nearest" }): Grid<T>;
export function resample(grid: Grid, newShape: Vec3, options?: ResampleOptions): Grid;
export function resample(grid: Grid | Volume, newShape: Vec3, options: ResampleOptions = {}): Grid | Volume {
  checkShapes(grid, newShape);
  const order = options.order ?? "linear";
  const data = order === "nearest" ? resampleNearest(grid, newShape) : resampleSmooth(grid, newShape, order);
  return withGeometry(grid, newShape, data);
}

/**
 * Resamples a label map: each label's mask linearly, then the label with the largest share (the smallest label on ties).
 * Grid convention and affine as in {@link resample}; the voxel type stays.
 */
export function resampleLabels<T extends VoxelArray>(volume: Volume<T>, newShape: Vec3): Volume<T>;
export function resampleLabels<T extends VoxelArray>(grid: Grid<T>, newShape: Vec3): Grid<T>;
export function resampleLabels<T extends VoxelArray>(grid: Grid<T> | Volume<T>, newShape: Vec3): Grid<T> | Volume<T> {
  checkShapes(grid, newShape);
  return withGeometry(grid, newShape, linearArgmax(grid, newShape));
}

function checkShapes({ data, shape }: Grid, newShape: Vec3): void {
  if (!newShape.every((n) => Number.isInteger(n) && n > 0)) {
    fail(`Cannot resample to shape [${newShape.join(", ")}]; expected three whole numbers of 1 or more.`);
  }
  if (voxelCount(shape) !== data.length) {
    fail(`Cannot resample: shape [${shape.join(", ")}] does not fit ${data.length} voxels.`);
  }
}

function withGeometry<T extends VoxelArray>(old: Grid | Volume, shape: Vec3, data: T): Grid<T> | Volume<T> {
  const grid: Grid<T> = { data, shape: [...shape] };
  if (!("affine" in old)) return grid;
  const steps = [2, 1, 0].map((axis) => old.shape[axis] / shape[axis]);
  const start = steps.map((step) => (step - 1) / 2);
  return { ...grid, affine: regridAffine(old.affine, [0, 1, 2], steps, start) };
}

const sameShape = (a: Vec3, b: Vec3): boolean => a.every((n, axis) => n === b[axis]);

function resampleNearest<T extends VoxelArray>({ data, shape }: Grid<T>, newShape: Vec3): T {
  if (sameShape(shape, newShape)) return data;
  const [d, h, w] = shape.map((n, axis) => tapsFor(n, newShape[axis], "nearest").positions);
  const out = arrayLike(data, voxelCount(newShape));
  const from = rawItems(data);
  const to = rawItems(out);
  let at = 0;
  for (const k of d) {
    for (const j of h) {
      const row = (k * shape[1] + j) * shape[2];
      for (let i = 0; i < w.length; i++) to[at++] = from[row + w[i]];
    }
  }
  return out;
}

function resampleSmooth({ data, shape }: Grid, newShape: Vec3, order: "linear" | "cubic"): Float {
  const wide = data instanceof Float64Array || data instanceof Int32Array || data instanceof Uint32Array;
  let values: Float;
  if (data instanceof Float32Array || data instanceof Float64Array) values = data;
  else values = wide ? new Float64Array(data) : new Float32Array(data);
  // Axes that shrink go first: less work for the others.
  const axes = [0, 1, 2].filter((axis) => newShape[axis] !== shape[axis]);
  axes.sort((a, b) => newShape[a] / shape[a] - newShape[b] / shape[b]);
  const current: Vec3 = [...shape];
  for (const axis of axes) {
    values = resampleAxis(values, current, axis, newShape[axis], order);
    current[axis] = newShape[axis];
  }
  return values;
}

/** Lines handled side by side: whole cache lines at a time, and inner loops long enough. */
const WIDTH = 32;

function resampleAxis(values: Float, shape: Vec3, axis: number, size: number, order: "linear" | "cubic"): Float {
  const n = shape[axis];
  const stride = voxelCount(shape.slice(axis + 1));
  const lines = values.length / n;
  const out = arrayLike(values, lines * size);
  const taps = tapsFor(n, size, order);
  const pad = order === "cubic" ? CUBIC_PAD : 0;
  const buffer = new Float64Array((n + 2 * pad) * WIDTH);
  const results = new Float64Array(size * WIDTH);
  const from = new Float64Array(WIDTH);
  const to = new Float64Array(WIDTH);
  for (let start = 0; start < lines; start += WIDTH) {
    const count = Math.min(WIDTH, lines - start);
    for (let b = 0; b < count; b++) {
      const outer = Math.floor((start + b) / stride);
      const inner = start + b - outer * stride;
      from[b] = outer * n * stride + inner;
      to[b] = outer * size * stride + inner;
    }
    moveLines(values, from, stride, buffer, pad * WIDTH, n, count, true);
    if (order === "cubic") cubicCoefficients(buffer, n, WIDTH);
    if (order === "cubic") cubicSums(buffer, taps.positions, taps.weights, results);
    else linearSums(buffer, taps.positions, taps.weights, results);
    moveLines(out, to, stride, results, 0, size, count, false);
  }
  return out;
}

/** Copies `count` lines of n samples between the volume and a [n, WIDTH] buffer, along whichever side is contiguous. */
function moveLines(
  values: Float,
  bases: Float64Array,
  stride: number,
  buffer: Float64Array,
  first: number,
  n: number,
  count: number,
  load: boolean,
): void {
  if (stride === 1) {
    for (let b = 0; b < count; b++) {
      const base = bases[b];
      if (load) for (let k = 0; k < n; k++) buffer[first + k * WIDTH + b] = values[base + k];
      else for (let k = 0; k < n; k++) values[base + k] = buffer[first + k * WIDTH + b];
    }
    return;
  }
  for (let k = 0; k < n; k++) {
    const row = first + k * WIDTH;
    const shift = k * stride;
    if (load) for (let b = 0; b < count; b++) buffer[row + b] = values[bases[b] + shift];
    else for (let b = 0; b < count; b++) values[bases[b] + shift] = buffer[row + b];
  }
}

function linearSums(lines: Float64Array, positions: Int32Array, weights: Float64Array, out: Float64Array): void {
  for (let i = 0, at = 0; i < positions.length; i += 2) {
    const a = positions[i] * WIDTH;
    const b = positions[i + 1] * WIDTH;
    const wa = weights[i];
    const wb = weights[i + 1];
    for (let l = 0; l < WIDTH; l++) out[at++] = wa * lines[a + l] + wb * lines[b + l];
  }
}

function cubicSums(lines: Float64Array, positions: Int32Array, weights: Float64Array, out: Float64Array): void {
  for (let i = 0, at = 0; i < positions.length; i += 4) {
    let p = (positions[i] + CUBIC_PAD) * WIDTH;
    const [w0, w1, w2, w3] = [weights[i], weights[i + 1], weights[i + 2], weights[i + 3]];
    for (let l = 0; l < WIDTH; l++, p++) {
      out[at++] = w0 * lines[p] + w1 * lines[p + WIDTH] + w2 * lines[p + 2 * WIDTH] + w3 * lines[p + 3 * WIDTH];
    }
  }
}

/** Shares closer than this are a tie; rounding of weights is far below. */
const TIE = 1e-9;

function linearArgmax<T extends VoxelArray>({ data, shape }: Grid<T>, newShape: Vec3): T {
  if (sameShape(shape, newShape)) return data;
  const [d, h, w] = shape.map((n, axis) => tapsFor(n, newShape[axis], "linear"));
  const out = arrayLike(data, voxelCount(newShape));
  const labels = new Float64Array(8);
  const shares = new Float64Array(8);
  const rows = new Int32Array(4);
  let at = 0;
  for (let k = 0; k < newShape[0]; k++) {
    for (let j = 0; j < newShape[1]; j++) {
      for (let r = 0; r < 4; r++) {
        rows[r] = (d.positions[2 * k + (r >> 1)] * shape[1] + h.positions[2 * j + (r & 1)]) * shape[2];
      }
      const [row0, row1, row2, row3] = rows;
      for (let i = 0; i < newShape[2]; i++, at++) {
        const a = w.positions[2 * i];
        const b = w.positions[2 * i + 1];
        const label = data[row0 + a];
        // Nearly every voxel lies inside one label.
        if (
          label === data[row0 + b] &&
          label === data[row1 + a] &&
          label === data[row1 + b] &&
          label === data[row2 + a] &&
          label === data[row2 + b] &&
          label === data[row3 + a] &&
          label === data[row3 + b]
        ) {
          out[at] = label;
          continue;
        }
        for (let c = 0; c < 8; c++) {
          const r = c >> 1;
          labels[c] = data[rows[r] + w.positions[2 * i + (c & 1)]];
          shares[c] = d.weights[2 * k + (r >> 1)] * h.weights[2 * j + (r & 1)] * w.weights[2 * i + (c & 1)];
        }
        out[at] = largestShare(labels, shares);
      }
    }
  }
  return out;
}

function largestShare(labels: Float64Array, shares: Float64Array): number {
  let best = labels[0];
  let bestShare = -1;
  for (let c = 0; c < 8; c++) {
    let share = 0;
    for (let e = 0; e < 8; e++) if (labels[e] === labels[c]) share += shares[e];
    if (share > bestShare + TIE || (share > bestShare - TIE && labels[c] < best)) {
      best = labels[c];
      bestShare = share;
    }
  }
  return best;
}
