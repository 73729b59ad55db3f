import type { Series } from "../../src/dicom/series.ts";
import type { Volume } from "../../src/volume/volume.ts";

/** A file that was dropped or chosen, with its path inside the folder where it lay. */
export interface NamedFile {
  path: string;
  file: Blob;
}

/** What a segmentation of a DICOM scan refers to. */
export interface DicomSource {
  series: Series;
  /** A file of the series, whose header names patient and study. */
  header: { name: string; bytes: Uint8Array };
}

/** A scan in memory. */
export interface Scan {
  name: string;
  format: string;
  /** A volume a channel, all on one grid. */
  volumes: Volume[];
  /** Doubts about it that the reader should hear of. */
  notes: string[];
  dicom?: DicomSource;
}

/** Whether it is a picture, or a stack of such: these have a top, but no front. */
export const isPicture = ({ format }: Pick<Scan, "format">): boolean => format === "PNG";

/** One of several scans that the user may mean. */
export interface ScanChoice {
  title: string;
  detail: string;
}
