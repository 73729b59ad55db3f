import { Command } from "commander";
import { type DicomFolder, listSeries } from "../dicom/files.ts";
import type { Series } from "../dicom/series.ts";
import { counted } from "../util/counted.ts";
import { textTable } from "../util/text-table.ts";
import { spacingOf } from "../volume/volume.ts";

interface SeriesOptions {
  json?: boolean;
}

export const seriesCommand = new Command("series")
  .description("List the DICOM series of a folder, a zip archive or a file, and whether each can be read as a scan.")
  .argument("<path>", "folder (with the folders in it), zip archive, or DICOM file")
  .option("--json", "print the list as JSON")
  .action(async (path: string, options: SeriesOptions) => {
    const folder = await listSeries(path);
    const rows = folder.series.map(rowOf);
    const { withoutImage, others, damaged } = folder;
    const json = { series: rows, withoutImage, others, damaged: damaged.map(({ sentence }) => sentence) };
    process.stdout.write(options.json ? `${JSON.stringify(json, null, 2)}\n` : describe(rows, folder));
  });

interface Row {
  number: string;
  uid: string;
  description: string;
  modality: string;
  files: number;
  /** [D, H, W]; absent where the slices make no volume. */
  shape?: number[];
  /** mm along D, H, W. */
  spacing?: number[];
  copies: number;
  /** Why it cannot be read, or what is to be known when it is. */
  notes: string[];
}

function rowOf({ number, uid, description, modality, images, stack, copies }: Series): Row {
  const common = { number, uid, description, modality, files: images.length, copies };
  if (typeof stack === "string") return { ...common, notes: [stack] };
  return { ...common, shape: stack.shape, spacing: spacingOf(stack), notes: stack.notes };
}

function describe(rows: readonly Row[], { withoutImage, others, damaged }: DicomFolder): string {
  const head = ["series", "modality", "description", "shape", "mm", "files"];
  const cells = rows.map((row) => [
    row.number || row.uid,
    row.modality,
    row.description,
    row.shape?.join("x") ?? "-",
    row.spacing?.map((mm) => Number(mm.toFixed(3))).join("x") ?? "-",
    `${row.files}`,
  ]);
  const said = (row: Row): string[] => [
    ...row.notes,
    ...(row.copies > 0 ? [`has ${counted(row.copies, "copy", "copies")} of its own files, left out`] : []),
  ];
  const count = (n: number, one: string, many: string): string[] => (n > 0 ? [counted(n, one, many)] : []);
  const rest = [
    ...count(withoutImage, "DICOM file without a picture", "DICOM files without a picture"),
    ...count(others, "other file", "other files"),
    ...count(damaged.length, "DICOM file that cannot be read", "DICOM files that cannot be read"),
  ];
  const lines = [
    textTable([head, ...cells], 5),
    ...rows.flatMap((row) => said(row).map((note) => `series ${row.number || row.uid} ${note}.`)),
    ...damaged.map(({ sentence }) => sentence),
    ...(rest.length > 0 ? [`Also there: ${rest.join(", ")}.`] : []),
  ];
  return `${lines.join("\n")}\n`;
}
