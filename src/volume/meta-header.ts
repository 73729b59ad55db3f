import { fail } from "../util/errors.ts";
import { checkAffine, type RawScan } from "./raw-scan.ts";
import { affineFrom, parseNumbers, parseSizes, readTextLines, shorten } from "./text-header.ts";
import { type VoxelType, voxelBytes } from "./voxel-types.ts";

/** Element types of MetaImage; its "long" has 4 bytes on disk. */
const types: Record<string, VoxelType> = {
  MET_CHAR: "int8",
  MET_UCHAR: "uint8",
  MET_SHORT: "int16",
  MET_USHORT: "uint16",
  MET_INT: "int32",
  MET_UINT: "uint32",
  MET_LONG: "int32",
  MET_ULONG: "uint32",
  MET_LONG_LONG: "int64",
  MET_ULONG_LONG: "uint64",
  MET_FLOAT: "float32",
  MET_DOUBLE: "float64",
};

/**
 * Reads the header of a MetaImage (ITK's MetaIO, .mha and .mhd): 2 or 3 axes, or 4 with channels last. As in ITK, Offset is the
 * position of the first voxel in LPS mm, TransformMatrix holds the direction of one axis after the other, and
 * CenterOfRotation moves nothing. Throws a UserError that begins with `name` for anything else.
 */
export function parseMetaHeader(bytes: Uint8Array, name: string): RawScan {
  const { lines, end, complete } = readTextLines(bytes, (line) => /^\s*ElementDataFile\s*=/.test(line));
  const first = lines[0] ?? "";
  if (!/^\s*[A-Za-z]\w{2,40}\s*=/.test(first))
    fail(`${name}: not a MetaImage, it does not begin with "Key = value" lines.`);
  if (!complete) fail(`${name}: the MetaImage header ends without ElementDataFile; the file is cut short or damaged.`);
  const fields = fieldsOf(lines, name);
  const get = (...keys: string[]): string | undefined => keys.map((key) => fields.get(key)).find((value) => value);
  const need = (key: string): string =>
    get(key) ?? fail(`${name}: the MetaImage header has no ${key}; it is damaged or cut short.`);
  const isTrue = (...keys: string[]): boolean => /^(true|t|1)$/i.test(get(...keys) ?? "");

  const object = get("ObjectType") ?? "Image";
  if (object !== "Image") fail(`${name}: a MetaIO object of type ${shorten(object)}; expected Image.`);
  if (get("BinaryData") !== undefined && !isTrue("BinaryData")) {
    fail(`${name}: voxels written as text (BinaryData = False); expected binary ones: save the file again.`);
  }
  const [dimension] = parseNumbers(need("NDims"), 1, "NDims", name);
  if (![2, 3, 4].includes(dimension)) fail(`${name}: NDims = ${dimension}; expected 2 or 3, or 4 with channels last.`);
  const sizes = parseSizes(need("DimSize"), dimension, "DimSize", name);
  const type = types[need("ElementType")];
  if (!type)
    fail(`${name}: ElementType ${shorten(need("ElementType"))}; expected one number a voxel, MET_CHAR to MET_DOUBLE.`);
  const [parallel] = parseSizes(get("ElementNumberOfChannels") ?? "1", 1, "ElementNumberOfChannels", name);
  if (parallel > 1 && dimension === 4)
    fail(`${name}: a fourth axis and ${parallel} channels a voxel; expected one of them.`);
  const slope = parseNumbers(
    get("ElementToIntensityFunctionSlope") ?? "1",
    1,
    "ElementToIntensityFunctionSlope",
    name,
  )[0];
  const shift = parseNumbers(
    get("ElementToIntensityFunctionOffset") ?? "0",
    1,
    "ElementToIntensityFunctionOffset",
    name,
  )[0];
  if (slope !== 1 || shift !== 0) {
    fail(
      `${name}: an intensity function (${slope} x + ${shift}) that programs treat differently; apply it and save again.`,
    );
  }
  const [w, h, d = 1, t = 1] = sizes;
  const compressed = isTrue("CompressedData");
  return {
    shape: [d, h, w],
    channels: Math.max(parallel, t),
    interleaved: parallel > 1,
    type,
    littleEndian: voxelBytes[type] === 1 || !isTrue("BinaryDataByteOrderMSB", "ElementByteOrderMSB"),
    slope: 1,
    intercept: 0,
    affine: checkAffine(affineOf(get, dimension, name), name),
    notes: [],
    ...layout(get, need("ElementDataFile"), end, compressed, name),
  };
}

function fieldsOf(lines: readonly string[], name: string): Map<string, string> {
  const fields = new Map<string, string>();
  for (const line of lines) {
    if (line.trim() === "") continue;
    const at = line.indexOf("=");
    if (at < 0) fail(`${name}: "${shorten(line)}" is no line of a MetaImage header; the file is damaged.`);
    fields.set(line.slice(0, at).trim(), line.slice(at + 1).trim());
  }
  return fields;
}

type Get = (...keys: string[]) => string | undefined;

function affineOf(get: Get, n: number, name: string): Float64Array {
  const list = (keys: string[], count: number): number[] | undefined => {
    const text = get(...keys);
    return text === undefined ? undefined : parseNumbers(text, count, keys[0], name);
  };
  const spacing = list(["ElementSpacing", "ElementSize"], n) ?? Array.from({ length: n }, () => 1);
  const matrix = list(["TransformMatrix", "Rotation", "Orientation"], n * n);
  const origin = list(["Offset", "Position", "Origin"], n) ?? [];
  const axes = Math.min(n, 3);
  const columns = Array.from({ length: axes }, (_, axis) =>
    Array.from({ length: axes }, (_, r) => (matrix ? matrix[axis * n + r] : Number(axis === r)) * spacing[axis]),
  );
  return affineFrom(columns, origin.slice(0, axes), "LPS");
}

function layout(
  get: Get,
  dataFile: string,
  end: number,
  compressed: boolean,
  name: string,
): Pick<RawScan, "packing" | "dataFile" | "dataStart" | "skip"> {
  const local = /^local$/i.test(dataFile);
  if (!local && /^LIST\b|%/.test(dataFile)) {
    fail(
      `${name}: voxels spread over several files ("${shorten(dataFile)}"); expected one: save the scan as one file.`,
    );
  }
  const [skip] = parseNumbers(get("HeaderSize") ?? "0", 1, "HeaderSize", name);
  if (!Number.isSafeInteger(skip) || skip < -1 || (compressed && skip !== 0)) {
    fail(`${name}: HeaderSize = ${skip} is impossible here; expected 0, or for plain voxels -1 or a number of bytes.`);
  }
  return {
    packing: compressed ? "deflate" : "raw",
    dataFile: local ? null : dataFile,
    dataStart: local ? end : 0,
    skip,
  };
}
