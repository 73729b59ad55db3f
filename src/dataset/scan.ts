import { stat } from "node:fs/promises";
import { basename, resolve } from "node:path";
import { holdsDicom, readDicomHeader, readDicomVolume } from "../dicom/files.ts";
import { openSegmentationAt, startsAsSegmentation } from "../dicom/seg/files.ts";
import { scanExtension } from "../volume/extensions.ts";
import {
  holdsSlices,
  readChannels as readFileChannels,
  readHeader as readFileHeader,
  readVolume as readFileVolume,
  type ScanHeader,
} from "../volume/files.ts";
import type { Volume } from "../volume/volume.ts";
import type { Targets } from "./regions.ts";
import { labelMapOf, placeLabels } from "./segmentation.ts";

/** Whether a path is read as DICOM: no scan file by its name, and a folder, archive or file of DICOM. */
async function isDicomScan(path: string): Promise<boolean> {
  return scanExtension(path) === null && !(await holdsSlices(path)) && (await holdsDicom(path));
}

/** Reads a scan of one volume from any format that lunet reads: a file, a folder of PNG slices, or DICOM (`path#SERIES` chooses). */
export async function readVolume(path: string): Promise<Volume> {
  return (await isDicomScan(path)) ? readDicomVolume(path) : readFileVolume(path);
}

export interface LabelMapOptions {
  /** Names by which the segments of a DICOM segmentation become values. */
  targets?: Targets;
  /** The scan on whose grid a DICOM segmentation is put, where the lattices agree. */
  like?: Pick<Volume, "shape" | "affine">;
}

/** Reads a label map: as {@link readVolume} does, or a DICOM segmentation (see {@link labelMapOf}). */
export async function readLabelMap(path: string, { targets, like }: LabelMapOptions = {}): Promise<Volume> {
  const segmentation = (await isDicomScan(path)) ? await openSegmentationAt(path) : null;
  if (!segmentation) return readVolume(path);
  const map = await labelMapOf(segmentation, targets);
  return like ? placeLabels(map, like, path) : map;
}

/** Reads every channel of a scan; see {@link readVolume}. */
export async function readChannels(path: string): Promise<Volume[]> {
  return (await isDicomScan(path)) ? [await readDicomVolume(path)] : readFileChannels(path);
}

/** Shape, geometry and voxel type of a scan; see {@link readVolume}. */
export async function readHeader(path: string): Promise<ScanHeader> {
  return (await isDicomScan(path)) ? readDicomHeader(path) : readFileHeader(path);
}

/** True for a folder that is itself a scan: of PNG slices or of DICOM files. */
export async function isScanFolder(path: string): Promise<boolean> {
  const info = await stat(path).catch(() => undefined);
  return info?.isDirectory() === true && ((await holdsSlices(path)) || (await holdsDicom(path)));
}

/** True for a file of one DICOM segmentation, `.dcm` by its name. */
export async function isSegmentationFile(path: string): Promise<boolean> {
  return /\.dcm$/i.test(path) && (await startsAsSegmentation(path));
}

/** Name of a case that is a DICOM folder, archive or file: without the ending, and with the series that was chosen. */
export function dicomCaseId(path: string): string {
  return basename(resolve(path))
    .replace(/\.(zip|dcm)(?=#|$)/i, "")
    .replace("#", "-");
}
