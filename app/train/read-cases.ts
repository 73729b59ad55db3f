import { findDropped, type LeftOut } from "../../src/dataset/dropped.ts";
import { type Fingerprint, measureDataset } from "../../src/dataset/measure.ts";
import { makePhantom } from "../../src/dataset/phantom.ts";
import { targetNames } from "../../src/dataset/regions.ts";
import { foldsOf } from "../../src/dataset/splits.ts";
import type { Dataset, DatasetCase, LabelInfo } from "../../src/dataset/types.ts";
import type { LabelledScan } from "../../src/train/train-scans.ts";
import { fail, UserError } from "../../src/util/errors.ts";
import { pause } from "../../src/util/pause.ts";
import { scanExtension } from "../../src/volume/extensions.ts";
import { spacingOf, type Vec3, type Volume } from "../../src/volume/volume.ts";
import { bytes as bytesText } from "../shared/format.ts";
import { findScans } from "../shared/read-scans.ts";
import type { NamedFile } from "../shared/scan.ts";
import { foldCount } from "./choices.ts";
import { pageRoom } from "./memory.ts";

/** Where labelled cases come from. */
export type CaseSource = { kind: "files"; files: NamedFile[] } | { kind: "phantoms"; count: number };

/** A case as the table shows it. */
export interface CaseRow {
  id: string;
  /** Voxels and mm along D, H, W; null where the image cannot be read. */
  shape: Vec3 | null;
  spacing: Vec3 | null;
  /** Names and voxels of the labels in it. */
  labels: { name: string; voxels: number }[];
  /** Why it is left out. */
  problem?: string;
  /** What is odd about it. */
  note?: string;
}

/** What the page is told of the cases. */
export interface CasesInfo {
  name: string;
  channels: string[];
  labels: LabelInfo[];
  /** Names of what is scored: the regions, else the labels without the background. */
  targets: string[];
  rows: CaseRow[];
  /** Files and cases without a partner. */
  leftOut: LeftOut[];
  /** Cases that validate in each fold; empty where one case cannot be split. */
  folds: number[];
}

export interface OpenedCases {
  info: CasesInfo;
  /** Without the cases that are left out. */
  dataset: Dataset;
  fingerprint: Fingerprint;
  scans: Map<string, LabelledScan>;
}

/** A set whose cases are yet to be read. */
interface Found extends Pick<Dataset, "name" | "splits"> {
  described: Pick<Dataset, "channels" | "labels" | "regions"> | null;
  cases: DatasetCase[];
  leftOut: LeftOut[];
  read(entry: DatasetCase): Promise<LabelledScan>;
}

/**
 * Reads and measures all cases. Those that cannot be read or do not fit are left out with a reason, like the command line's `--skip-bad`.
 * Throws UserError where no case is left, and where the scans are more than a page can hold.
 */
export async function openCases(
  source: CaseSource,
  onProgress: (done: number, total: number) => void,
): Promise<OpenedCases> {
  const found = source.kind === "phantoms" ? phantoms(source.count) : await droppedCases(source.files);
  const scans = new Map<string, LabelledScan>();
  const problems = new Map<string, string>();
  let size = 0;
  for (const [done, entry] of found.cases.entries()) {
    onProgress(done, found.cases.length);
    await pause();
    try {
      const scan = await found.read(entry);
      scans.set(entry.id, scan);
      for (const { data } of [...scan.images, scan.label]) size += data.byteLength;
    } catch (error) {
      if (!(error instanceof UserError)) throw error;
      problems.set(entry.id, error.message);
    }
    if (size > pageRoom()) {
      fail(
        `The first ${scans.size} of ${found.cases.length} scans take ${bytesText(size)}, more than a page can hold; ` +
          "drop fewer, or train on the command line (lunet train).",
      );
    }
  }
  const described = found.described ?? discover(found.cases, scans, problems);
  const whole: Dataset = { name: found.name, root: "", ...described, training: found.cases, test: [] };
  const read = async ({ id }: DatasetCase): Promise<{ images: Volume[]; label: Volume }> => {
    await pause();
    const scan = scans.get(id) ?? fail(problems.get(id)!);
    return { images: [...scan.images], label: scan.label };
  };
  const fingerprint = await measureDataset(whole, read, { onBad: ({ case: id, why }) => problems.set(id, why) });
  const sound = (ids: string[]): string[] => ids.filter((id) => !problems.has(id));
  const dataset: Dataset = {
    ...whole,
    training: found.cases.filter(({ id }) => !problems.has(id)),
    ...(found.splits
      ? { splits: found.splits.map(({ train, val }) => ({ train: sound(train), val: sound(val) })) }
      : {}),
  };
  if (fingerprint.classes.slice(1).every(({ voxels }) => voxels === 0)) {
    fail(`Expected labelled voxels in ${whole.name}, but all label maps are empty; there is nothing to learn.`);
  }
  const rows = found.cases.map((entry) => rowOf(entry.id, scans, problems, fingerprint, dataset));
  const { name, channels, labels, training } = dataset;
  const folds =
    training.length > 1 || dataset.splits
      ? foldsOf(dataset, dataset.splits ? {} : { folds: foldCount(training.length) })
      : [];
  for (const id of problems.keys()) scans.delete(id);
  const targets = targetNames(dataset);
  const info = {
    name,
    channels,
    labels,
    targets,
    rows,
    leftOut: found.leftOut,
    folds: folds.map(({ val }) => val.length),
  };
  return { info, dataset, fingerprint, scans };
}

function rowOf(
  id: string,
  scans: ReadonlyMap<string, LabelledScan>,
  problems: ReadonlyMap<string, string>,
  { cases }: Fingerprint,
  { labels }: Dataset,
): CaseRow {
  const image = scans.get(id)?.images[0];
  const voxels = cases.find((one) => one.id === id)?.voxels ?? [];
  const present = labels.flatMap(({ name }, k) => (k > 0 && voxels[k] > 0 ? [{ name, voxels: voxels[k] }] : []));
  const problem = problems.get(id);
  return {
    id,
    shape: image ? image.shape : null,
    spacing: image ? spacingOf(image) : null,
    labels: present,
    ...(problem ? { problem } : present.length === 0 ? { note: "Only background is labelled." } : {}),
  };
}

/** The made-up scans of `lunet phantom` with its seed, by the same names. */
function phantoms(count: number): Found {
  const cases = Array.from({ length: count }, (_, i) => {
    const id = `phantom_${String(i + 1).padStart(3, "0")}`;
    return { id, images: [id], label: id };
  });
  const labels = ["background", "anterior", "posterior"].map((name, value) => ({ value, name }));
  return {
    name: "Phantom",
    described: { channels: ["MRI"], labels },
    ...{ cases, leftOut: [] },
    read: async ({ id }) => {
      const { image, label } = makePhantom(1, Number(id.slice(-3)) - 1);
      return { images: [image], label };
    },
  };
}

async function droppedCases(files: readonly NamedFile[]): Promise<Found> {
  const byPath = new Map(files.map((one) => [one.path, one]));
  const set = await findDropped({
    paths: files.map(({ path }) => path),
    readText: (path) => byPath.get(path)!.file.text(),
  });
  const { described } = set;
  return {
    ...set,
    read: async ({ id, images: paths, label: labelPath }) => {
      const images: Volume[] = [];
      for (const path of paths) images.push(...(await (await scanAt(path, files)).read()).volumes);
      if (described && images.length === 1 && described.channels.length === 3 && scanExtension(paths[0]) === ".png") {
        // A picture in grey among colour ones has three equal channels.
        images.push(images[0], images[0]);
      }
      const label = await scanAt(labelPath!, files);
      if (label.labels) return { images, label: await label.labels(images[0], described ?? undefined) };
      const { volumes } = await label.read();
      if (volumes.length > 1) fail(`The label of ${id} holds ${volumes.length} volumes; expected one.`);
      return { images, label: volumes[0] };
    },
  };
}

/** The scan that lies at a path: a file, with the files of voxels beside it, or a folder of slices. */
async function scanAt(path: string, files: readonly NamedFile[]) {
  const folder = path.slice(0, path.lastIndexOf("/") + 1);
  const isPart = (other: string): boolean =>
    other.startsWith(folder) && !other.slice(folder.length).includes("/") && scanExtension(other) === null;
  const withParts = [".nhdr", ".mhd", ".hdr"].includes(scanExtension(path) ?? "");
  const own = files.filter(
    (one) => one.path === path || one.path.startsWith(`${path}/`) || (withParts && isPart(one.path)),
  );
  const found = await findScans(own);
  return found.length === 1
    ? found[0]
    : fail(`${path} holds ${found.length} scans; expected one: keep each scan in a folder of its own.`);
}

/** Names for the channels of plain files, and the label values in them, as readDataset gives them. */
function discover(
  cases: readonly DatasetCase[],
  scans: ReadonlyMap<string, LabelledScan>,
  problems: Map<string, string>,
): Pick<Dataset, "channels" | "labels"> {
  const values = new Set([0]);
  for (const [id, { label }] of scans) {
    const own = new Set<number>(label.data as Iterable<number>);
    const odd = [...own].find((value) => !Number.isInteger(value) || value < 0 || value > 255);
    if (odd !== undefined) problems.set(id, `Its label holds ${odd}, and labels are whole numbers from 0 to 255.`);
    else for (const value of own) values.add(value);
  }
  const [first] = scans.values();
  const count = first?.images.length ?? 1;
  const isColour = count === 3 && cases[0].images.length === 1 && scanExtension(cases[0].images[0]) === ".png";
  const channels = isColour ? ["red", "green", "blue"] : Array.from({ length: count }, (_, c) => `channel ${c}`);
  const labels = [...values].sort((a, b) => a - b);
  return { channels, labels: labels.map((value) => ({ value, name: value === 0 ? "background" : `label ${value}` })) };
}
