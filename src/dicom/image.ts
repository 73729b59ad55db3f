import type { DataSet } from "dicom-parser";
import { fail, UserError } from "../util/errors.ts";
import type { Vec3 } from "../volume/volume.ts";

/** Where one frame lies and what its stored numbers mean. */
export interface Frame {
  /** Image Position (Patient): centre of the first pixel, LPS mm; null where the file does not say. */
  position: Vec3 | null;
  /** Image Orientation (Patient): direction of a row (along columns), then of a column. */
  orientation: number[] | null;
  /** Pixel Spacing: mm between rows, between columns. */
  spacing: [number, number] | null;
  /** Slice Thickness in mm; null where the file does not say. */
  thickness: number | null;
  slope: number;
  intercept: number;
}

/** What the header of a DICOM image says. */
export interface DicomImage {
  name: string;
  /** SOP Class UID. */
  sopClass: string;
  instance: string;
  study: string;
  series: string;
  seriesNumber: string;
  instanceNumber: number | null;
  description: string;
  modality: string;
  transferSyntax: string;
  rows: number;
  columns: number;
  bitsAllocated: number;
  bitsStored: number;
  highBit: number;
  signed: boolean;
  samples: number;
  photometric: string;
  frames: Frame[];
  /** Gantry/Detector Tilt in degrees, 0 where not given. */
  tilt: number;
}

/** Frames beyond this are no scan. */
const MAX_FRAMES = 1 << 16;

/** The image in a file, or null where the file holds none (a report, a directory). UserError for an impossible header. */
export function imageOf(data: DataSet, name: string): DicomImage | null {
  try {
    return readImage(data, name);
  } catch (error) {
    if (error instanceof UserError) throw error;
    return fail(`${name}: DICOM header with values of the wrong length; the file is damaged: copy it again.`);
  }
}

function readImage(data: DataSet, name: string): DicomImage | null {
  const text = (tag: string): string => data.string(tag)?.trim() ?? "";
  const rows = data.uint16("x00280010");
  const columns = data.uint16("x00280011");
  if (!rows || !columns) return null;
  const bitsAllocated = data.uint16("x00280100") ?? 16;
  const bitsStored = data.uint16("x00280101") ?? bitsAllocated;
  const count = Number(text("x00280008") || 1);
  if (!Number.isInteger(count) || count < 1 || count > MAX_FRAMES) {
    fail(`${name}: ${text("x00280008")} frames (0028,0008); expected 1 to ${MAX_FRAMES}.`);
  }
  return {
    name,
    sopClass: text("x00080016"),
    instance: text("x00080018"),
    study: text("x0020000d"),
    series: text("x0020000e"),
    seriesNumber: text("x00200011"),
    instanceNumber: numberOf(data, "x00200013") ?? null,
    description: text("x0008103e"),
    modality: text("x00080060"),
    transferSyntax: text("x00020010"),
    rows,
    columns,
    bitsAllocated,
    bitsStored,
    highBit: data.uint16("x00280102") ?? bitsStored - 1,
    signed: data.uint16("x00280103") === 1,
    samples: data.uint16("x00280002") ?? 1,
    photometric: text("x00280004"),
    frames: framesOf(data, count),
    tilt: numberOf(data, "x00181120") ?? 0,
  };
}

function numberOf(data: DataSet | undefined, tag: string, index = 0): number | undefined {
  const text = data?.string(tag)?.split("\\")[index]?.trim();
  const value = Number(text || Number.NaN);
  return Number.isFinite(value) ? value : undefined;
}

function numbersOf(data: DataSet | undefined, tag: string, count: number): number[] | null {
  const values = Array.from({ length: count }, (_, i) => numberOf(data, tag, i));
  return values.includes(undefined) ? null : (values as number[]);
}

/** The first item of a sequence. */
const itemOf = (data: DataSet | undefined, tag: string): DataSet | undefined =>
  data?.elements[tag]?.items?.[0]?.dataSet;

/**
 * One entry a frame. Classic images say it at the top; enhanced ones (PS3.3 C.7.6.16) in the functional groups, of the frame first
 * and then of all frames.
 */
function framesOf(data: DataSet, count: number): Frame[] {
  const shared = itemOf(data, "x52009229");
  const perFrame = data.elements.x52009230?.items;
  return Array.from({ length: count }, (_, frame) => {
    const own = perFrame?.[frame]?.dataSet;
    const group = (sequence: string, tag: string): DataSet | undefined =>
      [itemOf(own, sequence), itemOf(shared, sequence), data].find((place) => place?.elements[tag]);
    // A classic file of several frames says where the first one lies, not the others.
    const atTop = count === 1 || own !== undefined;
    const position = group("x00209113", "x00200032");
    return {
      position: atTop ? (numbersOf(position, "x00200032", 3) as Vec3 | null) : null,
      orientation: numbersOf(group("x00209116", "x00200037"), "x00200037", 6),
      spacing: numbersOf(group("x00289110", "x00280030"), "x00280030", 2) as [number, number] | null,
      thickness: numberOf(group("x00289110", "x00180050"), "x00180050") ?? null,
      slope: numberOf(group("x00289145", "x00281053"), "x00281053") ?? 1,
      intercept: numberOf(group("x00289145", "x00281052"), "x00281052") ?? 0,
    };
  });
}
