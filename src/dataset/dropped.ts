import { fail } from "../util/errors.ts";
import { listSome } from "../util/list-some.ts";
import { scanExtension, scanExtensions } from "../volume/extensions.ts";
import { type DatasetJson, parseDatasetJson, parseSplits } from "./datasetJson.ts";
import { stemOf } from "./names.ts";
import { pairCases, resolveListed } from "./pair-cases.ts";
import type { DatasetCase, Fold } from "./types.ts";

/** Files by their paths below one root, "/" between folders, as a page gets them. */
export interface DroppedFiles {
  paths: readonly string[];
  readText(path: string): Promise<string>;
}

/** Something that is not trained on: a file or a case, and why. */
export interface LeftOut {
  name: string;
  why: string;
}

/** The labelled cases among files that were dropped on a page. */
export interface DroppedSet {
  name: string;
  /** As dataset.json says; null for plain files, whose voxels tell. */
  described: Pick<DatasetJson, "channels" | "labels" | "regions"> | null;
  splits?: Fold[];
  /** Cases whose files are all there; paths are those given, or those of folders of slices. */
  cases: DatasetCase[];
  leftOut: LeftOut[];
}

const expected =
  "a folder with dataset.json (MSD or nnU-Net), folders images and labels with files of the same names, or pairs such as a.nii.gz and a_seg.nii.gz";

/**
 * Finds labelled cases among files: those of a dataset.json, with the name, order, ids and folds that readDataset gives them, else of a
 * folder of images beside one of labels, else by names. Throws UserError where there are none, for two data sets, and for bad JSON.
 */
export async function findDropped(files: DroppedFiles): Promise<DroppedSet> {
  const paths = files.paths.filter((path) => path.split("/").every((part) => !part.startsWith(".")));
  const described = paths.filter((path) => nameOf(path) === "dataset.json");
  if (described.length > 1) twoSets(described.map(folderOf));
  const set =
    described.length === 1
      ? await describedSet(described[0], { ...files, paths })
      : (folderPairs(paths) ?? looseFiles(paths));
  checkIds(set.cases);
  if (set.cases.length > 0) return set;
  const [first] = set.leftOut;
  if (first) fail(`No labelled case was found: ${first.name}: ${first.why}.`);
  const what = paths.length === 1 ? `${nameOf(paths[0])} is no scan` : `none of the ${paths.length} files is a scan`;
  return fail(`No labelled case was found, as ${what}; expected ${expected}.`);
}

const nameOf = (path: string): string => path.slice(path.lastIndexOf("/") + 1);
const folderOf = (path: string): string => path.slice(0, Math.max(0, path.lastIndexOf("/")));
const inside = (folder: string, path: string): boolean => folder === "" || path.startsWith(`${folder}/`);
const joined = (folder: string, name: string): string => (folder === "" ? name : `${folder}/${name}`);
const isScan = (path: string): boolean => scanExtension(path) !== null || /\.dcm$/i.test(path);

function twoSets(folders: readonly string[]): never {
  return fail(
    `Expected one data set, but ${folders.length} were dropped (${listSome(folders.map((folder) => folder || "the files themselves"))}); drop one of them.`,
  );
}

function checkIds(cases: readonly DatasetCase[]): void {
  const seen = new Set<string>();
  for (const { id } of cases) {
    if (seen.has(id)) fail(`Expected every case once, but "${id}" comes twice; leave one out, or rename it.`);
    seen.add(id);
  }
}

async function describedSet(path: string, { paths, readText }: DroppedFiles): Promise<DroppedSet> {
  const root = folderOf(path);
  const json = parseDatasetJson(await readText(path), path);
  const has = (one: string): boolean => paths.some((other) => other === one || other.startsWith(`${one}/`));
  const at = (written: string): string => plainPath(joined(root, written));
  const [images, labels] = ["imagesTr", "labelsTr"].map((folder) => joined(root, folder));
  const channels = json.channels.length;
  let listed: DatasetCase[];
  if (json.training) listed = resolveListed(json.training, { at, has }, channels, true);
  else {
    const [scans, maps] = [images, labels].map((folder) => scansOf(folder, paths, json.ending));
    if (scans.size === 0) {
      fail(
        `Expected scans (${json.ending ?? scanExtensions.join(", ")}) in ${images}, but there are none; drop the whole folder.`,
      );
    }
    const folders = { images, labels, ending: json.ending, channels, allowIncomplete: true };
    listed = pairCases(scans, maps, { ...folders, at: joined });
  }
  const leftOut: LeftOut[] = [];
  const cases = listed.filter((entry) => {
    const why = missing(entry, channels, has);
    if (why) leftOut.push({ name: entry.id, why });
    return why === null;
  });
  const ids = new Set(listed.map(({ id }) => id));
  const file = ["splits.json", "splits_final.json"]
    .map((name) => joined(root, name))
    .find((one) => paths.includes(one));
  const folds = file === undefined ? undefined : parseSplits(await readText(file), file, ids);
  return {
    name: json.name ?? (nameOf(root) || "dropped files"),
    described: { channels: json.channels, labels: json.labels, ...(json.regions ? { regions: json.regions } : {}) },
    ...(folds ? { splits: folds } : {}),
    ...{ cases, leftOut },
  };
}

/** Without the steps "." and "..". */
function plainPath(path: string): string {
  const parts: string[] = [];
  for (const part of path.split("/")) {
    if (part === "..") parts.pop();
    else if (part !== "." && part !== "") parts.push(part);
  }
  return parts.join("/");
}

/** What a listed case lacks; null where nothing. */
function missing({ images, label }: DatasetCase, channels: number, has: (path: string) => boolean): string | null {
  const gone = [...images, ...(label ? [label] : [])].filter((path) => !has(path));
  if (images.length === 0) return "a label without an image";
  if (gone.length > 0) return `${listSome(gone.map(nameOf))} ${gone.length === 1 ? "is" : "are"} not among the files`;
  if (images.length === 1 || images.length === channels) return null;
  return `${images.length} image files, expected ${channels}`;
}

/** Scans of a folder, stem -> path, in the order of names: its files, or where it has none its folders of slices. */
function scansOf(folder: string, paths: readonly string[], ending?: string): Map<string, string> {
  const names = new Set<string>();
  const folders = new Set<string>();
  for (const path of paths) {
    if (!inside(folder, path)) continue;
    const [name, ...deeper] = path.slice(folder === "" ? 0 : folder.length + 1).split("/");
    if (deeper.length > 0) folders.add(name);
    else if (isScan(name) && (!ending || name.endsWith(ending))) names.add(name);
  }
  const found = [...(names.size > 0 ? names : folders)].sort().map((name) => joined(folder, name));
  return byName(found, stemOf);
}

/** Paths by a part of their names. */
function byName(paths: readonly string[], key: (path: string) => string): Map<string, string> {
  const named = new Map<string, string>();
  for (const path of paths) {
    const name = key(path);
    const other = named.get(name);
    if (other) fail(`Expected one file for ${name}, but ${other} and ${path} both claim it; remove one.`);
    named.set(name, path);
  }
  return named;
}

const imageFolder = /^(imagesTr|images?|imgs?|scans?|volumes?)$/i;
const labelFolder = /^(labelsTr|labels?|masks?|seg|segs|segmentations?|gt|truth)$/i;

/** A folder of images beside one of labels; null where there is no such pair. */
function folderPairs(paths: readonly string[]): DroppedSet | null {
  const folders = new Set<string>();
  for (const path of paths) {
    for (let folder = folderOf(path); folder !== ""; folder = folderOf(folder)) folders.add(folder);
  }
  const pairs = [...folders]
    .filter((folder) => imageFolder.test(nameOf(folder)))
    .flatMap((images) => {
      const beside = [...folders].filter((one) => folderOf(one) === folderOf(images) && labelFolder.test(nameOf(one)));
      return beside.length === 1 ? [{ images, labels: beside[0] }] : [];
    });
  if (pairs.length === 0) return null;
  if (pairs.length > 1) twoSets(pairs.map(({ images }) => images));
  const { images, labels } = pairs[0];
  const [scans, maps] = [scansOf(images, paths), scansOf(labels, paths)];
  const withoutMarks = byName([...maps.values()], (path) => unmarked(stemOf(path)) ?? stemOf(path));
  const words = {
    unlabelled: `an image without a label in ${labels}`,
    lonely: `a label without an image in ${images}`,
  };
  const [same, marked] = [maps, withoutMarks].map((named) => paired(scans, named, words));
  return { name: nameOf(images), described: null, ...(marked.cases.length > same.cases.length ? marked : same) };
}

/** The cases of images and labels, each a stem and its path, and what is left. */
function paired(
  images: ReadonlyMap<string, string>,
  labels: ReadonlyMap<string, string>,
  words: { unlabelled: string; lonely: string },
): Pick<DroppedSet, "cases" | "leftOut"> {
  const all = pairCases(images, labels, { images: "", labels: "", allowIncomplete: true, at: joined });
  const [scans, maps] = [new Set(images.values()), new Set(labels.values())];
  const isWhole = ({ images: own, label }: DatasetCase): boolean =>
    own.length > 0 && own.every((path) => scans.has(path)) && maps.has(label!);
  const cases = all.filter(isWhole);
  const taken = new Set(cases.flatMap((entry) => [...entry.images, entry.label]));
  const left = (paths: Iterable<string>, why: string): LeftOut[] =>
    [...paths].filter((path) => !taken.has(path)).map((path) => ({ name: nameOf(path), why }));
  return { cases, leftOut: [...left(images.values(), words.unlabelled), ...left(labels.values(), words.lonely)] };
}

const marker = /(?:^|[ _.-])(?:seg|segmentation|label|labels|labelmap|mask|gt|truth)$/i;

/** The stem of the image that a label belongs to, empty where the name says no more than that it is one; null for the name of an image. */
function unmarked(stem: string): string | null {
  return marker.test(stem) ? stem.replace(marker, "") : null;
}

/** Pairs by names within a folder: a.nii.gz (or a_0000.nii.gz, ...) and a_seg.nii.gz; or a folder a case, with one label in it. */
function looseFiles(paths: readonly string[]): DroppedSet {
  const cases: DatasetCase[] = [];
  const leftOut: LeftOut[] = [];
  const folders = Map.groupBy(paths.filter(isScan).toSorted(), folderOf);
  for (const [folder, files] of folders) {
    const isLabel = (path: string): boolean => unmarked(stemOf(path)) !== null;
    const images = files.filter((path) => !isLabel(path));
    const only = files.find((path) => unmarked(stemOf(path)) === "");
    if (only && images.length > 0) {
      cases.push({ id: nameOf(folder) || "case", images, label: only });
      continue;
    }
    const labels = byName(files.filter(isLabel), (path) => unmarked(stemOf(path))!);
    const found = paired(byName(images, stemOf), labels, {
      unlabelled: "an image without a label; expected one of this name with _seg at its end",
      lonely: "a label without an image; expected one of this name without the ending",
    });
    cases.push(...found.cases);
    leftOut.push(...found.leftOut);
  }
  const roots = new Set(paths.filter((path) => path.includes("/")).map((path) => path.split("/")[0]));
  const name = roots.size === 1 ? [...roots][0] : "dropped files";
  return { name, described: null, cases: cases.sort((a, b) => (a.id < b.id ? -1 : 1)), leftOut };
}
