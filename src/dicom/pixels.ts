import dicomParser, { type DataSet, type Element } from "dicom-parser";
import { counted } from "../util/counted.ts";
import { fail, UserError } from "../util/errors.ts";
import { decodeFrame } from "./codecs.ts";
import type { DicomImage } from "./image.ts";

const BIG_ENDIAN = "1.2.840.10008.1.2.2";
const native = ["1.2.840.10008.1.2", "1.2.840.10008.1.2.1", "1.2.840.10008.1.2.1.99", BIG_ENDIAN];

/** Pixels of one frame beyond which no scanner goes; keeps a damaged header from asking for all memory. */
const MAX_PIXELS = 1 << 28;

/**
 * The stored values of frame `index`, before rescaling, as integers of the width that they are stored in. Throws a UserError
 * that begins with the file's name for colour, missing or short pixels, and compressions that cannot be read.
 */
export async function readFrame(
  data: DataSet,
  image: DicomImage,
  index: number,
): Promise<Uint8Array | Int8Array | Uint16Array | Int16Array> {
  const { name, rows, columns, bitsAllocated, transferSyntax } = image;
  checkPixels(image);
  const width = bitsAllocated === 8 ? 1 : 2;
  const length = rows * columns * width;
  const element = data.elements.x7fe00010;
  if (!element)
    return fail(`${name}: DICOM file without pixels (no Pixel Data element); it is a header alone, or no image.`);
  let bytes: Uint8Array;
  if (native.includes(transferSyntax)) {
    const start = element.dataOffset + index * length;
    if (element.length < (index + 1) * length || start + length > data.byteArray.length) {
      fail(
        `${name}: cut short, frame ${index + 1} takes ${length} bytes and the file holds ${Math.max(0, element.length - index * length)}; copy it again.`,
      );
    }
    bytes = Uint8Array.from(data.byteArray.subarray(start, start + length));
    if (transferSyntax === BIG_ENDIAN && width === 2) swapPairs(bytes);
  } else {
    bytes = await decodeFrame(fragmentsOf(data, element, image, index), transferSyntax, { rows, columns, width }, name);
  }
  return storedValues(bytes, image);
}

/** Throws a UserError for colour and for pixels that no scanner makes. */
export function checkPixels({
  name,
  rows,
  columns,
  bitsAllocated,
  bitsStored,
  highBit,
  samples,
  photometric,
}: DicomImage): void {
  if (samples !== 1 || !photometric.startsWith("MONOCHROME")) {
    fail(
      `${name}: pixels of kind ${photometric || "unknown"} with ${counted(samples, "value")} each; expected grey ones (MONOCHROME).`,
    );
  }
  if (bitsAllocated !== 8 && bitsAllocated !== 16) {
    fail(`${name}: ${bitsAllocated} bits a pixel; expected 8 or 16.`);
  }
  if (bitsStored < 1 || bitsStored > bitsAllocated || highBit < bitsStored - 1 || highBit >= bitsAllocated) {
    fail(`${name}: header contradicts itself, ${bitsStored} bits up to bit ${highBit} of ${bitsAllocated}.`);
  }
  if (rows * columns > MAX_PIXELS) fail(`${name}: impossible size of ${columns} x ${rows} pixels.`);
}

/** The compressed bytes of one frame: all fragments of a file of one frame, else by the offset table or a fragment a frame. */
function fragmentsOf(data: DataSet, element: Element, { name, frames }: DicomImage, index: number): Uint8Array {
  const fragments = element.fragments ?? [];
  if (fragments.length === 0) fail(`${name}: compressed pixels without data; the file is cut short or damaged.`);
  try {
    if (frames.length === 1) {
      return dicomParser.readEncapsulatedPixelDataFromFragments(data, element, 0, fragments.length) as Uint8Array;
    }
    if (element.basicOffsetTable?.length) {
      return dicomParser.readEncapsulatedImageFrame(data, element, index) as Uint8Array;
    }
    if (fragments.length === frames.length) {
      return dicomParser.readEncapsulatedPixelDataFromFragments(data, element, index, 1) as Uint8Array;
    }
  } catch (error) {
    if (error instanceof UserError) throw error;
    return fail(`${name}: frame ${index + 1} is not where the file's offset table says; the file is damaged.`);
  }
  return fail(
    `${name}: ${counted(fragments.length, "piece")} for ${frames.length} frames without an offset table; save the file again.`,
  );
}

function swapPairs(bytes: Uint8Array): void {
  for (let i = 0; i + 1 < bytes.length; i += 2) {
    const first = bytes[i];
    bytes[i] = bytes[i + 1];
    bytes[i + 1] = first;
  }
}

/** Cuts out the stored bits (others may hold overlays) and extends the sign. */
function storedValues(
  bytes: Uint8Array,
  { bitsAllocated, bitsStored, highBit, signed }: DicomImage,
): Uint8Array | Int8Array | Uint16Array | Int16Array {
  const narrow = bitsAllocated === 8;
  const { buffer, byteOffset: at } = bytes;
  const count = bytes.length / (narrow ? 1 : 2);
  const unsignedView = narrow ? new Uint8Array(buffer, at, count) : new Uint16Array(buffer, at, count);
  const signedView = narrow ? new Int8Array(buffer, at, count) : new Int16Array(buffer, at, count);
  if (bitsStored < bitsAllocated) {
    const down = highBit + 1 - bitsStored;
    const up = 32 - bitsStored;
    for (let i = 0; i < count; i++) {
      const high = (unsignedView[i] >> down) << up;
      unsignedView[i] = signed ? high >> up : high >>> up;
    }
  }
  return signed ? signedView : unsignedView;
}
