import { existsSync } from "node:fs";
import { readdir, stat } from "node:fs/promises";
import { basename, dirname, join } from "node:path";
import type { DataSet } from "dicom-parser";
import { fail, UserError } from "../util/errors.ts";
import { explainFileError, readBytes, readStart } from "../util/files.ts";
import { warnOnce } from "../util/warn.ts";
import { scanExtension } from "../volume/extensions.ts";
import type { ScanHeader } from "../volume/files.ts";
import type { Volume } from "../volume/volume.ts";
import { type DicomImage, imageOf } from "./image.ts";
import { isDicom, parseDicom } from "./parse.ts";
import { groupSeries, readSeries, type Series, seriesTitle } from "./series.ts";
import { isZip, readZip } from "./zip.ts";

/** What a folder, an archive or a single file holds. */
export interface DicomFolder {
  series: Series[];
  /** DICOM files without a picture (reports, directories). */
  withoutImage: number;
  /** Files that are not DICOM. */
  others: number;
  /** DICOM files that could not be read. */
  damaged: DamagedFile[];
}

export interface DamagedFile {
  name: string;
  sentence: string;
  /** Series Instance UID, where what could be read tells it. */
  series?: string;
}

/** A folder, an archive or a file, opened: an archive is unpacked once. */
export interface Place {
  path: string;
  archive?: ReadonlyMap<string, Uint8Array>;
}

/** Bytes that hold the header of nearly every image. */
const HEADER_BYTES = 1 << 18;
const MAX_DEPTH = 12;

type Source = { name: string; start: Uint8Array; whole: () => Promise<Uint8Array> };

/** `path#SERIES`, SERIES a series number or UID, chooses one of several. A path that exists as it is chooses none. */
export function splitChoice(path: string): { path: string; choice?: string } {
  const match = /^(.*)#([\d.]+)$/.exec(path);
  return match && !existsSync(path) ? { path: match[1], choice: match[2] } : { path };
}

/** True for a DICOM file, a zip archive, and a folder in which, or in whose folders, a DICOM file lies. `#SERIES` may follow. */
export async function holdsDicom(path: string): Promise<boolean> {
  const place = splitChoice(path).path;
  const info = await stat(place).catch(() => undefined);
  if (!info?.isDirectory()) return info?.isFile() ? startsAsDicom(place) : false;
  for await (const file of walk(place)) {
    // Files of other formats are known by their names: folders of thousands of them are not opened one by one.
    if (!scanExtension(file) && isDicom(await readStart(file, 256))) return true;
  }
  return false;
}

async function startsAsDicom(path: string): Promise<boolean> {
  const start = await readStart(path, 256);
  return isDicom(start) || isZip(start);
}

/** True where a path stands for one scan: a chosen series, a file, an archive, or a folder that has DICOM files itself or one series below. */
export async function isOneScan(path: string): Promise<boolean> {
  if (!(await stat(path).catch(() => undefined))?.isDirectory()) return true;
  for (const name of await readdir(path)) {
    const file = join(path, name);
    const plain = (await stat(file).catch(() => undefined))?.isFile();
    if (plain && isDicom(await readStart(file, 256))) return true;
  }
  if (await holdsSeveral(path)) return false;
  return (await listSeries(path)).series.filter(({ modality }) => modality !== "SEG").length === 1;
}

/** Looks at one file of each folder in a folder, so that an archive of a thousand patients is not read to its end. */
async function holdsSeveral(path: string): Promise<boolean> {
  const seen = new Set<string>();
  for (const entry of await readdir(path, { withFileTypes: true })) {
    if (!entry.isDirectory()) continue;
    const image = await firstImage(join(path, entry.name));
    if (image && image.modality !== "SEG") seen.add(image.series);
    if (seen.size > 1) return true;
  }
  return false;
}

async function firstImage(folder: string): Promise<DicomImage | null> {
  for await (const source of sourcesOf({ path: folder })) {
    if (!isDicom(source.start)) continue;
    try {
      const image = imageOf(await headerOf(source), source.name);
      if (image) return image;
    } catch (error) {
      if (!(error instanceof UserError)) throw error;
    }
  }
  return null;
}

/** Lists the series of a folder (with the folders in it), a zip archive, or a file. UserError where there is no DICOM image. */
export async function listSeries(place: string | Place): Promise<DicomFolder> {
  const opened = typeof place === "string" ? await openPlace(place) : place;
  const { path } = opened;
  const images: DicomImage[] = [];
  const found = { withoutImage: 0, others: 0, damaged: [] as DamagedFile[] };
  for await (const source of sourcesOf(opened)) {
    if (!isDicom(source.start)) {
      found.others++;
      continue;
    }
    let header: DataSet | undefined;
    try {
      header = await headerOf(source);
      const image = imageOf(header, source.name);
      if (image) images.push(image);
      else found.withoutImage++;
    } catch (error) {
      if (!(error instanceof UserError)) throw error;
      const partial = header ?? (error.cause as { dataSet?: DataSet } | undefined)?.dataSet;
      const series = partial?.string("x0020000e")?.trim();
      found.damaged.push({ name: source.name, sentence: error.message, ...(series && { series }) });
    }
  }
  if (images.length === 0) {
    const without = found.withoutImage > 0 ? `, of them ${found.withoutImage} DICOM without a picture` : "";
    const reason = found.damaged[0]?.sentence ?? `files looked at: ${found.others + found.withoutImage}${without}`;
    fail(`${path}: no DICOM image found (${reason}); give the folder, archive or file of a scan.`);
  }
  return { series: groupSeries(images), ...found };
}

async function headerOf(source: Source): ReturnType<typeof parseDicom> {
  try {
    return await parseDicom(source.start, source.name, true);
  } catch {
    // A long header, or one whose end is packed: the whole file decides.
    return parseDicom(await source.whole(), source.name, true);
  }
}

/**
 * Reads the one scan of a folder, archive or file; `path#SERIES` chooses a series by its number or UID. Single pictures beside a
 * stack (localisers) do not count. Throws a UserError that names the series where there are several or none can be read.
 */
export async function readDicomVolume(path: string): Promise<Volume> {
  const { series, place } = await chooseSeries(path);
  const open = async ({ name }: DicomImage): ReturnType<typeof parseDicom> =>
    parseDicom(await bytesIn(place, name), name);
  return readSeries(series, path, open, warnOnce);
}

/** Shape, geometry and voxel type of the scan that {@link readDicomVolume} would read. */
export async function readDicomHeader(path: string): Promise<ScanHeader> {
  const { series } = await chooseSeries(path);
  const { stack } = series;
  if (typeof stack === "string") return fail(`${path}: ${seriesTitle(series)} ${stack}; expected a scan.`);
  return { shape: stack.shape, affine: stack.affine, channels: 1, type: stack.regrid ? "float32" : "int16" };
}

/** The series that a path stands for, and its place to read it from. UserErrors as {@link readDicomVolume}. */
export async function chooseSeries(path: string): Promise<{ series: Series; place: Place }> {
  const { path: place, choice } = splitChoice(path);
  const opened = await openPlace(place);
  const { series, damaged } = await listSeries(opened);
  const scans = series.filter(({ modality }) => modality !== "SEG");
  const stacks = scans.filter(({ stack }) => typeof stack === "string" || stack.slices.length > 1);
  let chosen = stacks.length > 0 ? stacks : scans;
  if (choice !== undefined) chosen = series.filter(({ number, uid }) => number === choice || uid === choice);
  if (chosen.length !== 1) {
    const list = chosen.length > 0 ? chosen : series;
    const unique = new Set(list.map(({ number }) => number)).size === list.length;
    const shown = list.map((one) => (unique ? seriesTitle(one) : `${seriesTitle(one)} ${one.uid}`)).join(", ");
    fail(
      choice === undefined
        ? `${place}: ${list.length} series, ${shown}; expected one: choose with ${place}#${(unique && list[0].number) || list[0].uid}.`
        : `${place}: ${chosen.length} series are ${choice}; expected one of ${shown}.`,
    );
  }
  checkHoles(chosen[0], damaged, place);
  return { series: chosen[0], place: opened };
}

/**
 * A slice that cannot be read would be a hole in the scan, and might lie at its end, where no gap tells. A file counts as one of the series
 * where its header names it, or tells nothing and it lies beside the series' files.
 */
function checkHoles({ uid, images }: Series, damaged: readonly DamagedFile[], place: string): void {
  const folders = new Set(images.map(({ name }) => dirname(name)));
  const isHole = ({ name, series }: DamagedFile): boolean =>
    series === undefined ? folders.has(dirname(name)) : series === uid;
  const holes = damaged.filter(isHole);
  if (holes.length > 0) {
    const them = holes.length === 1 ? "it" : "them";
    fail(
      `${place}: ${holes.length} of its DICOM files cannot be read (${reasonOf(holes[0])}); mend or remove ${them}.`,
    );
  }
  const others = damaged.filter((file) => !isHole(file));
  if (others.length > 0) {
    const what =
      others.length === 1 ? "1 DICOM file of another series" : `${others.length} DICOM files of other series`;
    warnOnce(
      `${place}: ${what} cannot be read (${reasonOf(others[0])}); the chosen series does not need ${others.length === 1 ? "it" : "them"}.`,
    );
  }
}

const reasonOf = ({ sentence }: DamagedFile): string => sentence.replace(/\.$/, "");

/** Unpacks an archive; folders and other files are read when they are asked for. */
export async function openPlace(path: string): Promise<Place> {
  const info = await stat(path).catch((error) => {
    throw explainFileError(error, path) ?? error;
  });
  if (info.isDirectory() || !isZip(await readStart(path, 4))) return { path };
  const entries = await readZip(await readBytes(path), path);
  return { path, archive: new Map(entries.map((entry) => [`${path}/${entry.path}`, entry.bytes])) };
}

/** The bytes of a file of a place, by the name that its image has. */
export async function bytesIn({ archive }: Place, name: string): Promise<Uint8Array> {
  return archive?.get(name) ?? readBytes(name);
}

async function* sourcesOf({ path, archive }: Place): AsyncGenerator<Source> {
  if (archive) {
    for (const [name, bytes] of archive) yield { name, start: bytes, whole: async () => bytes };
    return;
  }
  for await (const name of (await stat(path)).isDirectory() ? walk(path) : [path]) {
    yield { name, start: await readStart(name, HEADER_BYTES), whole: () => readBytes(name) };
  }
}

/** Plain files of a folder and the folders in it, in name order; links to folders are not followed. */
async function* walk(folder: string, depth = 0): AsyncGenerator<string> {
  const entries = await readdir(folder, { withFileTypes: true }).catch((error) => {
    throw explainFileError(error, folder) ?? error;
  });
  for (const entry of entries.sort((a, b) => (a.name < b.name ? -1 : 1))) {
    const path = join(folder, entry.name);
    if (basename(path).startsWith(".")) continue;
    if (entry.isDirectory() && depth < MAX_DEPTH) yield* walk(path, depth + 1);
    else if (entry.isFile() || (entry.isSymbolicLink() && (await stat(path).catch(() => null))?.isFile())) yield path;
  }
}
