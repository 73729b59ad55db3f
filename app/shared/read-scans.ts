import type { Targets } from "../../src/dataset/regions.ts";
import { labelMapOf, placeLabels } from "../../src/dataset/segmentation.ts";
import { type DicomImage, imageOf } from "../../src/dicom/image.ts";
import { isDicom, parseDicom } from "../../src/dicom/parse.ts";
import { openSegmentation } from "../../src/dicom/seg/read.ts";
import { groupSeries, readSeries, type Series, seriesTitle } from "../../src/dicom/series.ts";
import { isZip, readZip } from "../../src/dicom/zip.ts";
import { fail, UserError } from "../../src/util/errors.ts";
import { identityAffine } from "../../src/volume/affine.ts";
import { readAnalyze } from "../../src/volume/analyze.ts";
import { scanExtension, type scanExtensions } from "../../src/volume/extensions.ts";
import { readMeta } from "../../src/volume/meta.ts";
import { readNifti } from "../../src/volume/nifti.ts";
import { readNrrd } from "../../src/volume/nrrd.ts";
import { decodePng, decodePngChannels } from "../../src/volume/png.ts";
import { parseSpacing, SPACING_FILE, sliceOrder, stackPictures } from "../../src/volume/stack.ts";
import type { Vec3, Volume } from "../../src/volume/volume.ts";
import { bytes as bytesText, counted } from "./format.ts";
import { folderOf, groupFiles } from "./group-files.ts";
import type { NamedFile, Scan, ScanChoice } from "./scan.ts";

/** Bytes that are read in a page, packed or not; what a typed array of a browser surely holds. */
export const maxBytes = 2e9;

/** A scan that was found, read when it is wanted. */
export interface FoundScan extends ScanChoice {
  read(): Promise<Scan>;
  /** Of a DICOM segmentation: its label map on the grid of a scan. */
  labels?: (like: Volume, targets?: Targets) => Promise<Volume>;
}

/** DICOM headers end before this, or the whole file is read. */
const HEADER_BYTES = 1 << 18;

const formats: Record<(typeof scanExtensions)[number], string> = {
  ".nii.gz": "NIfTI",
  ".nii": "NIfTI",
  ".nrrd": "NRRD",
  ".nhdr": "NRRD",
  ".mha": "MetaImage",
  ".mhd": "MetaImage",
  ".hdr": "Analyze",
  ".png": "PNG",
};
const expected = "NIfTI, NRRD, MetaImage, Analyze, PNG or DICOM";

const nameOf = (path: string): string => path.slice(path.lastIndexOf("/") + 1);
const bytesOf = async (file: Blob): Promise<Uint8Array> => new Uint8Array(await file.arrayBuffer());
const startOf = (file: Blob, length: number): Promise<Uint8Array> => bytesOf(file.slice(0, length));

/**
 * The scans among some files: each DICOM series, each other file (those named `_0000`, `_0001`, ... are the channels of one), the PNG
 * slices of a folder. Zip archives count as folders. Throws a UserError where there is none, and for files too large for a page.
 */
export async function findScans(given: readonly NamedFile[]): Promise<FoundScan[]> {
  checkSize(given);
  const files = await unpack(given);
  const dicom: NamedFile[] = [];
  const named: NamedFile[] = [];
  for (const one of files) {
    if (nameOf(one.path).startsWith(".") || one.path.startsWith("__MACOSX/")) continue;
    if (scanExtension(one.path)) named.push(one);
    else if (isDicom(await startOf(one.file, 256))) dicom.push(one);
  }
  const found = [...(dicom.length > 0 ? await findSeries(dicom) : []), ...findNamed(named, files)];
  if (found.length > 0) return found;
  const [first] = files;
  const what = files.length === 1 ? `${nameOf(first.path)} is no scan` : `None of the ${files.length} files is a scan`;
  return fail(files.length === 0 ? `The folder is empty; expected ${expected}.` : `${what}; expected ${expected}.`);
}

function checkSize(files: readonly NamedFile[]): void {
  const large = files.find(({ file }) => file.size > maxBytes);
  if (large) {
    fail(
      `${nameOf(large.path)} has ${bytesText(large.file.size)}, and a page reads files of up to ${bytesText(maxBytes)}; ` +
        "use the command line (lunet predict) for it.",
    );
  }
}

async function unpack(files: readonly NamedFile[]): Promise<NamedFile[]> {
  const out: NamedFile[] = [];
  for (const one of files) {
    if (scanExtension(one.path) || !isZip(await startOf(one.file, 4))) {
      out.push(one);
      continue;
    }
    const entries = await readZip(await bytesOf(one.file), nameOf(one.path));
    for (const { path, bytes } of entries) {
      out.push({ path: `${one.path}/${path}`, file: new Blob([bytes as Uint8Array<ArrayBuffer>]) });
    }
  }
  return out;
}

/** Scans of all formats but DICOM. */
function findNamed(named: readonly NamedFile[], all: readonly NamedFile[]): FoundScan[] {
  return groupFiles(named).map(({ kind, name, files }) => {
    const [first] = files;
    const format = formats[scanExtension(first.path)!];
    const isStack = kind === "slices";
    const count = files.length === 1 ? "" : `, ${files.length} ${isStack ? "slices" : "channels"}`;
    const size = files.reduce((sum, { file }) => sum + file.size, 0);
    return {
      title: name,
      detail: `${format}${count}, ${bytesText(size)}`,
      read: async () => {
        const notes: string[] = [];
        const warn = (sentence: string): void => void notes.push(sentence);
        if (isStack) return { name, format, volumes: [await readStack(files, all, warn)], notes };
        const volumes: Volume[] = [];
        for (const file of files) {
          volumes.push(...(await readFile(file, all, warn)));
          checkShape(volumes.at(-1)!, volumes[0], nameOf(file.path));
        }
        return { name, format, volumes, notes: [...new Set(notes)] };
      },
    };
  });
}

/** The channels of a scan are looked at and drawn on as one. */
function checkShape(volume: Volume, first: Volume, name: string): void {
  const [here, there] = [volume, first].map(({ shape }) => shape.join(" x "));
  if (here !== there)
    fail(`${name} has ${here} voxels (D x H x W) and the channels before it ${there}; open it alone.`);
}

async function readFile(
  one: NamedFile,
  all: readonly NamedFile[],
  warn: (sentence: string) => void,
): Promise<Volume[]> {
  const name = nameOf(one.path);
  const ending = scanExtension(name)!;
  const bytes = await bytesOf(one.file);
  if (ending === ".nii" || ending === ".nii.gz") return (await readNifti(bytes, name, { maxBytes })).volumes;
  if (ending === ".png") {
    warn("A picture does not say how large its pixels are; 1 mm is taken.");
    const pictures = await decodePngChannels(bytes, name);
    return pictures.map(({ data, width, height }) => ({ data, shape: [1, height, width], affine: identityAffine() }));
  }
  const read = { ".nrrd": readNrrd, ".nhdr": readNrrd, ".mha": readMeta, ".mhd": readMeta, ".hdr": readAnalyze }[
    ending
  ];
  const open = async (part: string): Promise<Uint8Array> => {
    const beside = [part, `${part}.gz`].flatMap((file) => all.filter(({ path }) => path === folderOf(one.path) + file));
    return beside[0] ? bytesOf(beside[0].file) : fail(`${name}: its voxels lie in ${part}; drop both files together.`);
  };
  return read(bytes, name, { maxBytes, warn, open });
}

async function readStack(
  files: readonly NamedFile[],
  all: readonly NamedFile[],
  warn: (sentence: string) => void,
): Promise<Volume> {
  const order = sliceOrder(files.map(({ path }) => path));
  const pictures = [];
  for (const path of order) {
    pictures.push(await decodePng(await bytesOf(files.find((one) => one.path === path)!.file), nameOf(path)));
  }
  const sizes = all.find(({ path }) => path === folderOf(order[0]) + SPACING_FILE);
  if (!sizes) warn(`Pictures do not say how far apart they lie; 1 mm is taken along every axis (see ${SPACING_FILE}).`);
  const spacing: Vec3 = sizes ? parseSpacing(parsed(await sizes.file.text()), SPACING_FILE) : [1, 1, 1];
  return stackPictures(pictures, order.map(nameOf), spacing);
}

/** JSON, or null, which is no spacing, where it is none. */
function parsed(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return null;
  }
}

async function findSeries(files: readonly NamedFile[]): Promise<FoundScan[]> {
  const blobs = new Map(files.map(({ path, file }) => [path, file]));
  const images: DicomImage[] = [];
  const damaged: string[] = [];
  for (const { path, file } of files) {
    try {
      const start = await startOf(file, HEADER_BYTES);
      const header = await parseDicom(start, nameOf(path), true).catch(async () =>
        parseDicom(await bytesOf(file), nameOf(path), true),
      );
      const image = imageOf(header, nameOf(path));
      if (image) images.push({ ...image, name: path });
    } catch (error) {
      if (!(error instanceof UserError)) throw error;
      damaged.push(error.message);
    }
  }
  if (images.length === 0) fail(damaged[0] ?? "The DICOM files hold no picture; expected those of a scan.");
  const open = async ({ name }: DicomImage) => parseDicom(await bytesOf(blobs.get(name)!), nameOf(name));
  const series = groupSeries(images);
  const scans = series.filter(({ modality }) => modality !== "SEG");
  // Single pictures beside stacks are localisers.
  const stacks = scans.filter(({ stack }) => typeof stack === "string" || stack.slices.length > 1);
  const segmentations = series.filter(({ modality }) => modality === "SEG");
  return [...(stacks.length > 0 ? stacks : scans), ...segmentations].map((one) => ({
    title: one.description || seriesTitle(one),
    detail: `series ${one.number || "without a number"}, ${one.modality || "DICOM"}, ${counted(one.images.length, "file")}`,
    read: () => readSeriesScan(one, blobs, open, damaged),
    ...(one.modality === "SEG" ? { labels: labelsOf(one, open) } : {}),
  }));
}

async function readSeriesScan(
  series: Series,
  blobs: ReadonlyMap<string, Blob>,
  open: (image: DicomImage) => ReturnType<typeof parseDicom>,
  damaged: readonly string[],
): Promise<Scan> {
  // A slice that cannot be read would be a hole in the scan.
  if (damaged.length > 0) fail(`${damaged.length} of the DICOM files cannot be read (${damaged[0]}); take them out.`);
  const notes: string[] = [];
  const title = series.description || seriesTitle(series);
  const volume = await readSeries(series, "DICOM", open, (sentence) =>
    notes.push(capital(sentence.replace(/^DICOM: /, ""))),
  );
  const [{ name }] = series.images;
  const header = { name: nameOf(name), bytes: await bytesOf(blobs.get(name)!) };
  return { name: title, format: "DICOM", volumes: [volume], notes, dicom: { series, header } };
}

function labelsOf(series: Series, open: (image: DicomImage) => ReturnType<typeof parseDicom>): FoundScan["labels"] {
  return async (like, targets) => {
    const [image] = series.images;
    const segmentation = openSegmentation(await open(image), image);
    return placeLabels(await labelMapOf(segmentation, targets), like, nameOf(image.name));
  };
}

const capital = (sentence: string): string => sentence[0].toUpperCase() + sentence.slice(1);
