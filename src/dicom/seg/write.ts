import type { DataSet } from "dicom-parser";
import { fail } from "../../util/errors.ts";
import type { Vec3, Volume } from "../../volume/volume.ts";
import type { Slice, Stack } from "../geometry.ts";
import { type Series, seriesTitle } from "../series.ts";
import { decimal, dicomFile, type Elements } from "../write.ts";
import { type Code, cieLab, type SegmentTerms } from "./codes.ts";

/** Segmentation Storage (PS3.4, B.5). */
const SEGMENTATION = "1.2.840.10008.5.1.4.1.1.66.4";

/** One label of a label map that becomes a segment. */
export interface SegmentLabel extends SegmentTerms {
  /** Voxel value in the label map, above 0. */
  value: number;
  name: string;
}

export interface SegmentationSource {
  series: Series;
  /** Header of one of its files: patient, study and frame of reference are taken from it. */
  header: DataSet;
}

export interface WriteOptions {
  /** Segment Algorithm Name. */
  algorithm: string;
  version: string;
  now: Date;
  newUid: () => string;
  /** Whether someone drew on the result: segments are then SEMIAUTOMATIC. Default false. */
  edited?: boolean;
}

/** Patient, study and frame of reference (PS3.3), as they stand in the source; those of type 2 are written empty where it has none. */
const kept = ["00081030 LO", "00101010 AS", "00282110 CS", "00282112 DS", "00282114 CS"];
const keptOrEmpty = [
  "00080020 DA",
  "00080030 TM",
  "00080050 SH",
  "00080090 PN",
  "00100010 PN",
  "00100020 LO",
  "00100030 DA",
  "00100040 CS",
  "00200010 SH",
  "00201040 LO",
];

/** Why a series cannot carry a segmentation, as a sentence, or null. */
export function sourceFault({ stack, ...series }: Series): string | null {
  const title = seriesTitle({ stack, ...series });
  const instead = "choose another format, such as --format nii.gz.";
  if (typeof stack === "string") return `${title} ${stack}; ${instead}`;
  if (stack.regrid) {
    return `${title} is resampled to be read (${stack.notes[0]}), so that results do not lie on its slices, as DICOM SEG needs; ${instead}`;
  }
  if (stack.slices.some(({ frame }) => !frame.position || !frame.orientation)) {
    return `${title} does not say where its picture lies, which DICOM SEG needs; ${instead}`;
  }
  return null;
}

/**
 * A DICOM Segmentation (PS3.3, A.51) of a label map that lies on the source series' own slices: BINARY, a segment a label, with the
 * source's patient, study, frame of reference and instances. Frames: every slice for the first segment, so that the file spans the
 * whole grid; for the others, the slices in which they occur. Throws a UserError for a source that cannot carry it (see
 * {@link sourceFault}), another shape, and a value without a label.
 */
export function writeSegmentation(
  labels: Volume,
  segments: readonly SegmentLabel[],
  { series, header }: SegmentationSource,
  options: WriteOptions,
): Uint8Array {
  const fault = sourceFault(series);
  if (fault) fail(fault);
  const stack = series.stack as Stack;
  if (stack.shape.some((n, axis) => n !== labels.shape[axis])) {
    fail(
      `Expected a label map of the shape of ${seriesTitle(series)}, ${stack.shape.join(" x ")} (D, H, W); got ${labels.shape.join(" x ")}.`,
    );
  }
  const { frames, pixels } = framesOf(labels, segments);
  const { now, newUid } = options;
  const [date, time] = [now.toISOString().slice(0, 10).replaceAll("-", ""), now.toISOString().slice(11, 19)];
  const organisation = newUid();
  const { text, source, charset } = textOf(header, segments);
  const when = { date, time: time.replaceAll(":", "") };
  const uid = (tag: string): string => header.string(tag)?.trim() || newUid();
  return dicomFile({
    ...source,
    ...(charset ? { "00080005 CS": charset } : {}),
    "00080008 CS": "DERIVED\\PRIMARY",
    "00080016 UI": SEGMENTATION,
    "00080018 UI": newUid(),
    "00080021 DA": when.date,
    "00080023 DA": when.date,
    "00080031 TM": when.time,
    "00080033 TM": when.time,
    "00080060 CS": "SEG",
    "00080070 LO": "lunet",
    "0008103E LO": "Segmentation",
    "00081090 LO": "lunet",
    "00181000 LO": "0",
    "00181020 LO": options.version,
    "0020000D UI": uid("x0020000d"),
    "0020000E UI": newUid(),
    // Series numbers need not be unique; thousands keep results apart from scans in lists.
    "00200011 IS": `${1000 + (Number(series.number) || 0)}`.slice(0, 12),
    "00200013 IS": "1",
    "00200052 UI": uid("x00200052"),
    "00209221 SQ": [{ "00209164 UI": organisation }],
    "00209222 SQ": [
      dimension(organisation, [0x0062, 0x000b], [0x0062, 0x000a], "ReferencedSegmentNumber"),
      dimension(organisation, [0x0020, 0x0032], [0x0020, 0x9113], "ImagePositionPatient"),
    ],
    ...referencedSeries(series, stack),
    "00280002 US": [1],
    "00280004 CS": "MONOCHROME2",
    "00280008 IS": `${frames.length}`,
    "00280010 US": [labels.shape[1]],
    "00280011 US": [labels.shape[2]],
    "00280100 US": [1],
    "00280101 US": [1],
    "00280102 US": [0],
    "00280103 US": [0],
    "00620001 CS": "BINARY",
    "00620002 SQ": segments.map((segment, s) => describeSegment(segment, s, text, options)),
    "00620013 CS": "NO",
    "00700080 CS": "SEGMENTATION",
    "00700081 LO": "",
    "00700084 PN": "",
    "52009229 SQ": [sharedGroups(stack, header)],
    "52009230 SQ": frames.map(({ segment, k }) => frameGroups(stack.slices[k], segment, k)),
    "7FE00010 OB": pixels,
  });
}

/** Frames and their voxels, one bit each from the lowest bit up, without a break between frames (PS3.5, 8.1.1). */
function framesOf(
  { data, shape }: Volume,
  segments: readonly SegmentLabel[],
): { frames: { segment: number; k: number }[]; pixels: Uint8Array } {
  const [slices, rows, columns] = shape;
  const size = rows * columns;
  const places = new Map([[0, -1], ...segments.map(({ value }, s): [number, number] => [value, s])]);
  const found = segments.map((_, s) => new Uint8Array(slices).fill(s === 0 ? 1 : 0));
  let last = 0;
  for (let at = 0; at < data.length; at++) {
    if (at % size === 0) last = 0;
    if (data[at] === 0 || data[at] === last) continue;
    last = data[at];
    const place =
      places.get(last) ?? fail(`Label value ${last} has no name; expected ${[...places.keys()].join(", ")}.`);
    found[place][Math.floor(at / size)] = 1;
  }
  const frames = found.flatMap((inSlice, segment) =>
    [...inSlice.keys()].filter((k) => inSlice[k] === 1).map((k) => ({ segment, k })),
  );
  const pixels = new Uint8Array(Math.ceil((frames.length * size) / 8));
  for (const [f, { segment, k }] of frames.entries()) {
    const { value } = segments[segment];
    for (let i = 0, bit = f * size; i < size; i++, bit++) {
      // Bits beyond 2^31 forbid shifts for the place of the byte.
      if (data[k * size + i] === value) pixels[Math.floor(bit / 8)] |= 1 << (bit % 8);
    }
  }
  return { frames, pixels };
}

const item = (code: Code): Elements[] => [
  { "00080100 SH": code.value, "00080102 SH": code.scheme, "00080104 LO": code.meaning },
];

const dimension = (organisation: string, index: number[], group: number[], label: string): Elements => ({
  "00209164 UI": organisation,
  "00209165 AT": index,
  "00209167 AT": group,
  "00209421 LO": label,
});

function describeSegment(
  segment: SegmentLabel,
  place: number,
  text: (value: string) => string,
  { algorithm, edited = false }: WriteOptions,
): Elements {
  return {
    "00620003 SQ": item(segment.category),
    "00620004 US": [place + 1],
    "00620005 LO": text(segment.name),
    "00620008 CS": edited ? "SEMIAUTOMATIC" : "AUTOMATIC",
    "00620009 LO": text(algorithm),
    "0062000D US": cieLab(place, segment.colour),
    "0062000F SQ": item(segment.type),
  };
}

/**
 * What is copied from the source, byte for byte, in its own character set; names of labels in ASCII then. Where the source has ASCII
 * only, all text is UTF-8.
 */
function textOf(
  header: DataSet,
  segments: readonly SegmentLabel[],
): { source: Elements; charset: string; text: (value: string) => string } {
  const bytesOf = (key: string): Uint8Array | undefined => {
    const element = header.elements[`x${key.slice(0, 8).toLowerCase()}`];
    return (
      element && (header.byteArray.subarray(element.dataOffset, element.dataOffset + element.length) as Uint8Array)
    );
  };
  const source: Elements = { "00282110 CS": "00" };
  for (const key of keptOrEmpty) source[key] = bytesOf(key) ?? "";
  for (const key of kept) {
    const bytes = bytesOf(key);
    if (bytes?.length) source[key] = bytes;
  }
  const own = header.string("x00080005")?.trim() ?? "";
  const plain = Object.values(source).every(
    (value) => typeof value === "string" || (value as Uint8Array).every((byte) => byte < 128 && byte !== 27),
  );
  const unicode = own === "ISO_IR 192" || plain;
  const needed = segments.some(({ name }) => /\P{ASCII}/u.test(name));
  const charset = unicode ? (needed || !plain ? "ISO_IR 192" : "") : own;
  const text = (value: string): string => {
    const clean = value.replace(/[\\\p{Cc}]/gu, " ").slice(0, 64);
    return unicode
      ? clean
      : clean
          .normalize("NFKD")
          .replace(/\p{M}/gu, "")
          .replace(/\P{ASCII}/gu, "?");
  };
  return { source, charset, text };
}

/** A reference to the image of a slice; null where its identity was taken out of the file. */
function reference({ image, index }: Slice): Elements | null {
  if (!image.instance || !image.sopClass) return null;
  const frame: Elements = image.frames.length > 1 ? { "00081160 IS": `${index + 1}` } : {};
  return { "00081150 UI": image.sopClass, "00081155 UI": image.instance, ...frame };
}

/** Common Instance Reference (PS3.3, C.12.2). */
function referencedSeries(series: Series, { slices }: Stack): Elements {
  const images = [...new Set(slices.map(({ image }) => image))];
  if (!series.uid || images.some(({ instance, sopClass }) => !instance || !sopClass)) return {};
  return {
    "00081115 SQ": [
      {
        "0008114A SQ": images.map(({ instance, sopClass }) => ({ "00081150 UI": sopClass, "00081155 UI": instance })),
        "0020000E UI": series.uid,
      },
    ],
  };
}

/** mm from slice to slice. */
function stepOf({ affine }: Stack): number {
  return Math.hypot(affine[2], affine[6], affine[10]);
}

function sharedGroups(stack: Stack, header: DataSet): Elements {
  const [{ frame }] = stack.slices;
  const step = stepOf(stack);
  const thickness = Number(header.string("x00180050")?.trim() || Number.NaN);
  return {
    "00209116 SQ": [{ "00200037 DS": frame.orientation!.map(decimal).join("\\") }],
    "00289110 SQ": [
      {
        "00180050 DS": decimal(thickness > 0 ? thickness : step),
        "00180088 DS": decimal(step),
        "00280030 DS": frame.spacing!.map(decimal).join("\\"),
      },
    ],
  };
}

function frameGroups(slice: Slice, segment: number, k: number): Elements {
  const source = reference(slice);
  const purpose = item({ value: "121322", scheme: "DCM", meaning: "Source image for image processing operation" });
  const derivation = item({ value: "113076", scheme: "DCM", meaning: "Segmentation" });
  return {
    "00089124 SQ": source
      ? [{ "00082112 SQ": [{ ...source, "0040A170 SQ": purpose }], "00089215 SQ": derivation }]
      : [],
    "00209111 SQ": [{ "00209157 UL": [segment + 1, k + 1] }],
    "00209113 SQ": [{ "00200032 DS": (slice.frame.position as Vec3).map(decimal).join("\\") }],
    "0062000A SQ": [{ "0062000B US": [segment + 1] }],
  };
}
