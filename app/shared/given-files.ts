/** A file that was dropped or chosen, with its path inside the folder where it lay. */
export interface GivenFile {
  path: string;
  file: File;
}

/** Files of a dialog for files or for a folder. */
export function filesOfInput({ files }: HTMLInputElement): GivenFile[] {
  return [...(files ?? [])].map((file) => ({ path: file.webkitRelativePath || file.name, file }));
}

/** Files of what was dropped, folders with all that lies in them but hidden files; null where it was no file. */
export async function filesOfDrop({ items }: DataTransfer): Promise<GivenFile[] | null> {
  // Entries must be asked for before the first wait: the list is emptied then.
  const parts = [...items]
    .filter(({ kind }) => kind === "file")
    .map((item) => ({ entry: item.webkitGetAsEntry?.() ?? null, file: item.getAsFile() }));
  if (parts.length === 0) return null;
  const found: GivenFile[] = [];
  for (const { entry, file } of parts) {
    if (entry?.isDirectory) found.push(...(await filesOfFolder(entry as FileSystemDirectoryEntry)));
    else if (file) found.push({ path: file.name, file });
  }
  return found;
}

async function filesOfFolder(folder: FileSystemDirectoryEntry): Promise<GivenFile[]> {
  const reader = folder.createReader();
  const found: GivenFile[] = [];
  for (;;) {
    // Browsers hand out about a hundred at a time.
    const entries = await new Promise<FileSystemEntry[]>((resolve, reject) => reader.readEntries(resolve, reject));
    if (entries.length === 0) return found;
    for (const entry of entries) {
      if (entry.name.startsWith(".")) continue;
      if (entry.isDirectory) found.push(...(await filesOfFolder(entry as FileSystemDirectoryEntry)));
      else {
        const file = await new Promise<File>((resolve, reject) => (entry as FileSystemFileEntry).file(resolve, reject));
        found.push({ path: entry.fullPath.replace(/^\//, ""), file });
      }
    }
  }
}
