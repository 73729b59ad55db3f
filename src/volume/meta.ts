import { columnLengths } from "./affine.ts";
import { joinBytes } from "./arrays.ts";
import { deflate } from "./inflate.ts";
import { parseMetaHeader } from "./meta-header.ts";
import { checkWritable, type ReadScanOptions, readRawScan } from "./raw-scan.ts";
import { lpsOf } from "./text-header.ts";
import type { Volume } from "./volume.ts";

const typeNames = {
  uint8: "MET_UCHAR",
  int8: "MET_CHAR",
  uint16: "MET_USHORT",
  int16: "MET_SHORT",
  uint32: "MET_UINT",
  int32: "MET_INT",
  float32: "MET_FLOAT",
  float64: "MET_DOUBLE",
};

/**
 * Reads a MetaImage (.mha, or .mhd with its data file got by `options.open`): plain or zlib, either byte order, one volume a
 * channel. Throws a UserError that begins with `name` for any file that cannot be read whole.
 */
export async function readMeta(bytes: Uint8Array, name: string, options: ReadScanOptions = {}): Promise<Volume[]> {
  return readRawScan(parseMetaHeader(bytes, name), bytes, name, options);
}

/**
 * A MetaImage with its voxels behind the header, packed by zlib, in LPS. The affine is kept as directions times spacings: to
 * about 1e-15 of a voxel's size. Shears are written as they are; ITK refuses them when it reads.
 */
export async function writeMeta(volume: Volume): Promise<Uint8Array> {
  const { type, bytes } = checkWritable(volume, "MetaImage");
  const { columns, origin } = lpsOf(volume.affine);
  const spacing = columnLengths(volume.affine);
  const [d, h, w] = volume.shape;
  const packed = await deflate([bytes], "deflate");
  const header = [
    "ObjectType = Image",
    "NDims = 3",
    "BinaryData = True",
    "BinaryDataByteOrderMSB = False",
    "CompressedData = True",
    `CompressedDataSize = ${packed.length}`,
    `TransformMatrix = ${columns.flatMap((column, axis) => column.map((value) => value / spacing[axis])).join(" ")}`,
    `Offset = ${origin.join(" ")}`,
    "CenterOfRotation = 0 0 0",
    `ElementSpacing = ${spacing.join(" ")}`,
    `DimSize = ${w} ${h} ${d}`,
    `ElementType = ${typeNames[type]}`,
    "ElementDataFile = LOCAL",
    "",
  ].join("\n");
  return joinBytes([new TextEncoder().encode(header), packed]);
}
