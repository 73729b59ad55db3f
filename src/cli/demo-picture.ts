import { encodePng } from "../volume/png.ts";
import { spacingOf, type Vec3, type Volume } from "../volume/volume.ts";

export type Colour = readonly [number, number, number];

export interface Outline {
  label: Volume;
  colour: Colour;
}

export interface Slice {
  /** The axis that is cut (0 = D, 1 = H, 2 = W) and where. */
  axis: number;
  index: number;
}

interface Window {
  slice: Slice;
  /** Axes along the picture's rows and columns, the first voxel and the number of voxels along each. */
  axes: [number, number];
  start: [number, number];
  size: [number, number];
  /** Pixels a voxel along rows and columns. */
  scale: [number, number];
}

const margin = 8;
const largestSide = 720;

/** The slice with the most labels in it, and of those the one with the largest labelled area. */
export function fullestSlice(label: Volume): Slice {
  const { shape, data } = label;
  const area = spacingOf(label);
  let best: Slice = { axis: 0, index: Math.floor(shape[0] / 2) };
  let bestScore = 0;
  for (let axis = 0; axis < 3; axis++) {
    const [rows, columns] = otherAxes(axis);
    if (shape[rows] === 1 || shape[columns] === 1) continue;
    const found = Array.from({ length: shape[axis] }, () => ({ count: 0, values: new Set<number>() }));
    eachVoxel(shape, (position, i) => {
      if (data[i] === 0) return;
      found[position[axis]].count++;
      found[position[axis]].values.add(data[i]);
    });
    found.forEach(({ count, values }, index) => {
      const score = values.size * 1e9 + count * area[rows] * area[columns];
      if (count > 0 && score > bestScore) {
        bestScore = score;
        best = { axis, index };
      }
    });
  }
  return best;
}

/**
 * One slice of a scan in grey with the outlines of label maps, as an RGB PNG: cut to the labels with a margin, voxels as
 * crisp blocks in their true proportions. Each outline runs inside the voxels it encloses, the second inside the first,
 * so that two equal maps show two lines side by side. A picture (one slice) is shown as it is stored; other scans, which should be in RAS+, with up at the top.
 */
export async function slicePicture(image: Volume, outlines: readonly Outline[], slice: Slice): Promise<Uint8Array> {
  const window = windowOf(image, outlines, slice);
  const { size, scale } = window;
  const [height, width] = [size[0] * scale[0], size[1] * scale[1]];
  const flip = image.shape[0] > 1;
  const data = new Uint8Array(width * height * 3);
  const grey = greyScale(image, window);
  const thickness = Math.max(1, Math.round(Math.min(...scale) / 6));
  for (let r = 0; r < size[0]; r++) {
    for (let c = 0; c < size[1]; c++) {
      const edges = outlines.map(({ label }) => edgesOf(label, window, r, c));
      for (let y = 0; y < scale[0]; y++) {
        for (let x = 0; x < scale[1]; x++) {
          const level = grey(r, c);
          const inside = [y, scale[0] - 1 - y, x, scale[1] - 1 - x];
          const hit = edges.findIndex((edge, k) =>
            edge.some((on, side) => on && Math.floor(inside[side] / thickness) === Math.min(k, 1)),
          );
          const colour = hit >= 0 ? outlines[hit].colour : [level, level, level];
          const row = flip ? height - 1 - (r * scale[0] + y) : r * scale[0] + y;
          data.set(colour, (row * width + c * scale[1] + x) * 3);
        }
      }
    }
  }
  return encodePng({ width, height, channels: 3, data });
}

/** Whether the label changes towards the row before, the row after, the column before and the column after. */
function edgesOf(label: Volume, window: Window, r: number, c: number): boolean[] {
  const own = valueAt(label, window, r, c);
  if (own === 0) return [false, false, false, false];
  return [
    valueAt(label, window, r - 1, c) !== own,
    valueAt(label, window, r + 1, c) !== own,
    valueAt(label, window, r, c - 1) !== own,
    valueAt(label, window, r, c + 1) !== own,
  ];
}

function valueAt(volume: Volume, { slice, axes, start }: Window, r: number, c: number): number {
  const position: Vec3 = [0, 0, 0];
  position[slice.axis] = slice.index;
  position[axes[0]] = start[0] + r;
  position[axes[1]] = start[1] + c;
  if (position.some((p, axis) => p < 0 || p >= volume.shape[axis])) return 0;
  return volume.data[(position[0] * volume.shape[1] + position[1]) * volume.shape[2] + position[2]];
}

function windowOf(image: Volume, outlines: readonly Outline[], slice: Slice): Window {
  const axes = otherAxes(slice.axis);
  const low = [Number.POSITIVE_INFINITY, Number.POSITIVE_INFINITY];
  const high = [-1, -1];
  for (const { label } of outlines) {
    eachVoxel(label.shape, (position, i) => {
      if (label.data[i] === 0 || position[slice.axis] !== slice.index) return;
      axes.forEach((axis, k) => {
        low[k] = Math.min(low[k], position[axis]);
        high[k] = Math.max(high[k], position[axis]);
      });
    });
  }
  const empty = high[0] < 0;
  const start = axes.map((_, k) => (empty ? 0 : Math.max(0, low[k] - margin))) as [number, number];
  const size = axes.map(
    (axis, k) => (empty ? image.shape[axis] : Math.min(image.shape[axis], high[k] + margin + 1)) - start[k],
  ) as [number, number];
  const spacing = spacingOf(image);
  const finest = Math.min(...axes.map((axis) => spacing[axis]));
  const ratio = axes.map((axis) => spacing[axis] / finest);
  const zoom = Math.max(1, Math.floor(largestSide / Math.max(size[0] * ratio[0], size[1] * ratio[1])));
  const scale = ratio.map((r) => Math.max(1, Math.round(r * zoom))) as [number, number];
  return { slice, axes, start, size, scale };
}

/** Grey between the 1st and 99th percentile of what the window shows. */
function greyScale(image: Volume, window: Window): (r: number, c: number) => number {
  const values: number[] = [];
  for (let r = 0; r < window.size[0]; r++) {
    for (let c = 0; c < window.size[1]; c++) values.push(valueAt(image, window, r, c));
  }
  values.sort((a, b) => a - b);
  const low = values[Math.floor(0.01 * (values.length - 1))];
  const high = values[Math.ceil(0.99 * (values.length - 1))];
  const factor = 255 / (high - low || 1);
  return (r, c) => Math.round(Math.min(255, Math.max(0, (valueAt(image, window, r, c) - low) * factor)));
}

function otherAxes(axis: number): [number, number] {
  return axis === 0 ? [1, 2] : axis === 1 ? [0, 2] : [0, 1];
}

function eachVoxel(shape: Vec3, visit: (position: Vec3, index: number) => void): void {
  const position: Vec3 = [0, 0, 0];
  let i = 0;
  for (position[0] = 0; position[0] < shape[0]; position[0]++) {
    for (position[1] = 0; position[1] < shape[1]; position[1]++) {
      for (position[2] = 0; position[2] < shape[2]; position[2]++) visit(position, i++);
    }
  }
}
