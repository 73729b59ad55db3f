/**
 * DICOM files for tests, put together from PS3.5 and PS3.10 alone: nothing of the reader under test is used here. Explicit VR, little
 * endian unless `big`.
 */
export type Value = string | number[] | Uint8Array | Elements[];
/** "ggggeeee VR" to value: text, 16-bit numbers, bytes, or the items of a sequence. */
export type Elements = Record<string, Value>;

const long = ["OB", "OW", "SQ", "UN"];

function elementBytes(key: string, value: Value, big: boolean): number[] {
  const vr = key.slice(9);
  const short = (n: number): number[] => (big ? [(n >> 8) & 255, n & 255] : [n & 255, (n >> 8) & 255]);
  const int = (n: number): number[] => (big ? [...short(n >>> 16), ...short(n)] : [...short(n), ...short(n >>> 16)]);
  const tag = [...short(Number.parseInt(key.slice(0, 4), 16)), ...short(Number.parseInt(key.slice(4, 8), 16))];
  const codes = [vr.charCodeAt(0), vr.charCodeAt(1)];
  let body: number[];
  if (vr === "SQ") {
    body = (value as Elements[]).flatMap((item) => {
      const content = datasetBytes(item, big);
      return [...short(0xfffe), ...short(0xe000), ...int(content.length), ...content];
    });
  } else if (typeof value === "string") body = [...new TextEncoder().encode(value)];
  else if (value instanceof Uint8Array) body = [...value];
  else body = (value as number[]).flatMap(short);
  if (body.length % 2) body.push(vr === "UI" || vr === "OB" ? 0 : 32);
  const length = long.includes(vr) ? [0, 0, ...int(body.length)] : short(body.length);
  return [...tag, ...codes, ...length, ...body];
}

export function datasetBytes(elements: Elements, big = false): number[] {
  return Object.entries(elements)
    .sort(([a], [b]) => (a < b ? -1 : 1))
    .flatMap(([key, value]) => elementBytes(key, value, big));
}

/** A file of part 10 around the bytes of a data set. */
export function part10(syntax: string, dataset: ArrayLike<number>): Uint8Array {
  const meta = datasetBytes({ "00020010 UI": syntax });
  const head = [...new Array(128).fill(0), ...new TextEncoder().encode("DICM")];
  return Uint8Array.from([...head, 2, 0, 0, 0, 85, 76, 4, 0, meta.length, 0, 0, 0, ...meta, ...Array.from(dataset)]);
}

export const EXPLICIT = "1.2.840.10008.1.2.1";

/** Pixels of a slice of 4 columns x 3 rows: 100 k + index. */
export const slicePixels = (k: number): number[] => Array.from({ length: 12 }, (_, i) => 100 * k + i);

/** The elements of slice k of a small CT: 0.5 x 0.75 mm pixels, slices 2 mm apart upwards, stored values 100 k + index. */
export function sliceElements(k: number, change: Elements = {}): Elements {
  return {
    "00080018 UI": `1.2.3.${k + 1}`,
    "00080060 CS": "CT",
    "0008103E LO": "HEAD",
    "0020000D UI": "1.2.3",
    "0020000E UI": "1.2.3.4",
    "00200011 IS": "7",
    "00200013 IS": `${k + 1}`,
    "00200032 DS": `-10\\20\\${30 + 2 * k}`,
    "00200037 DS": "1\\0\\0\\0\\1\\0",
    "00280002 US": [1],
    "00280004 CS": "MONOCHROME2",
    "00280010 US": [3],
    "00280011 US": [4],
    "00280030 DS": "0.75\\0.5",
    "00280100 US": [16],
    "00280101 US": [16],
    "00280102 US": [15],
    "00280103 US": [1],
    "00281052 DS": "-1000",
    "00281053 DS": "1",
    "7FE00010 OW": slicePixels(k),
    ...change,
  };
}

export const sliceFile = (k: number, change: Elements = {}): Uint8Array =>
  part10(EXPLICIT, datasetBytes(sliceElements(k, change)));

/** Pixel data packed frame by frame (PS3.5 annex A.4): an empty offset table, then a fragment a frame. */
export function encapsulated(frames: readonly Uint8Array[]): number[] {
  const item = (bytes: ArrayLike<number>): number[] => {
    const n = bytes.length + (bytes.length % 2);
    const body = [...Array.from(bytes), ...(bytes.length % 2 ? [0] : [])];
    return [0xfe, 0xff, 0, 0xe0, n & 255, (n >> 8) & 255, (n >> 16) & 255, 0, ...body];
  };
  const start = [0xe0, 0x7f, 0x10, 0, 79, 66, 0, 0, 255, 255, 255, 255];
  return [...start, ...item([]), ...frames.flatMap(item), 0xfe, 0xff, 0xdd, 0xe0, 0, 0, 0, 0];
}

/** A slice file whose pixels are packed. */
export function packedFile(syntax: string, frames: readonly Uint8Array[], change: Elements = {}): Uint8Array {
  const { "7FE00010 OW": _, ...rest } = sliceElements(0, change);
  return part10(syntax, [...datasetBytes(rest), ...encapsulated(frames)]);
}
