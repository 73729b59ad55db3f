import { joinBytes } from "./arrays.ts";
import { deflate } from "./inflate.ts";
import { parseNrrdHeader } from "./nrrd-header.ts";
import { checkWritable, type ReadScanOptions, readRawScan } from "./raw-scan.ts";
import { lpsOf } from "./text-header.ts";
import type { Volume } from "./volume.ts";

const typeNames = {
  uint8: "uchar",
  int8: "signed char",
  uint16: "ushort",
  int16: "short",
  uint32: "uint",
  int32: "int",
  float32: "float",
  float64: "double",
};

/**
 * Reads a NRRD scan (.nrrd, or .nhdr with its data file got by `options.open`): raw or gzip, either byte order, one volume
 * a channel. Throws a UserError that begins with `name` for any file that cannot be read whole.
 */
export async function readNrrd(bytes: Uint8Array, name: string, options: ReadScanOptions = {}): Promise<Volume[]> {
  return readRawScan(parseNrrdHeader(bytes, name), bytes, name, options);
}

/** A NRRD0004 file with its header attached, packed by gzip, in LPS; the affine is kept to the last bit. */
export async function writeNrrd(volume: Volume): Promise<Uint8Array> {
  const { type, bytes } = checkWritable(volume, "NRRD");
  const { columns, origin } = lpsOf(volume.affine);
  const vector = (values: readonly number[]): string => `(${values.join(",")})`;
  const [d, h, w] = volume.shape;
  const header = [
    "NRRD0004",
    `type: ${typeNames[type]}`,
    "dimension: 3",
    "space: left-posterior-superior",
    `sizes: ${w} ${h} ${d}`,
    `space directions: ${columns.map(vector).join(" ")}`,
    "kinds: domain domain domain",
    "endian: little",
    "encoding: gzip",
    `space origin: ${vector(origin)}`,
    "",
    "",
  ].join("\n");
  const packed = await deflate([bytes], "gzip");
  return joinBytes([new TextEncoder().encode(header), packed]);
}
