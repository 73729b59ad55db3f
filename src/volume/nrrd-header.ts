import { fail } from "../util/errors.ts";
import { checkAffine, type RawScan } from "./raw-scan.ts";
import { affineFrom, parseNumbers, parseSizes, readTextLines, shorten, type toRas } from "./text-header.ts";
import type { Vec3 } from "./volume.ts";
import { type VoxelType, voxelBytes } from "./voxel-types.ts";

/** Type names of the NRRD format and their longer forms. */
const types: Record<string, VoxelType> = {};
const names: [VoxelType, string][] = [
  ["int8", "signed char, int8, int8_t"],
  ["uint8", "uchar, unsigned char, uint8, uint8_t"],
  ["int16", "short, short int, signed short, signed short int, int16, int16_t"],
  ["uint16", "ushort, unsigned short, unsigned short int, uint16, uint16_t"],
  ["int32", "int, signed int, int32, int32_t"],
  ["uint32", "uint, unsigned int, uint32, uint32_t"],
  ["int64", "longlong, long long, long long int, signed long long, signed long long int, int64, int64_t"],
  ["uint64", "ulonglong, unsigned long long, unsigned long long int, uint64, uint64_t"],
  ["float32", "float"],
  ["float64", "double"],
];
for (const [type, list] of names) for (const name of list.split(", ")) types[name] = type;

const spaces: Record<string, keyof typeof toRas> = {
  "right-anterior-superior": "RAS",
  ras: "RAS",
  "left-anterior-superior": "LAS",
  las: "LAS",
  "left-posterior-superior": "LPS",
  lps: "LPS",
};

/** mm per space unit; what is not here is taken as mm. */
const unitScales: Record<string, number> = { m: 1000, cm: 10, um: 0.001, µm: 0.001, micron: 0.001, microns: 0.001 };

const spatialKinds = ["domain", "space"];
/** Kinds whose samples are channels of their own, not parts of one colour, matrix or complex number. */
const channelKinds = ["list", "scalar", "vector", "covariant-vector", "time", "point", "normal", "stub", "none", "???"];

/** True when the bytes begin as a NRRD file does. */
const isNrrd = (bytes: Uint8Array): boolean => /^NRRD000\d/.test(String.fromCharCode(...bytes.subarray(0, 8)));

/**
 * Reads the header of a NRRD file (Teem's format definition, NRRD0001 to 0005): two or three spatial axes and, before or after
 * them, up to one axis of channels. Throws a UserError that begins with `name` for anything else.
 */
export function parseNrrdHeader(bytes: Uint8Array, name: string): RawScan {
  if (!isNrrd(bytes)) fail(`${name}: not a NRRD file, it does not begin with NRRD000 and a digit.`);
  const { lines, end, complete } = readTextLines(bytes, (line) => line === "");
  const fields = fieldsOf(lines, name);
  const need = (key: string): string =>
    fields.get(key) ?? fail(`${name}: the NRRD header has no field "${key}"; it is damaged or cut short.`);
  const dataFile = fields.get("datafile") ?? null;
  if (!complete && dataFile === null) fail(`${name}: the NRRD header does not end; the file is cut short or damaged.`);
  if (dataFile !== null && /^LIST\b|%|\s-?\d+\s+-?\d+\s+-?\d+/.test(dataFile)) {
    fail(
      `${name}: voxels spread over several files ("${shorten(dataFile)}"); expected one: save the scan as one file.`,
    );
  }
  const type = types[need("type").toLowerCase()];
  if (!type)
    fail(`${name}: voxels of type "${shorten(need("type"))}"; expected integers of 8 to 64 bits, float or double.`);
  const [dimension] = parseNumbers(need("dimension"), 1, "dimension", name);
  if (![2, 3, 4].includes(dimension)) {
    fail(`${name}: ${dimension} dimensions; expected 2 or 3, and one more for channels.`);
  }
  const sizes = parseSizes(need("sizes"), dimension, "sizes", name);
  const directions = directionsOf(fields.get("space directions"), dimension, name);
  const channelAxis = findChannelAxis(dimension, kindsOf(fields.get("kinds"), dimension, name), directions, name);
  const spatial = sizes.map((_, axis) => axis).filter((axis) => axis !== channelAxis);
  const [w, h, d = 1] = spatial.map((axis) => sizes[axis]);
  return {
    shape: [d, h, w],
    channels: channelAxis === undefined ? 1 : sizes[channelAxis],
    interleaved: channelAxis === 0,
    type,
    littleEndian: isLittle(fields.get("endian"), type, name),
    slope: 1,
    intercept: 0,
    ...geometry(fields, spatial, directions, dimension, name),
    ...layout(fields, bytes, dataFile, end, name),
    dataFile,
  };
}

/** Field names of the format have forms with and without blanks; key/value pairs (":=") and comments are passed over. */
function fieldsOf(lines: readonly string[], name: string): Map<string, string> {
  const fields = new Map<string, string>();
  for (const line of lines.slice(1)) {
    if (line === "" || line.startsWith("#") || /^[^:]*:=/.test(line)) continue;
    const at = line.indexOf(": ");
    const colon = at < 0 ? line.indexOf(":") : at;
    if (colon < 0) fail(`${name}: "${shorten(line)}" is no line of a NRRD header; the file is damaged.`);
    const key = line.slice(0, colon).trim().toLowerCase();
    const short = ["data file", "line skip", "byte skip"].includes(key) ? key.replace(" ", "") : key;
    fields.set(short, line.slice(colon + 1).trim());
  }
  return fields;
}

function isLittle(endian: string | undefined, type: VoxelType, name: string): boolean {
  const word = endian?.toLowerCase();
  if (word === "little" || (word === undefined && voxelBytes[type] === 1)) return true;
  if (word === "big") return false;
  return fail(`${name}: byte order "${endian ?? "not given"}"; expected "endian: little" or "endian: big".`);
}

/** One vector of mm for every axis, null where the axis has none. */
function directionsOf(text: string | undefined, dimension: number, name: string): (number[] | null)[] | undefined {
  if (text === undefined) return undefined;
  const words = text.match(/none|\([^)]*\)/gi) ?? [];
  if (words.length !== dimension) {
    fail(`${name}: "space directions: ${shorten(text)}" gives ${words.length} axes; expected ${dimension}.`);
  }
  return words.map((word) => (word.toLowerCase() === "none" ? null : vectorOf(word, "space directions", name)));
}

/** Numbers of "(1,0,0)". */
function vectorOf(text: string, field: string, name: string): number[] {
  const inner = /^\((.*)\)$/.exec(text.trim())?.[1] ?? "";
  const count = inner.split(",").length;
  if (count !== 2 && count !== 3) fail(`${name}: "${field}: ${shorten(text)}" is no vector of 2 or 3 numbers.`);
  return parseNumbers(inner.replaceAll(",", " "), count, field, name);
}

function kindsOf(text: string | undefined, dimension: number, name: string): string[] | undefined {
  const kinds = text?.toLowerCase().split(/\s+/);
  if (kinds && kinds.length !== dimension) {
    fail(`${name}: "kinds: ${shorten(text!)}" names ${kinds.length} axes; expected ${dimension}.`);
  }
  return kinds;
}

/** The axis that is not one of space: the one without a direction, else the one whose kind says so. */
function findChannelAxis(
  dimension: number,
  kinds: string[] | undefined,
  directions: (number[] | null)[] | undefined,
  name: string,
): number | undefined {
  let others = directions?.flatMap((direction, axis) => (direction ? [] : [axis]));
  others ??= kinds?.flatMap((kind, axis) =>
    spatialKinds.includes(kind) || kind === "none" || kind === "???" ? [] : [axis],
  );
  others ??= [];
  if (others.length === 0 && dimension < 4) return undefined;
  const axis = others[0];
  if (others.length !== 1 || dimension === 2) {
    return fail(
      `${name}: ${dimension - others.length} of ${dimension} axes lie in space; expected 2 or 3, and at most one more for ` +
        'channels: set "kinds" or "space directions" right.',
    );
  }
  if (axis !== 0 && axis !== dimension - 1) {
    fail(`${name}: channels along axis ${axis + 1} of ${dimension}; expected them first or last: save the file again.`);
  }
  const kind = kinds?.[axis] ?? "list";
  if (!channelKinds.includes(kind) && !/^[234]-vector$/.test(kind)) {
    fail(
      `${name}: voxels of kind "${shorten(kind)}"; expected one number a voxel and channel: convert the file first.`,
    );
  }
  return axis;
}

/**
 * Affine and what had to be assumed. Without "space" the axes are taken as left, posterior, superior, as ITK does; spacings
 * then give the voxel size.
 */
function geometry(
  fields: Map<string, string>,
  spatial: number[],
  directions: (number[] | null)[] | undefined,
  dimension: number,
  name: string,
): { affine: Float64Array; notes: string[] } {
  const named = fields.get("space")?.toLowerCase();
  const flat = fields.get("space dimension") === "2";
  if (named && /time$|^(ras|las|lps)t$/.test(named)) {
    fail(`${name}: space "${named}" has a time axis; expected three axes of space.`);
  }
  const space = (named && spaces[named]) || undefined;
  const notes =
    space || flat ? [] : [`the NRRD header names no anatomical space; its axes are taken as LPS, as ITK does.`];
  if (!directions) {
    const text = fields.get("spacings");
    const words = text?.split(/\s+/).filter((_, axis) => spatial.includes(axis)) ?? spatial.map(() => "1");
    const spacings = parseNumbers(
      words.map((word) => (/^nan$/i.test(word) ? "1" : word)).join(" "),
      spatial.length,
      "spacings",
      name,
    );
    if (text && text.split(/\s+/).length !== dimension)
      fail(`${name}: "spacings: ${shorten(text)}" does not fit ${dimension} axes.`);
    const columns = spacings.map((step, t): Vec3 => [t === 0 ? step : 0, t === 1 ? step : 0, t === 2 ? step : 0]);
    return { affine: checkAffine(affineFrom(columns, [0, 0, 0], space ?? "LPS"), name), notes };
  }
  const columns = spatial.map((axis) => directions[axis]!);
  const origin = fields.has("space origin") ? vectorOf(fields.get("space origin")!, "space origin", name) : [0, 0, 0];
  if (columns.some((column) => column.length !== (flat ? 2 : 3))) {
    fail(
      `${name}: "space directions" do not fit ${flat ? "two" : "three"} dimensions of space; repair the file's header.`,
    );
  }
  const scale = unitScales[/"([^"]*)"/.exec(fields.get("space units") ?? "")?.[1].toLowerCase() ?? ""] ?? 1;
  const scaled = (vector: number[]): number[] => vector.map((value) => value * scale);
  return { affine: checkAffine(affineFrom(columns.map(scaled), scaled(origin), space ?? "LPS"), name), notes };
}

function layout(
  fields: Map<string, string>,
  bytes: Uint8Array,
  dataFile: string | null,
  end: number,
  name: string,
): Pick<RawScan, "packing" | "dataStart" | "skip"> {
  const encoding = fields.get("encoding")?.toLowerCase() ?? "not given";
  const packing = encoding === "raw" ? "raw" : encoding === "gz" || encoding === "gzip" ? "gzip" : null;
  if (!packing) {
    return fail(`${name}: encoding "${shorten(encoding)}"; expected raw or gzip: save the file again.`);
  }
  const whole = (key: string, least: number): number => {
    const [value] = parseNumbers(fields.get(key) ?? "0", 1, key, name);
    if (Number.isSafeInteger(value) && value >= least) return value;
    return fail(`${name}: "${key}: ${value}" is impossible; expected a whole number of ${least} or more.`);
  };
  const skip = whole("byteskip", packing === "raw" ? -1 : 0);
  let dataStart = dataFile === null ? end : 0;
  const lines = whole("lineskip", 0);
  if (lines > 0 && dataFile !== null) {
    fail(`${name}: skips ${lines} lines of ${shorten(dataFile)}; expected voxels from its first byte or a byte skip.`);
  }
  for (let line = 0; line < lines; line++) {
    const next = bytes.indexOf(10, dataStart);
    if (next < 0) fail(`${name}: "line skip: ${lines}" goes past the end of the file; it is cut short or damaged.`);
    dataStart = next + 1;
  }
  return { packing, dataStart, skip };
}
