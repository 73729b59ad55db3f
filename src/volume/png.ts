import { fail } from "../util/errors.ts";
import { joinBytes } from "./arrays.ts";
import { deflate, inflate, MAX_INFLATION } from "./inflate.ts";

/** A grey picture: `data[y * width + x]`, row 0 on top. */
export interface GreyPicture {
  width: number;
  height: number;
  data: Uint8Array | Uint16Array;
}

const SIGNATURE = [137, 80, 78, 71, 13, 10, 26, 10];
const GREY = 0;
const RGB = 2;
const PALETTE = 3;
/** Samples a pixel of each colour type (PNG specification, table 11.1). */
const samples: Record<number, number> = { [GREY]: 1, [RGB]: 3, [PALETTE]: 1, 4: 2, 6: 4 };

/** Largest picture in memory, unpacked. */
const MAX_BYTES = 2 ** 31;

interface PngHeader {
  width: number;
  height: number;
  bits: number;
  colour: number;
}

/**
 * Reads a grey PNG (W3C PNG specification) of 1 to 16 bits; values as stored, 16-bit ones as Uint16Array. Colour or alpha
 * files pass when their pixels are grey and opaque in fact. Throws a UserError that begins with `name` for real colour,
 * palettes, interlaced, damaged or cut files.
 */
export async function decodePng(bytes: Uint8Array, name: string): Promise<GreyPicture> {
  const pictures = await decodePngChannels(bytes, name);
  if (pictures.length > 1) {
    fail(`${name}: colour PNG; expected grey values: save it as 8-bit grey (one file per channel for colour).`);
  }
  return pictures[0];
}

/** As {@link decodePng}, but a picture in colour gives three: its red, green and blue values. */
export async function decodePngChannels(bytes: Uint8Array, name: string): Promise<GreyPicture[]> {
  const { header, packed } = readChunks(bytes, name);
  const { width, height, bits, colour } = header;
  const channels = samples[colour];
  const rowBytes = Math.ceil((width * channels * bits) / 8);
  const size = (rowBytes + 1) * height;
  const raw = await unpack(packed, size, name);
  unfilter(raw, height, rowBytes, Math.max(1, (channels * bits) / 8), name);
  const values = bits === 16 ? new Uint16Array(width * height * channels) : new Uint8Array(width * height * channels);
  const perRow = width * channels;
  for (let y = 0; y < height; y++) {
    const row = y * (rowBytes + 1) + 1;
    for (let x = 0; x < perRow; x++) {
      const at = y * perRow + x;
      if (bits === 8) values[at] = raw[row + x];
      else if (bits === 16) values[at] = (raw[row + 2 * x] << 8) | raw[row + 2 * x + 1];
      else values[at] = (raw[row + ((x * bits) >> 3)] >> (8 - bits - ((x * bits) & 7))) & ((1 << bits) - 1);
    }
  }
  return coloursOf(values, channels, bits, name).map((data) => ({ width, height, data }));
}

/** Size and bits of a PNG from its first 33 bytes or more. */
export function readPngHeader(bytes: Uint8Array, name: string): PngHeader {
  if (SIGNATURE.some((value, i) => bytes[i] !== value)) fail(`${name}: not a PNG file, its first 8 bytes are wrong.`);
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  if (bytes.length < 33 || view.getUint32(12) !== 0x49484452)
    fail(`${name}: PNG file without its header; copy it again.`);
  const header = { width: view.getUint32(16), height: view.getUint32(20), bits: bytes[24], colour: bytes[25] };
  const { width, height, bits, colour } = header;
  if (width < 1 || height < 1 || width * height > 2 ** 31) fail(`${name}: impossible PNG size ${width} x ${height}.`);
  if (colour === PALETTE) {
    fail(
      `${name}: PNG with a colour palette; expected grey values: save it as 8-bit grey (labels: the label numbers).`,
    );
  }
  const depths = colour === GREY ? [1, 2, 4, 8, 16] : [8, 16];
  if (!(colour in samples) || !depths.includes(bits)) {
    fail(`${name}: PNG colour type ${colour} with ${bits} bits is not in the standard; the file is damaged.`);
  }
  if (bytes[28] !== 0) fail(`${name}: interlaced PNG; expected a plain one: save it without interlacing.`);
  return header;
}

function readChunks(bytes: Uint8Array, name: string): { header: PngHeader; packed: Uint8Array } {
  const header = readPngHeader(bytes, name);
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  const parts: Uint8Array[] = [];
  for (let at = 8; ; ) {
    const length = at + 12 <= bytes.length ? view.getUint32(at) : 0;
    if (at + 12 + length > bytes.length) fail(`${name}: PNG file is cut short at byte ${bytes.length}; copy it again.`);
    const type = String.fromCharCode(...bytes.subarray(at + 4, at + 8));
    const end = at + 8 + length;
    if (crc32(bytes.subarray(at + 4, end)) !== view.getUint32(end)) {
      fail(`${name}: damaged PNG, the checksum of its ${JSON.stringify(type)} part is wrong; copy the file again.`);
    }
    if (type === "IDAT") parts.push(bytes.subarray(at + 8, end));
    if (type === "IEND") break;
    at = end + 4;
  }
  return { header, packed: joinBytes(parts) };
}

async function unpack(packed: Uint8Array, size: number, name: string): Promise<Uint8Array> {
  if (size > packed.length * MAX_INFLATION) {
    fail(`${name}: impossible PNG size, ${size} bytes cannot come from ${packed.length} packed ones; copy it again.`);
  }
  if (size > MAX_BYTES) {
    fail(`${name}: a PNG that unpacks to ${size} bytes; expected at most ${MAX_BYTES}: cut it into smaller ones.`);
  }
  const source = inflate(packed, "deflate", name);
  try {
    const raw = new Uint8Array(size);
    const filled = await source.read(raw);
    const more = await source.skip(1);
    if (filled === size && more === 0) return raw;
    return fail(`${name}: PNG pixels do not fit its size; expected ${size} bytes and found ${more ? "more" : filled}.`);
  } finally {
    await source.close();
  }
}

/** Undoes the row filters in place (PNG specification, section 9); each row starts with its filter's number. */
function unfilter(raw: Uint8Array, height: number, rowBytes: number, step: number, name: string): void {
  for (let y = 0; y < height; y++) {
    const row = y * (rowBytes + 1) + 1;
    const above = row - rowBytes - 1;
    const filter = raw[row - 1];
    if (filter > 4) fail(`${name}: damaged PNG, row ${y} has the unknown filter ${filter}.`);
    for (let x = 0; x < rowBytes && filter > 0; x++) {
      const left = x >= step ? raw[row + x - step] : 0;
      const up = y > 0 ? raw[above + x] : 0;
      const corner = x >= step && y > 0 ? raw[above + x - step] : 0;
      if (filter === 1) raw[row + x] += left;
      else if (filter === 2) raw[row + x] += up;
      else if (filter === 3) raw[row + x] += (left + up) >> 1;
      else raw[row + x] += paeth(left, up, corner);
    }
  }
}

function paeth(left: number, up: number, corner: number): number {
  const p = left + up - corner;
  const [a, b, c] = [Math.abs(p - left), Math.abs(p - up), Math.abs(p - corner)];
  if (a <= b && a <= c) return left;
  return b <= c ? up : corner;
}

/** One array where all pixels are grey, else red, green and blue. */
function coloursOf<T extends Uint8Array | Uint16Array>(values: T, channels: number, bits: number, name: string): T[] {
  if (channels === 1) return [values];
  const colours = channels >= 3 ? 3 : 1;
  const opaque = 2 ** bits - 1;
  let grey = true;
  for (let at = 0; at < values.length; at += channels) {
    if (channels > colours && values[at + colours] !== opaque) {
      fail(`${name}: PNG with transparent pixels; expected opaque ones: save it without transparency.`);
    }
    if (colours === 3 && (values[at] !== values[at + 1] || values[at] !== values[at + 2])) grey = false;
  }
  return Array.from({ length: grey ? 1 : colours }, (_, c) => {
    const out = values.slice(0, values.length / channels) as T;
    for (let i = 0; i < out.length; i++) out[i] = values[i * channels + c];
    return out;
  });
}

export interface PngPicture {
  width: number;
  height: number;
  /** 1 grey, 3 RGB. */
  channels: 1 | 3;
  /** [height, width, channels], 8 bits each. */
  data: Uint8Array;
}

/** An 8-bit grey or RGB PNG file. Throws a UserError when the data does not fit the size. */
export async function encodePng({ width, height, channels, data }: PngPicture): Promise<Uint8Array> {
  const rowBytes = width * channels;
  if (!(width > 0 && height > 0) || data.length !== rowBytes * height) {
    fail(`Cannot write a PNG: ${width} x ${height} pixels of ${channels} bytes do not fit ${data.length} bytes.`);
  }
  const raw = new Uint8Array((rowBytes + 1) * height); // Filter 0 before each row.
  for (let y = 0; y < height; y++) raw.set(data.subarray(y * rowBytes, (y + 1) * rowBytes), y * (rowBytes + 1) + 1);
  const header = new Uint8Array(13);
  const view = new DataView(header.buffer);
  view.setUint32(0, width);
  view.setUint32(4, height);
  header[8] = 8;
  header[9] = channels === 1 ? GREY : RGB;
  const packed = await deflate([raw], "deflate");
  return joinBytes([
    Uint8Array.from(SIGNATURE),
    chunk("IHDR", header),
    chunk("IDAT", packed),
    chunk("IEND", new Uint8Array(0)),
  ]);
}

function chunk(type: string, data: Uint8Array): Uint8Array {
  const bytes = new Uint8Array(data.length + 12);
  const view = new DataView(bytes.buffer);
  view.setUint32(0, data.length);
  for (let i = 0; i < 4; i++) bytes[4 + i] = type.charCodeAt(i);
  bytes.set(data, 8);
  view.setUint32(data.length + 8, crc32(bytes.subarray(4, data.length + 8)));
  return bytes;
}

const crcTable = Uint32Array.from({ length: 256 }, (_, n) => {
  let c = n;
  for (let k = 0; k < 8; k++) c = c & 1 ? 0xedb88320 ^ (c >>> 1) : c >>> 1;
  return c;
});

/** CRC-32 of ISO 3309, as in the PNG specification, annex D. */
function crc32(bytes: Uint8Array): number {
  let crc = 0xffffffff;
  for (let i = 0; i < bytes.length; i++) crc = crcTable[(crc ^ bytes[i]) & 255] ^ (crc >>> 8);
  return ~crc >>> 0;
}
