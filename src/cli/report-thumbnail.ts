import { chooseCrop, cropVolume } from "../dataset/crop.ts";
import { encodePng } from "../volume/png.ts";
import { spacingOf, type Volume } from "../volume/volume.ts";
import { type Colour, fullestSlice } from "./demo-picture.ts";

/** Of foreground labels in order, told apart on grey; from the start again where there are more. */
export const labelColours: readonly Colour[] = [
  [255, 176, 59],
  [72, 190, 255],
  [60, 203, 160],
  [240, 120, 200],
  [250, 230, 90],
  [255, 120, 110],
];

/** Pixels of the longer side. */
const side = 220;
/** Around the label: this share of its size, and at least so many voxels. */
const marginShare = 0.6;
const leastMargin = 8;
const lineWidth = 2;

/**
 * A small picture of a scan (in RAS+ order, or one slice as it is stored): the fullest slice of the label with its outlines, cut to the
 * label with what lies around it, or the middle slice where there is no label. RGB PNG in true proportions. `values` are the
 * foreground labels.
 */
export async function thumbnail(
  image: Volume,
  label: Volume | undefined,
  values: readonly number[],
): Promise<Uint8Array> {
  const { axis, index } = sliceOf(image, label);
  const axes = [0, 1, 2].filter((other) => other !== axis);
  const strides = [image.shape[1] * image.shape[2], image.shape[2], 1];
  const [rows, columns] = axes.map((a) => image.shape[a]);
  const at = (r: number, c: number): number => index * strides[axis] + r * strides[axes[0]] + c * strides[axes[1]];
  const window = windowOf(label, rows, columns, at);
  const spacing = axes.map((a) => spacingOf(image)[a]);
  const mm = [window.rows * spacing[0], window.columns * spacing[1]];
  const scale = side / Math.max(...mm);
  const [height, width] = mm.map((size) => Math.max(1, Math.round(size * scale)));
  // Scans grow upwards and pictures downwards.
  const flip = image.shape[0] > 1;
  /** Place among the window's voxels of a pixel's centre. */
  const rowAt = (y: number): number => ((flip ? height - 1 - y : y) + 0.5) * (window.rows / height) - 0.5;
  const columnAt = (x: number): number => (x + 0.5) * (window.columns / width) - 0.5;
  const value = (r: number, c: number): number => {
    const row = Math.min(window.rows - 1, Math.max(0, r)) + window.top;
    return image.data[at(row, Math.min(window.columns - 1, Math.max(0, c)) + window.left)];
  };
  const classAt = (y: number, x: number): number => {
    if (!label || y < 0 || x < 0 || y >= height || x >= width) return 0;
    return label.data[at(Math.round(rowAt(y)) + window.top, Math.round(columnAt(x)) + window.left)];
  };
  const grey = greyScale(window, value);
  const data = new Uint8Array(width * height * 3);
  for (let y = 0; y < height; y++) {
    for (let x = 0; x < width; x++) {
      const own = classAt(y, x);
      const edge =
        own !== 0 && [-lineWidth, lineWidth].some((d) => classAt(y + d, x) !== own || classAt(y, x + d) !== own);
      const level = grey(between(value, rowAt(y), columnAt(x)));
      const colour = edge
        ? labelColours[Math.max(0, values.indexOf(own)) % labelColours.length]
        : [level, level, level];
      data.set(colour, (y * width + x) * 3);
    }
  }
  return encodePng({ width, height, channels: 3, data });
}

function sliceOf(image: Volume, label: Volume | undefined): { axis: number; index: number } {
  if (!label?.data.some((value) => value !== 0)) return { axis: 0, index: image.shape[0] >> 1 };
  // Only the label's own box is searched.
  const crop = chooseCrop([label]);
  const { axis, index } = fullestSlice(cropVolume(label, crop));
  return { axis, index: index + crop.start[axis] };
}

interface Window {
  top: number;
  left: number;
  rows: number;
  columns: number;
}

function windowOf(
  label: Volume | undefined,
  rows: number,
  columns: number,
  at: (r: number, c: number) => number,
): Window {
  let [top, bottom, left, right] = [rows, -1, columns, -1];
  for (let r = 0; label && r < rows; r++) {
    for (let c = 0; c < columns; c++) {
      if (label.data[at(r, c)] === 0) continue;
      [top, bottom, left, right] = [Math.min(top, r), Math.max(bottom, r), Math.min(left, c), Math.max(right, c)];
    }
  }
  if (bottom < 0) return { top: 0, left: 0, rows, columns };
  const margin = Math.max(leastMargin, Math.round(marginShare * Math.max(bottom - top + 1, right - left + 1)));
  [top, left] = [Math.max(0, top - margin), Math.max(0, left - margin)];
  [bottom, right] = [Math.min(rows - 1, bottom + margin), Math.min(columns - 1, right + margin)];
  return { top, left, rows: bottom - top + 1, columns: right - left + 1 };
}

/** Grey between the 1st and 99th percentile of what the window shows. */
function greyScale({ rows, columns }: Window, value: (r: number, c: number) => number): (x: number) => number {
  const values: number[] = [];
  for (let r = 0; r < rows; r++) {
    for (let c = 0; c < columns; c++) if (Number.isFinite(value(r, c))) values.push(value(r, c));
  }
  values.sort((a, b) => a - b);
  const low = values[Math.floor(0.01 * (values.length - 1))] ?? 0;
  const factor = 255 / ((values[Math.ceil(0.99 * (values.length - 1))] ?? 0) - low || 1);
  return (x) => Math.round(Math.min(255, Math.max(0, (x - low) * factor)));
}

/** Linear between the four voxels around a place. */
function between(value: (r: number, c: number) => number, r: number, c: number): number {
  const [r0, c0] = [Math.floor(r), Math.floor(c)];
  const [down, right] = [r - r0, c - c0];
  const row = (at: number): number => (1 - right) * value(at, c0) + right * value(at, c0 + 1);
  return (1 - down) * row(r0) + down * row(r0 + 1);
}
