import type { DataSet } from "dicom-parser";
import { fail } from "../util/errors.ts";
import { affineFault } from "../volume/affine.ts";
import type { Vec3, Volume, VoxelArray } from "../volume/volume.ts";
import { type Slice, type Stack, stackSlices } from "./geometry.ts";
import type { DicomImage } from "./image.ts";
import { lookUp, modalityLut } from "./modality-lut.ts";
import { checkPixels, readFrame } from "./pixels.ts";
import { regrid } from "./regrid.ts";

/** One series of a folder or archive. */
export interface Series {
  /** Series Instance UID. */
  uid: string;
  /** Series Number, "" where not given. */
  number: string;
  description: string;
  modality: string;
  images: DicomImage[];
  /** The ordered stack, or why there is none: completes "the series ...". */
  stack: Stack | string;
  /** Files that are copies of another (same SOP Instance UID) and were left out. */
  copies: number;
}

/** Largest scan in memory, as for the other formats. */
const MAX_BYTES = 2 ** 33;

/** Groups images into series, in order of their numbers. */
export function groupSeries(images: readonly DicomImage[]): Series[] {
  const groups = new Map<string, DicomImage[]>();
  for (const image of images) {
    const key = `${image.study} ${image.series}`;
    groups.set(key, [...(groups.get(key) ?? []), image]);
  }
  const list = [...groups.values()].map((members): Series => {
    const seen = new Set<string>();
    const unique = members.filter(({ instance }) => instance === "" || (!seen.has(instance) && seen.add(instance)));
    const [{ series: uid, seriesNumber: number, description, modality }] = unique;
    const slices = unique.flatMap((image) => image.frames.map((frame, index): Slice => ({ image, index, frame })));
    const copies = members.length - unique.length;
    const stack = modality === "SEG" ? "is a segmentation, not a scan" : stackSlices(slices);
    if (typeof stack !== "string" && unique[0].photometric === "MONOCHROME1") {
      // How to show values, not what they are (PS3.3, C.7.6.3.1.2).
      stack.notes.push("is MONOCHROME1, low values are bright; they are taken as stored, not inverted");
    }
    return { uid, number, description, modality, images: unique, stack, copies };
  });
  return list.sort((a, b) => Number(a.number) - Number(b.number) || (a.uid < b.uid ? -1 : 1));
}

/** "series 3 (STD BRAIN, CT)". */
export function seriesTitle({ number, description, modality, uid }: Series): string {
  const words = [description, modality].filter((word) => word !== "");
  return `series ${number || uid || "without a number"}${words.length > 0 ? ` (${words.join(", ")})` : ""}`;
}

/**
 * The voxels of a series, rescaled or through their Modality LUT: where slopes are 1 and offsets whole int16, or int32 where values are larger, else float32; float32
 * too where slices are resampled. `open` gets the elements of one of its files; a file is asked for once, slices are decoded one
 * after the other. Throws a UserError where the slices make no volume or cannot be decoded.
 */
export async function readSeries(
  series: Series,
  name: string,
  open: (image: DicomImage) => Promise<DataSet>,
  warn?: (sentence: string) => void,
): Promise<Volume> {
  const { stack } = series;
  if (typeof stack === "string") {
    return fail(
      `${name}: ${seriesTitle(series)} ${stack}; expected evenly spaced slices of one orientation: convert or resample it first.`,
    );
  }
  const wrong = affineFault(stack.affine);
  if (wrong) fail(`${name}: the affine of ${seriesTitle(series)} ${wrong}; its positions or pixel sizes are damaged.`);
  for (const note of stack.notes) warn?.(`${name}: ${seriesTitle(series)} ${note}.`);
  const [{ image: first }] = stack.slices;
  for (const { image } of stack.slices) checkPixels(image);
  const size = first.rows * first.columns;
  const bytes = 4 * Math.max(size * stack.slices.length, stack.shape[0] * stack.shape[1] * stack.shape[2]);
  if (bytes > MAX_BYTES) {
    fail(
      `${name}: ${seriesTitle(series)} of ${stack.shape.join(" x ")} voxels takes ${bytes} bytes; expected at most 8 GiB.`,
    );
  }
  // A larger offset would not fit 32 bits.
  const whole = stack.slices.every(({ frame: { slope, intercept } }) => {
    return slope === 1 && Number.isInteger(intercept) && Math.abs(intercept) < 2 ** 30;
  });
  const data = new (whole ? Int32Array : Float32Array)(size * stack.slices.length);
  const places = new Map<DicomImage, { index: number; k: number }[]>();
  for (const [k, { image, index }] of stack.slices.entries()) {
    places.set(image, [...(places.get(image) ?? []), { index, k }]);
  }
  for (const [image, frames] of places) {
    const elements = await open(image);
    const lut = modalityLut(elements, image.name, image.signed);
    for (const { index, k } of frames) {
      const { slope, intercept } = image.frames[index];
      const values = await readFrame(elements, image, index);
      if (lut) for (let i = 0; i < size; i++) data[k * size + i] = lookUp(lut, values[i]);
      else for (let i = 0; i < size; i++) data[k * size + i] = values[i] * slope + intercept;
    }
  }
  const shape: Vec3 = [...stack.shape];
  const affine = stack.affine.slice();
  if (stack.regrid) return { data: regrid(data, first.columns, first.rows, stack.regrid), shape, affine };
  return { data: whole ? narrowed(data as Int32Array) : data, shape, affine };
}

/** 16 bits where they suffice, as they nearly always do. */
function narrowed(values: Int32Array): VoxelArray {
  const fits = values.every((value) => value >= -32768 && value <= 32767);
  return fits ? Int16Array.from(values) : values;
}
