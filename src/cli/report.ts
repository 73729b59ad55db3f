import { Command } from "commander";
import { parseGroups } from "../dataset/groups.ts";
import { readCase } from "../dataset/load.ts";
import { readDataset } from "../dataset/read.ts";
import { type DatasetReport, reportDataset } from "../dataset/report.ts";
import type { Dataset } from "../dataset/types.ts";
import { createProgress, type Progress } from "../train/progress.ts";
import { counted } from "../util/counted.ts";
import { writeFileAtomic } from "../util/files.ts";
import { startTime } from "../util/time.ts";
import { lunetVersion } from "../util/version.ts";
import { reorient } from "../volume/orientation.ts";
import type { Volume } from "../volume/volume.ts";
import { parseCount } from "./options.ts";
import { datasetPage, type ReportPicture } from "./report-page.ts";
import { thumbnail } from "./report-thumbnail.ts";

interface ReportCommandOptions {
  images?: string;
  labels?: string;
  out: string;
  folds?: number;
  groups?: string;
  json?: boolean;
}

/** Pictures of unusual cases; a page with more is no longer looked at. */
const mostPictures = 40;

export const reportCommand = new Command("report")
  .description(
    "Show a data set on one page: sizes, volumes, intensities, folds, unusual cases with the reason, and pictures of them.",
  )
  .argument("[data]", "data set folder with dataset.json (nnU-Net raw or MSD layout)")
  .option("--out <file>", "the page, one HTML file that needs nothing else", "dataset.html")
  .option("--images <dir>", "plain folder of images, instead of a data set folder")
  .option("--labels <dir>", "plain folder of label maps with the same names")
  .option("--folds <n>", "make this many folds (default: those of splits.json, else 5)", parseCount)
  .option("--groups <how>", "keep a subject's cases in one fold, as for train")
  .option("--json", "also print everything measured as JSON")
  .action(async (data: string | undefined, options: ReportCommandOptions) => {
    const { images, labels, folds } = options;
    const dataset = await readDataset(data, { images, labels, allowIncomplete: true });
    const groups = options.groups === undefined ? undefined : await parseGroups(options.groups);
    const progress = createProgress(process.stderr);
    try {
      const report = await reportDataset(dataset, {
        folds,
        groups,
        onProgress: (done, total) => progress.live(`reading scans ${Math.floor((100 * done) / total)} %`),
      });
      const unusual = [...new Set(report.outliers.map((one) => one.case))];
      const typical = await picturesOf(dataset, report.typical, progress);
      const outliers = await picturesOf(dataset, unusual.slice(0, mostPictures), progress);
      const page = datasetPage({
        report,
        typical,
        outliers,
        more: Math.max(0, unusual.length - mostPictures),
        made: `Made by lunet ${lunetVersion()}, ${startTime()}.`,
      });
      await writeFileAtomic(options.out, page);
      progress.close();
      process.stdout.write(options.json ? `${JSON.stringify(report, null, 2)}\n` : describe(report, options.out));
    } finally {
      progress.close();
    }
  });

async function picturesOf(dataset: Dataset, ids: readonly string[], progress: Progress): Promise<ReportPicture[]> {
  const entries = new Map([...dataset.test, ...dataset.training].map((entry) => [entry.id, entry]));
  const values = dataset.labels.slice(1).map(({ value }) => value);
  const pictures: ReportPicture[] = [];
  for (const [done, id] of ids.entries()) {
    progress.live(`drawing ${done + 1}/${ids.length} ${id}`);
    const { images, label } = await readCase(entries.get(id)!, dataset.channels, dataset);
    const [scan] = images;
    // A label takes over its image's affine, so that both turn alike. A picture stays as it is stored.
    const turned = (volume: Volume): Volume =>
      scan.shape[0] === 1 ? volume : reorient({ ...volume, affine: scan.affine });
    pictures.push({ id, png: await thumbnail(turned(scan), label && turned(label), values) });
  }
  return pictures;
}

function describe({ cases, unreadable, outliers, mixtures, verification }: DatasetReport, out: string): string {
  const lines = [
    `${counted(cases.length, "case")} measured, ${counted(verification.problems.length, "problem")}, ${counted(verification.warnings.length, "warning")}.`,
    ...unreadable.map(({ id, error }) => `Not measured, ${id}: ${error}`),
    ...mixtures.map(({ reason }) => `${reason}.`),
    ...outliers.slice(0, 10).map((one) => `${one.case}: ${one.reason}`),
    ...(outliers.length > 10 ? [`... and ${counted(outliers.length - 10, "more unusual thing")}.`] : []),
    out,
  ];
  return `${lines.join("\n")}\n`;
}
