import type { CaseEntry, ListedFile } from "../../src/serve/types.ts";
import { UserError } from "../../src/util/errors.ts";
import type { GivenFile } from "../shared/given-files.ts";
import { compareNames, folderOf, joined, nameOf, stemOf } from "./records.ts";
import type { Source } from "./source.ts";

const isScan = (path: string): boolean => /\.(nii|nii\.gz|nrrd|mha)$/i.test(path);

/** The runs in a folder that the reader opened; data sets in it, or given beside it, bring the scans. */
export function fileSource(given: readonly GivenFile[]): Source {
  const files = new Map(given.map(({ path, file }) => [path, file]));
  const get = (path: string): File => {
    const file = files.get(path);
    if (!file) throw new UserError(`${path} is not among the opened files.`);
    return file;
  };
  const sets = given.filter(({ path }) => nameOf(path) === "dataset.json").map(({ path }) => folderOf(path));
  const cases = new Map(sets.flatMap((folder) => casesOf(folder, [...files.keys()])));
  return {
    list: async () => {
      const hidden = (path: string): boolean => sets.some((set) => set !== "" && path.startsWith(`${set}/`));
      const listed = given
        .filter(({ path }) => !hidden(path))
        .map(({ path, file }): ListedFile => ({ path, size: file.size, modified: file.lastModified }));
      return { name: "", files: listed, truncated: false };
    },
    text: (path) =>
      get(path)
        .text()
        .catch(() => {
          throw new UserError(`${path} has changed since it was opened; open the folder again.`);
        }),
    cases: async () => {
      const entries = [...cases].map(
        ([id, { images, label }]): CaseEntry => ({ id, images: images.length, label: label !== null }),
      );
      const none = "To see scans, open the folder of the data set too: the one with dataset.json.";
      return { cases: entries, pictures: false, problem: entries.length === 0 ? none : null };
    },
    scan: (_run, id, part) => {
      const entry = cases.get(id);
      const path = part === "truth" ? entry?.label : entry?.images[part];
      if (!path) throw new UserError(`The opened data set has no such scan of the case ${id}.`);
      return { blob: get(path) };
    },
    file: (path) => ({ blob: get(path) }),
  };
}

interface FileCase {
  images: string[];
  label: string | null;
}

/** Cases of a data set folder in MSD's or nnU-Net's layout, by the names of their files. */
function casesOf(folder: string, paths: readonly string[]): [string, FileCase][] {
  const within = (name: string): string[] => {
    const start = joined(folder, `${name}/`);
    return paths
      .filter((path) => path.startsWith(start) && isScan(path) && !nameOf(path).startsWith("."))
      .sort(compareNames);
  };
  const labels = new Map([...within("labelsTr"), ...within("labelsTs")].map((path) => [stemOf(path), path]));
  const cases = new Map<string, FileCase>();
  for (const path of [...within("imagesTr"), ...within("imagesTs")]) {
    const stem = stemOf(path);
    // `_0000` is a channel where the label, or nothing, is named without it.
    const base = stem.replace(/_\d{4}$/, "");
    const id = labels.has(stem) ? stem : base;
    const entry = cases.get(id) ?? { images: [], label: labels.get(id) ?? null };
    entry.images.push(path);
    cases.set(id, entry);
  }
  return [...cases];
}
