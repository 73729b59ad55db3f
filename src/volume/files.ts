import { mkdir, readdir, rm, stat } from "node:fs/promises";
import { basename, dirname, join } from "node:path";
import { fail } from "../util/errors.ts";
import { explainFileError, readBytes, readJson, readStart, writeFileAtomic } from "../util/files.ts";
import { warnOnce } from "../util/warn.ts";
import { identityAffine } from "./affine.ts";
import { parseAnalyzeHeader, readAnalyze } from "./analyze.ts";
import { scanExtension, scanExtensions } from "./extensions.ts";
import { readMeta, writeMeta } from "./meta.ts";
import { parseMetaHeader } from "./meta-header.ts";
import { readNifti, readNiftiHeader, writeNifti } from "./nifti.ts";
import { readNrrd, writeNrrd } from "./nrrd.ts";
import { parseNrrdHeader } from "./nrrd-header.ts";
import { decodePng, decodePngChannels, encodePng, readPngHeader } from "./png.ts";
import type { RawScan, ReadScanOptions } from "./raw-scan.ts";
import { parseSpacing, SPACING_FILE, sliceOrder, stackAffine, stackPictures } from "./stack.ts";
import { MAX_TEXT_HEADER } from "./text-header.ts";
import { spacingOf, type Vec3, type Volume } from "./volume.ts";

/** What a scan's header says, without reading its voxels. */
export interface ScanHeader {
  /** [D, H, W]. */
  shape: Vec3;
  affine: Float64Array;
  /** Volumes of a 4D file, else 1. */
  channels: number;
  /** Voxel type in the file, e.g. "int16". */
  type: string;
}

function checkedExtension(path: string): (typeof scanExtensions)[number] {
  return scanExtension(path) ?? fail(`Cannot read ${path}: expected a name ending in ${scanExtensions.join(", ")}.`);
}

const textFormats = { ".nrrd": readNrrd, ".nhdr": readNrrd, ".mha": readMeta, ".mhd": readMeta, ".hdr": readAnalyze };
const textHeaders: Record<keyof typeof textFormats, (bytes: Uint8Array, name: string) => RawScan> = {
  ".nrrd": parseNrrdHeader,
  ".nhdr": parseNrrdHeader,
  ".mha": parseMetaHeader,
  ".mhd": parseMetaHeader,
  ".hdr": parseAnalyzeHeader,
};

/** True for a folder whose files are the PNG slices of one scan: PNG files and nothing else that lunet reads. */
export async function holdsSlices(path: string): Promise<boolean> {
  const info = await stat(path).catch(() => undefined);
  if (!info?.isDirectory()) return false;
  const endings = (await readdir(path)).filter((name) => !name.startsWith(".")).map(scanExtension);
  return endings.includes(".png") && endings.every((ending) => ending === ".png" || ending === null);
}

/**
 * Reads a scan of one volume (2D or 3D, or 4D with one volume). PNG gives shape [1, H, W] and the identity affine; a folder of
 * PNG slices is one scan. Throws a UserError for files that are missing, damaged, or hold several volumes.
 */
export async function readVolume(path: string): Promise<Volume> {
  const volumes = await readChannels(path);
  if (volumes.length > 1 && scanExtension(path) === ".png") {
    fail(`${path}: colour PNG; expected grey values: save it as 8-bit grey (labels: the label numbers).`);
  }
  if (volumes.length > 1)
    fail(`${path}: holds ${volumes.length} volumes; expected one: split it into a file per channel.`);
  return volumes[0];
}

/** Reads every volume of a file: the channels of a 4D file or the colours of a PNG, else a list of one. They may share one memory. */
export async function readChannels(path: string): Promise<Volume[]> {
  if (await holdsSlices(path)) return [await readStack(path)];
  const extension = checkedExtension(path);
  const bytes = await readBytes(path);
  if (extension === ".nii" || extension === ".nii.gz") return (await readNifti(bytes, path)).volumes;
  if (extension !== ".png") return textFormats[extension](bytes, path, readOptions(path));
  const pictures = await decodePngChannels(bytes, path);
  return pictures.map(({ data, width, height }) => ({ data, shape: [1, height, width], affine: identityAffine() }));
}

/** Reads shape, geometry and voxel type from the beginning of the file. */
export async function readHeader(path: string): Promise<ScanHeader> {
  if (await holdsSlices(path)) return readStackHeader(path);
  const extension = checkedExtension(path);
  const nifti = extension === ".nii" || extension === ".nii.gz";
  const start = await readStart(path, nifti ? 1 << 16 : MAX_TEXT_HEADER);
  if (extension === ".png") {
    const { width, height, bits } = readPngHeader(start, path);
    const type = bits === 16 ? "uint16" : "uint8";
    return { shape: [1, height, width], affine: identityAffine(), channels: 1, type };
  }
  if (!nifti) {
    const { shape, affine, channels, type } = textHeaders[extension](start, path);
    return { shape, affine, channels, type };
  }
  const { shape, affine, volumes: channels, type } = await readNiftiHeader(start, path);
  return { shape, affine, channels, type };
}

/** Doubts are said once a process on stderr; data files lie in the header's own folder, so that no header reaches elsewhere. */
function readOptions(path: string): ReadScanOptions {
  return {
    warn: warnOnce,
    open: async (file) => {
      const part = join(dirname(path), file);
      if (basename(file) !== file || file.includes("\0")) {
        fail(`${path}: its voxels lie in "${file}"; expected a file in the same folder: put both there.`);
      }
      const info = await stat(part).catch(async (error) => {
        if (file.endsWith(".img"))
          return stat(`${part}.gz`).then(
            () => null,
            () => fail(missingPart(path, file)),
          );
        throw error.code === "ENOENT" ? fail(missingPart(path, file)) : (explainFileError(error, part) ?? error);
      });
      if (info && !info.isFile()) fail(`${part} is no plain file; expected the voxels that ${path} names.`);
      return readBytes(info ? part : `${part}.gz`);
    },
  };
}

const missingPart = (path: string, file: string): string =>
  `${path}: its voxels lie in ${file}, which is not beside it; copy that file there too.`;

async function sliceFiles(folder: string): Promise<string[]> {
  const names = (await readdir(folder)).filter((name) => !name.startsWith(".") && scanExtension(name) === ".png");
  return sliceOrder(names).map((name) => join(folder, name));
}

async function stackSpacing(folder: string): Promise<Vec3> {
  const path = join(folder, SPACING_FILE);
  const value = await readJson(path).catch((error) => {
    if (error.cause?.code === "ENOENT") return undefined;
    throw error;
  });
  if (value !== undefined) return parseSpacing(value, path);
  warnOnce(
    `${folder}: pictures do not say how far apart they lie; 1 mm is taken along every axis: put the sizes into ` +
      `${SPACING_FILE}, {"spacing": [between slices, rows, columns]}.`,
  );
  return [1, 1, 1];
}

async function readStack(folder: string): Promise<Volume> {
  const files = await sliceFiles(folder);
  const pictures = [];
  for (const file of files) pictures.push(await decodePng(await readBytes(file), file));
  return stackPictures(pictures, files, await stackSpacing(folder));
}

async function readStackHeader(folder: string): Promise<ScanHeader> {
  const files = await sliceFiles(folder);
  const { shape, type } = await readHeader(files[0]);
  const affine = stackAffine(await stackSpacing(folder));
  return { shape: [files.length, shape[1], shape[2]], affine, channels: 1, type };
}

/** File name endings that {@link writeVolume} understands. */
const writtenExtensions = [".nii.gz", ".nii", ".nrrd", ".mha", ".png"];

/**
 * Writes a volume as .nii, .nii.gz, .nrrd, .mha, or .png (one slice of Uint8Array only), whole or not at all. Missing folders
 * are made.
 */
export async function writeVolume(path: string, volume: Volume): Promise<void> {
  const extension = scanExtension(path) ?? "";
  if (!writtenExtensions.includes(extension)) {
    fail(`Cannot write ${path}: expected a name ending in ${writtenExtensions.join(", ")}.`);
  }
  const write = { ".nrrd": writeNrrd, ".mha": writeMeta, ".png": (one: Volume) => pngOf(path, one) };
  const bytes =
    extension in write
      ? await write[extension as keyof typeof write](volume)
      : await writeNifti(volume, { gzip: extension === ".nii.gz" });
  await writeFileAtomic(path, bytes);
}

/** Writes a volume of Uint8Array as a folder of PNG slices 0001.png, 0002.png, ... with their spacing; later slices of an earlier scan go. */
export async function writeStack(folder: string, volume: Volume): Promise<void> {
  const [d, h, w] = volume.shape;
  const { data } = volume;
  await mkdir(folder, { recursive: true }).catch((error) => {
    throw explainFileError(error, folder) ?? error;
  });
  const name = (slice: number): string => `${String(slice + 1).padStart(4, "0")}.png`;
  for (let k = 0; k < d; k++) {
    const slice = { data: data.subarray(k * h * w, (k + 1) * h * w), shape: [1, h, w] as Vec3, affine: volume.affine };
    await writeVolume(join(folder, name(k)), slice);
  }
  await writeFileAtomic(join(folder, SPACING_FILE), `${JSON.stringify({ spacing: spacingOf(volume) })}\n`);
  const later = (await readdir(folder)).filter((file) => /^\d{4,}\.png$/.test(file) && Number.parseInt(file, 10) > d);
  for (const file of later) await rm(join(folder, file));
}

async function pngOf(path: string, { data, shape }: Volume): Promise<Uint8Array> {
  if (!(data instanceof Uint8Array) || shape[0] !== 1) {
    return fail(
      `Cannot write ${path}: PNG takes one slice of 8-bit voxels; got ${data.constructor.name} [${shape.join(", ")}]: use .nii.gz.`,
    );
  }
  return encodePng({ width: shape[2], height: shape[1], channels: 1, data });
}
