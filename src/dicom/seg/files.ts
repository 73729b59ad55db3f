import { randomUUID } from "node:crypto";
import { fail } from "../../util/errors.ts";
import { readJson, readStart, writeFileAtomic } from "../../util/files.ts";
import { lunetVersion } from "../../util/version.ts";
import { warnOnce } from "../../util/warn.ts";
import type { Volume } from "../../volume/volume.ts";
import { bytesIn, chooseSeries, holdsDicom, listSeries, openPlace, splitChoice } from "../files.ts";
import { isDicom, parseDicom } from "../parse.ts";
import { seriesTitle } from "../series.ts";
import { parseTerms, type TermTable, termsOf } from "./codes.ts";
import { openSegmentation, type Segmentation } from "./read.ts";
import { sourceFault, writeSegmentation } from "./write.ts";

/** Segmentation and Label Map Segmentation Storage (PS3.4, B.5). */
const storageClass = /1\.2\.840\.10008\.5\.1\.4\.1\.1\.66\.[47](?![\d.])/;

/** Reads a table of terms by label name; `labels` are those of the model. */
export async function readTerms(path: string, labels: readonly { name: string }[]): Promise<TermTable> {
  return parseTerms(
    await readJson(path),
    labels.map(({ name }) => name),
    path,
  );
}

export interface SegmentationWriter {
  /** Writes a label map on the series' grid; `labels` with their values and names, the background (0) left out. */
  write(
    path: string,
    map: Volume,
    labels: readonly { value: number; name: string }[],
    options: { algorithm: string; terms?: TermTable },
  ): Promise<void>;
}

/**
 * Makes ready to write segmentations of the DICOM series that `path` stands for. Throws a UserError at once where the series cannot
 * carry one, so that nothing is predicted in vain.
 */
export async function segmentationWriter(path: string): Promise<SegmentationWriter> {
  if (!(await holdsDicom(path)))
    fail(`${path}: no DICOM; expected a DICOM series for --format seg: choose another format.`);
  const { series, place } = await chooseSeries(path);
  const fault = sourceFault(series);
  if (fault) fail(`${path}: ${fault}`);
  const [{ name, instance, sopClass }] = series.images;
  const header = await parseDicom(await bytesIn(place, name), name, true);
  if (!instance || !sopClass || !series.uid) {
    warnOnce(
      `${path}: ${seriesTitle(series)} has no identifiers of its own (taken out of the files); the segmentation refers to it by place ` +
        "in space alone.",
    );
  }
  return {
    write: async (out, map, labels, { algorithm, terms }) => {
      const segments = labels
        .filter(({ value }) => value !== 0)
        .map((label) => ({ ...label, ...termsOf(label.name, terms) }));
      const newUid = (): string => `2.25.${BigInt(`0x${randomUUID().replaceAll("-", "")}`)}`;
      const options = { algorithm, version: lunetVersion(), now: new Date(), newUid };
      await writeFileAtomic(out, writeSegmentation(map, segments, { series, header }, options));
    },
  };
}

/** True for a file of DICOM whose header names it a segmentation, of whatever kind. */
export async function startsAsSegmentation(path: string): Promise<boolean> {
  const start = await readStart(path, 1 << 10);
  if (!isDicom(start)) return false;
  // The storage class stands in the file's own first group, as plain text.
  return storageClass.test(new TextDecoder("latin1").decode(start));
}

/** Opens the one segmentation of a file, folder or archive, or chosen by `path#SERIES`; null where there is none but a scan. */
export async function openSegmentationAt(path: string): Promise<Segmentation | null> {
  const { path: place, choice } = splitChoice(path);
  const opened = await openPlace(place);
  const { series } = await listSeries(opened);
  const chosen = series.filter(
    ({ modality, number, uid }) => modality === "SEG" && (choice === undefined || number === choice || uid === choice),
  );
  const images = chosen.flatMap((one) => one.images);
  if (images.length === 0) return null;
  if (images.length > 1) {
    fail(`${path}: ${images.length} segmentations; expected one: give the file of the one that counts.`);
  }
  const [{ name }] = images;
  const data = await parseDicom(await bytesIn(opened, name), name);
  const segmentation = openSegmentation(data, images[0]);
  if (segmentation.type === "FRACTIONAL") {
    warnOnce(`${path}: FRACTIONAL segmentation; voxels above half of the maximum are taken as inside.`);
  }
  return segmentation;
}
