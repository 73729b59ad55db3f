import { fail } from "../util/errors.ts";
import { joinBytes } from "../volume/arrays.ts";

/** A value: text, 16-bit or 32-bit numbers by the VR, bytes as they are, or the items of a sequence. */
type Value = string | number[] | Uint8Array | Elements[];
/** "ggggeeee VR" to value. */
export type Elements = Record<string, Value>;

/** VRs whose length takes 32 bits (PS3.5, 7.1.2). */
const long = ["OB", "OW", "SQ", "UN", "UT"];

/** Explicit VR Little Endian. */
const SYNTAX = "1.2.840.10008.1.2.1";
/** Names this writer (PS3.7, D.3.3.2); a UID of its own. */
const IMPLEMENTATION = "2.25.144454678923632520729116194884254070610";

/** A DICOM file (PS3.10, clause 7) around a data set in Explicit VR Little Endian. */
export function dicomFile(dataset: Elements): Uint8Array {
  const meta = encode({
    "00020001 OB": Uint8Array.of(0, 1),
    "00020002 UI": dataset["00080016 UI"],
    "00020003 UI": dataset["00080018 UI"],
    "00020010 UI": SYNTAX,
    "00020012 UI": IMPLEMENTATION,
    "00020013 SH": "LUNET",
  });
  const start = new Uint8Array(132);
  start.set(new TextEncoder().encode("DICM"), 128);
  return joinBytes([start, encode({ "00020000 UL": [meta.length] }), meta, encode(dataset)]);
}

/** Elements in the order of their tags. */
function encode(elements: Elements): Uint8Array {
  const keys = Object.keys(elements).sort((a, b) => (a < b ? -1 : 1));
  return joinBytes(keys.flatMap((key) => elementParts(key, elements[key])));
}

function elementParts(key: string, value: Value): Uint8Array[] {
  const vr = key.slice(9);
  const body = bodyOf(vr, value);
  const length = body.length + (body.length % 2);
  if (length > (long.includes(vr) ? 2 ** 32 - 2 : 2 ** 16 - 2)) {
    fail(`Cannot write DICOM: ${key} takes ${length} bytes, more than its format can hold; write another format.`);
  }
  const head = new DataView(new ArrayBuffer(long.includes(vr) ? 12 : 8));
  head.setUint16(0, Number.parseInt(key.slice(0, 4), 16), true);
  head.setUint16(2, Number.parseInt(key.slice(4, 8), 16), true);
  head.setUint8(4, vr.charCodeAt(0));
  head.setUint8(5, vr.charCodeAt(1));
  if (long.includes(vr)) head.setUint32(8, length, true);
  else head.setUint16(6, length, true);
  const padding = body.length % 2 ? [Uint8Array.of(vr === "UI" || vr === "OB" ? 0 : 32)] : [];
  return [new Uint8Array(head.buffer), body, ...padding];
}

function bodyOf(vr: string, value: Value): Uint8Array {
  if (value instanceof Uint8Array) return value;
  if (typeof value === "string") return new TextEncoder().encode(value);
  if (vr === "SQ") return joinBytes((value as Elements[]).flatMap(itemParts));
  const numbers = value as number[];
  if (vr === "UL") return new Uint8Array(Uint32Array.from(numbers).buffer);
  return new Uint8Array(Uint16Array.from(numbers).buffer); // US, and AT as group and element
}

function itemParts(item: Elements): Uint8Array[] {
  const body = encode(item);
  const head = new DataView(new ArrayBuffer(8));
  head.setUint32(0, 0xe000fffe, true);
  head.setUint32(4, body.length, true);
  return [new Uint8Array(head.buffer), body];
}

/** A number as a Decimal String of at most 16 characters (PS3.5, 6.2), with all digits where they fit. */
export function decimal(value: number): string {
  for (let digits = 17; ; digits--) {
    const text = digits === 17 ? `${value}` : `${Number(value.toPrecision(digits))}`;
    if (text.length <= 16) return text;
  }
}
