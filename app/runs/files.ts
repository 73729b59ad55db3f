import type { CaseEntry, ListedFile } from "../../src/serve/types.ts";
import { UserError } from "../../src/util/errors.ts";
import { compareNames, folderOf, joined, nameOf, stemOf } from "./records.ts";
import type { Source } from "./source.ts";

/** A file that the browser gave, and its path in the folder that was opened. */
export interface GivenFile {
  path: string;
  file: File;
}

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

/** Files of a folder dialog (webkitdirectory). */
export function filesOfInput(input: HTMLInputElement): GivenFile[] {
  return [...(input.files ?? [])].map((file) => ({ path: file.webkitRelativePath || file.name, file }));
}

/** Files of what was dropped, folders with all that is in them. */
export async function filesOfDrop(transfer: DataTransfer): Promise<GivenFile[]> {
  // The entries are gone after the first wait.
  const entries = [...transfer.items].map((item) => item.webkitGetAsEntry()).filter((entry) => entry !== null);
  const found: GivenFile[] = [];
  const walk = async (entry: FileSystemEntry, prefix: string): Promise<void> => {
    const path = prefix + entry.name;
    if (entry.isFile) {
      const file = await new Promise<File>((done, failed) => (entry as FileSystemFileEntry).file(done, failed));
      found.push({ path, file });
      return;
    }
    const reader = (entry as FileSystemDirectoryEntry).createReader();
    // A folder is read in parts until one is empty.
    for (;;) {
      const part = await new Promise<FileSystemEntry[]>((done, failed) => reader.readEntries(done, failed));
      if (part.length === 0) return;
      for (const child of part) if (!child.name.startsWith(".")) await walk(child, `${path}/`);
    }
  };
  for (const entry of entries) await walk(entry, "");
  return found;
}
