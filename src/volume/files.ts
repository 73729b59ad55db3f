import { open } from "node:fs/promises";
import { fail } from "../util/errors.ts";
import { explainFileError, readBytes, writeFileAtomic } from "../util/files.ts";
import { identityAffine } from "./affine.ts";
import { readNifti, readNiftiHeader, writeNifti } from "./nifti.ts";
import { decodePng, encodePng, readPngHeader } from "./png.ts";
import type { Vec3, Volume } from "./volume.ts";

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

/** File name endings that {@link readVolume} understands. */
export const scanExtensions = [".nii.gz", ".nii", ".png"] as const;

/** The ending of a scan's file name, or null when lunet does not read such files. */
export function scanExtension(path: string): (typeof scanExtensions)[number] | null {
  return scanExtensions.find((extension) => path.toLowerCase().endsWith(extension)) ?? null;
}

function checkedExtension(path: string, verb: string): string {
  return scanExtension(path) ?? fail(`Cannot ${verb} ${path}: expected a name ending in ${scanExtensions.join(", ")}.`);
}

/**
 * Reads a scan of one volume (2D or 3D, or 4D with one volume). PNG gives shape [1, H, W] and the identity affine. Throws a
 * UserError for files that are missing, damaged, or hold several volumes.
 */
export async function readVolume(path: string): Promise<Volume> {
  const volumes = await readChannels(path);
  if (volumes.length > 1)
    fail(`${path}: holds ${volumes.length} volumes; expected one: split it into a file per channel.`);
  return volumes[0];
}

/** Reads every volume of a file: the channels of a 4D NIfTI, else a list of one. They share one memory. */
export async function readChannels(path: string): Promise<Volume[]> {
  const extension = checkedExtension(path, "read");
  const bytes = await readBytes(path);
  if (extension !== ".png") return (await readNifti(bytes, path)).volumes;
  const { data, width, height } = await decodePng(bytes, path);
  return [{ data, shape: [1, height, width], affine: identityAffine() }];
}

/** Reads shape, geometry and voxel type from the beginning of the file. */
export async function readHeader(path: string): Promise<ScanHeader> {
  const extension = checkedExtension(path, "read");
  const start = await readStart(path, 1 << 16).catch((error) => {
    throw explainFileError(error, path) ?? error;
  });
  if (extension === ".png") {
    const { width, height, bits } = readPngHeader(start, path);
    const type = bits === 16 ? "uint16" : "uint8";
    return { shape: [1, height, width], affine: identityAffine(), channels: 1, type };
  }
  const { shape, affine, volumes: channels, type } = await readNiftiHeader(start, path);
  return { shape, affine, channels, type };
}

/**
 * Writes a volume as .nii, .nii.gz, or .png (one slice of Uint8Array only), whole or not at all. Missing folders
 * are made.
 */
export async function writeVolume(path: string, volume: Volume): Promise<void> {
  const extension = checkedExtension(path, "write");
  const bytes =
    extension === ".png" ? await pngOf(path, volume) : await writeNifti(volume, { gzip: extension === ".nii.gz" });
  await writeFileAtomic(path, bytes);
}

async function pngOf(path: string, { data, shape }: Volume): Promise<Uint8Array> {
  if (!(data instanceof Uint8Array) || shape[0] !== 1) {
    return fail(
      `Cannot write ${path}: PNG takes one slice of 8-bit voxels; got ${data.constructor.name} [${shape.join(", ")}]: use .nii.gz.`,
    );
  }
  return encodePng({ width: shape[2], height: shape[1], channels: 1, data });
}

async function readStart(path: string, length: number): Promise<Uint8Array> {
  const file = await open(path);
  try {
    const { buffer, bytesRead } = await file.read(new Uint8Array(length), 0, length, 0);
    return buffer.subarray(0, bytesRead);
  } finally {
    await file.close();
  }
}
