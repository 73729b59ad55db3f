import { fail, UserError } from "../util/errors.ts";
import { decodeJpegLossless } from "./jpeg-lossless.ts";
import { decodeRle } from "./rle.ts";

/** What a decoder is told about the frame that it should find. */
export interface FrameShape {
  columns: number;
  rows: number;
  /** Bytes of one stored sample, 1 or 2. */
  width: 1 | 2;
}

interface Decoder {
  getEncodedBuffer(length: number): Uint8Array;
  decode(): void;
  getFrameInfo(): { width: number; height: number; bitsPerSample: number; componentCount: number };
  getDecodedBuffer(): Uint8Array;
  delete(): void;
}
type DecoderClass = new () => Decoder;

/** Codecs are chatty on the console; their faults come back as errors. */
const quiet = { print: () => undefined, printErr: () => undefined };

/** The optional packages that hold decoders compiled to WebAssembly, loaded when the first frame needs them. */
const packages = {
  "@cornerstonejs/codec-openjpeg": async (): Promise<DecoderClass> =>
    (await (await import("@cornerstonejs/codec-openjpeg/decodewasmjs")).default(quiet)).J2KDecoder,
  "@cornerstonejs/codec-charls": async (): Promise<DecoderClass> =>
    (await (await import("@cornerstonejs/codec-charls/decodewasmjs")).default(quiet)).JpegLSDecoder,
  "@cornerstonejs/codec-libjpeg-turbo-8bit": async (): Promise<DecoderClass> =>
    (await (await import("@cornerstonejs/codec-libjpeg-turbo-8bit/decodewasmjs")).default(quiet)).JPEGDecoder,
};
type Package = keyof typeof packages;

interface Compression {
  title: string;
  /** A package, a decoder of our own, or nothing for what is refused. */
  by?: Package | "rle" | "jpeg-lossless";
}

const UID = "1.2.840.10008.1.2.";
const openjpeg = "@cornerstonejs/codec-openjpeg";
const charls = "@cornerstonejs/codec-charls";

/** Compressed transfer syntaxes (PS3.6, table A-1) after {@link UID}. */
const compressions: Record<string, Compression> = {
  "4.50": { title: "JPEG baseline", by: "@cornerstonejs/codec-libjpeg-turbo-8bit" },
  "4.51": { title: "JPEG extended, 12 bits" },
  "4.53": { title: "JPEG spectral selection (retired)" },
  "4.55": { title: "JPEG full progression (retired)" },
  "4.57": { title: "JPEG lossless", by: "jpeg-lossless" },
  "4.70": { title: "JPEG lossless", by: "jpeg-lossless" },
  "4.80": { title: "JPEG-LS lossless", by: charls },
  "4.81": { title: "JPEG-LS near-lossless", by: charls },
  "4.90": { title: "JPEG 2000 lossless", by: openjpeg },
  "4.91": { title: "JPEG 2000", by: openjpeg },
  "5": { title: "RLE lossless", by: "rle" },
};

const loaded = new Map<Package, Promise<DecoderClass>>();

/**
 * Unpacks one compressed frame into little-endian samples. Throws a UserError that begins with `name` for a transfer syntax
 * that is not read, for a package that is not installed, and for data that is damaged or of another size.
 */
export async function decodeFrame(
  packed: Uint8Array,
  syntax: string,
  shape: FrameShape,
  name: string,
): Promise<Uint8Array> {
  const compression = compressions[syntax.replace(UID, "")];
  if (!compression?.by) {
    const title = compression ? `${compression.title}, ` : "";
    return fail(
      `${name}: voxels in the transfer syntax ${title}${syntax || "unknown"}; expected none, RLE, JPEG baseline, JPEG lossless, ` +
        "JPEG-LS or JPEG 2000: save it again without compression.",
    );
  }
  const { by, title } = compression;
  if (by === "rle") return decodeRle(packed, shape.rows * shape.columns, shape.width, name);
  if (by === "jpeg-lossless") {
    const values = decodeJpegLossless(packed, shape.columns, shape.rows, name);
    return new Uint8Array(shape.width === 1 ? Uint8Array.from(values).buffer : values.buffer);
  }
  checkCodedSize(packed, shape, title, name);
  if (!loaded.has(by)) loaded.set(by, packages[by]());
  const Decoder = await loaded.get(by)!.catch((error) => {
    loaded.delete(by);
    const absent = error?.code === "ERR_MODULE_NOT_FOUND";
    return fail(
      absent
        ? `${name}: reading ${title} needs the optional package ${by}; install it with npm install ${by}.`
        : `${name}: the decoder of ${title} (${by}) does not start: ${error?.message ?? error}.`,
    );
  });
  try {
    return runDecoder(new Decoder(), packed, shape, title, name);
  } catch (error) {
    if (error instanceof UserError) throw error;
    loaded.delete(by); // its memory may be in any state
    return fail(`${name}: damaged ${title} data; copy the file again.`);
  }
}

function runDecoder(decoder: Decoder, packed: Uint8Array, shape: FrameShape, title: string, name: string): Uint8Array {
  decoder.getEncodedBuffer(packed.length).set(packed);
  decoder.decode();
  const { width, height, bitsPerSample, componentCount } = decoder.getFrameInfo();
  const bytes = decoder.getDecodedBuffer();
  const pixels = shape.rows * shape.columns;
  // Pictures of up to 8 bits come as bytes, whatever the file allots to a pixel.
  const fits = bytes.length === pixels * (bitsPerSample > 8 ? 2 : 1) && bytes.length <= pixels * shape.width;
  if (width !== shape.columns || height !== shape.rows || componentCount !== 1 || !fits) {
    decoder.delete();
    fail(
      `${name}: ${title} picture of ${width} x ${height} pixels, ${componentCount} values of ${bitsPerSample} bits; ` +
        `expected ${shape.columns} x ${shape.rows}, one of up to ${8 * shape.width}.`,
    );
  }
  // A copy: the next frame overwrites the decoder's memory.
  const out = bytes.length < pixels * shape.width ? new Uint8Array(Uint16Array.from(bytes).buffer) : bytes.slice();
  decoder.delete();
  return out;
}

/** Reads the size from the coded picture itself, before a decoder takes memory for whatever is written there. */
function checkCodedSize(packed: Uint8Array, { columns, rows }: FrameShape, title: string, name: string): void {
  const view = new DataView(packed.buffer, packed.byteOffset, packed.byteLength);
  const [width, height] = title.startsWith("JPEG 2000") ? codestreamSize(view) : frameHeaderSize(view);
  if (width !== columns || height !== rows) {
    fail(
      `${name}: ${title} picture of ${width} x ${height} pixels; expected ${columns} x ${rows}: the file is damaged.`,
    );
  }
}

/** SIZ of a JPEG 2000 codestream (ISO 15444-1, A.5.1); it follows the start marker. */
function codestreamSize(view: DataView): [number, number] {
  if (view.byteLength < 24 || view.getUint32(0) !== 0xff4fff51) return [0, 0];
  return [view.getUint32(8) - view.getUint32(16), view.getUint32(12) - view.getUint32(20)];
}

/** SOF of a JPEG (ITU T.81, B.2.2) or JPEG-LS (ITU T.87, C.2.2) picture. */
function frameHeaderSize(view: DataView): [number, number] {
  for (let at = 2; at + 9 < view.byteLength && view.getUint8(at) === 0xff; ) {
    const marker = view.getUint8(at + 1);
    const isFrame = (marker >= 0xc0 && marker <= 0xcf && ![0xc4, 0xc8, 0xcc].includes(marker)) || marker === 0xf7;
    if (isFrame) return [view.getUint16(at + 7), view.getUint16(at + 5)];
    at += marker === 0xff ? 1 : 2 + view.getUint16(at + 2);
  }
  return [0, 0];
}
