import type { DataSet } from "dicom-parser";
import { fail, UserError } from "../../util/errors.ts";
import { affineFault } from "../../volume/affine.ts";
import type { Vec3 } from "../../volume/volume.ts";
import { affineOf, planeOf } from "../geometry.ts";
import type { DicomImage } from "../image.ts";
import { readFrame } from "../pixels.ts";

/** A DICOM Segmentation whose frames lie on a regular grid of their own. */
export interface Segmentation {
  name: string;
  type: "BINARY" | "FRACTIONAL" | "LABELMAP";
  segments: { number: number; name: string }[];
  /** [D, H, W] and affine of the grid: from the first plane to the last, those without a frame between them included. */
  shape: Vec3;
  affine: Float64Array;
  /** Slice of each frame, and the number of the segment that it shows; of a label map, which shows all of them, 0. */
  frames: { segment: number; k: number }[];
  /** Voxels of a frame: 1 inside the segment, else 0; of a label map the segments' numbers, 0 for background. */
  voxels(frame: number): Promise<ArrayLike<number>>;
}

/** Explicit and implicit little endian, deflated: bits lie as they are. */
const plainSyntaxes = ["1.2.840.10008.1.2", "1.2.840.10008.1.2.1", "1.2.840.10008.1.2.1.99"];
/** Voxels and slices beyond which a grid is taken for damage. */
const MOST_VOXELS = 2 ** 30;
const MOST_SLICES = 2 ** 12;
/** mm by which planes may depart from the grid, and lie at one place. */
const SAME_MM = 0.02;

/**
 * Opens a segmentation (PS3.3, A.51, C.8.20): BINARY, FRACTIONAL (inside is more than half of the maximum, so that segments whose
 * fractions sum to one do not overlap) or LABELMAP. Throws a UserError that begins with the file's name for tiled slides, frames
 * without a place, planes that lie unevenly or are turned against each other, and what a damaged file brings.
 */
export function openSegmentation(data: DataSet, image: DicomImage): Segmentation {
  try {
    return readHeader(data, image);
  } catch (error) {
    if (error instanceof UserError) throw error;
    return fail(`${image.name}: segmentation with values of the wrong length; the file is damaged: copy it again.`);
  }
}

function readHeader(data: DataSet, image: DicomImage): Segmentation {
  const { name } = image;
  const type = data.string("x00620001")?.trim() ?? "";
  if (type !== "BINARY" && type !== "FRACTIONAL" && type !== "LABELMAP") {
    return fail(`${name}: segmentation of type "${type}"; expected BINARY, FRACTIONAL or LABELMAP.`);
  }
  if (data.elements.x00480006) {
    fail(`${name}: segmentation of a whole-slide image (tiles); expected one of a scan with planes in space.`);
  }
  const grid = gridOf(data, image);
  const segments = segmentsOf(data);
  const frames = grid.planes.map((k, index) => ({
    k,
    segment: type === "LABELMAP" ? 0 : segmentOf(data, index, name),
  }));
  const { shape, affine } = grid;
  const voxels = { BINARY: binaryReader, FRACTIONAL: fractionReader, LABELMAP: labelReader }[type](data, image);
  return { name, type, segments, shape, affine, frames, voxels };
}

function segmentsOf(data: DataSet): Segmentation["segments"] {
  const unicode = data.string("x00080005")?.trim() === "ISO_IR 192";
  return (data.elements.x00620002?.items ?? []).flatMap(({ dataSet }) => {
    const number = dataSet?.uint16("x00620004");
    const label = dataSet?.elements.x00620005;
    if (!dataSet || number === undefined) return [];
    const bytes = label ? dataSet.byteArray.subarray(label.dataOffset, label.dataOffset + label.length) : [];
    const text = new TextDecoder(unicode ? "utf-8" : "latin1").decode(Uint8Array.from(bytes));
    return [{ number, name: text.replace(/\0/g, "").trim() }];
  });
}

function segmentOf(data: DataSet, frame: number, name: string): number {
  for (const groups of [data.elements.x52009230?.items?.[frame], data.elements.x52009229?.items?.[0]]) {
    const number = groups?.dataSet?.elements.x0062000a?.items?.[0]?.dataSet?.uint16("x0062000b");
    if (number !== undefined) return number;
  }
  return fail(`${name}: frame ${frame + 1} does not say which segment it shows; the file is damaged.`);
}

/** The grid that the planes of all frames span, and the slice of each frame in it. */
function gridOf(
  data: DataSet,
  { name, frames, rows, columns }: DicomImage,
): Pick<Segmentation, "shape" | "affine"> & { planes: number[] } {
  const [first] = frames;
  const { orientation, spacing } = first;
  if (!orientation || frames.some(({ position }) => !position)) {
    fail(`${name}: segmentation that does not say where its frames lie (Plane Position and Orientation).`);
  }
  if (!spacing || !(spacing[0] > 0 && spacing[1] > 0)) {
    fail(`${name}: segmentation that does not say how large its pixels are (Pixel Measures).`);
  }
  if (frames.some(({ orientation: o }) => !o || o.some((value, i) => Math.abs(value - orientation![i]) > 1e-3))) {
    fail(`${name}: segmentation whose frames are turned against each other; expected one orientation.`);
  }
  const { row, column, normal } = planeOf(orientation!);
  const along = frames.map(({ position }) => normal.reduce((sum, value, r) => sum + value * position![r], 0));
  const order = [...along.keys()].sort((a, b) => along[a] - along[b]);
  const [low, high] = [order[0], order[order.length - 1]];
  const step = stepOf(
    order.map((frame) => along[frame]),
    measure(data, "x00180088"),
    measure(data, "x00180050"),
  );
  const from = (frame: number): number => (along[frame] - along[low]) / step;
  const slices = Math.round(from(high)) + 1;
  const uneven = frames.some(
    (_, frame) => Math.abs(from(frame) - Math.round(from(frame))) * step > Math.max(SAME_MM, 0.01 * step),
  );
  if (uneven || !(slices >= 1 && slices <= MOST_SLICES && slices * rows * columns <= MOST_VOXELS)) {
    fail(
      `${name}: segmentation whose planes lie unevenly (steps of ${step} mm do not reach all); expected even steps.`,
    );
  }
  const [start, end] = [frames[low].position!, frames[high].position!];
  const stepAlong = slices > 1 ? end.map((value, r) => (value - start[r]) / (slices - 1)) : null;
  const affine = affineOf(
    { ...first, orientation: [...row, ...column] },
    stepAlong ?? normal.map((value) => value * step),
    start,
  );
  const fault = affineFault(affine);
  if (fault) fail(`${name}: the affine of the segmentation ${fault}; its positions or pixel sizes are damaged.`);
  return { shape: [slices, rows, columns], affine, planes: frames.map((_, frame) => Math.round(from(frame))) };
}

/** Spacing Between Slices where the planes keep to it, else the smallest distance of two; the thickness of a single plane. */
function stepOf(sorted: readonly number[], between: number, thickness: number): number {
  const gaps = sorted.slice(1).flatMap((value, i) => (value - sorted[i] > SAME_MM ? [value - sorted[i]] : []));
  if (gaps.length === 0) return between || thickness || 1;
  const keeps = gaps.every(
    (gap) => Math.round(gap / between) >= 1 && Math.abs(gap - Math.round(gap / between) * between) <= SAME_MM,
  );
  return between > 0 && keeps ? between : Math.min(...gaps);
}

/** A length in mm of the Pixel Measures, 0 where it is not given. */
function measure(data: DataSet, tag: string): number {
  const places = [data.elements.x52009229?.items?.[0], data.elements.x52009230?.items?.[0]];
  const item = places
    .map((groups) => groups?.dataSet?.elements.x00289110?.items?.[0]?.dataSet)
    .find((found) => found?.elements[tag]);
  const value = Math.abs(Number(item?.string(tag)?.trim() || 0));
  return Number.isFinite(value) ? value : 0;
}

type Reader = (data: DataSet, image: DicomImage) => Segmentation["voxels"];

/** One bit a voxel, from the lowest bit up, without a break between frames (PS3.5, 8.1.1). */
const binaryReader: Reader = (data, { name, rows, columns, frames, bitsAllocated, transferSyntax }) => {
  const size = rows * columns;
  const element = data.elements.x7fe00010;
  if (bitsAllocated !== 1 || !plainSyntaxes.includes(transferSyntax)) {
    fail(
      `${name}: BINARY segmentation of ${bitsAllocated} bits in the transfer syntax ${transferSyntax}; expected 1, uncompressed.`,
    );
  }
  const bytes = Math.ceil((frames.length * size) / 8);
  if (!element || element.length < bytes || element.dataOffset + bytes > data.byteArray.length) {
    fail(`${name}: cut short, ${frames.length} frames take ${bytes} bytes; copy it again.`);
  }
  const packed = data.byteArray.subarray(element.dataOffset, element.dataOffset + bytes);
  return async (frame) => {
    const out = new Uint8Array(size);
    for (let i = 0, bit = frame * size; i < size; i++, bit++) out[i] = (packed[Math.floor(bit / 8)] >> (bit % 8)) & 1;
    return out;
  };
};

const fractionReader: Reader = (data, image) => {
  const most = data.uint16("x0062000e");
  if (!most) fail(`${image.name}: FRACTIONAL segmentation without a Maximum Fractional Value; the file is damaged.`);
  return async (frame) => Uint8Array.from(await readFrame(data, image, frame), (value) => (value > most! / 2 ? 1 : 0));
};

const labelReader: Reader = (data, image) => {
  const padding = data.uint16("x00280120");
  // A palette colours the numbers for display; they stay numbers.
  const numbers = { ...image, photometric: "MONOCHROME2" };
  return async (frame) => {
    const values = await readFrame(data, numbers, frame);
    return padding === undefined ? values : values.map((value) => (value === padding ? 0 : value));
  };
};
