import { channelSuffix, stemOf } from "../../src/dataset/names.ts";
import { scanExtension } from "../../src/volume/extensions.ts";
import type { NamedFile } from "./scan.ts";

/** Files that make one scan. */
export interface FileGroup {
  kind: "channels" | "slices" | "file";
  name: string;
  /** Channels in their order. */
  files: NamedFile[];
}

/** More files than these are not the channels of one scan but scans with numbers for names, as for the command line. */
const mostChannels = 16;

/** With the final "/", or "". */
export const folderOf = (path: string): string => path.slice(0, path.lastIndexOf("/") + 1);

/**
 * Tells scans apart by the names of their files (all but DICOM): `_0000`, `_0001`, ... are the channels of one; where such numbers do not
 * count up from 0 they number scans, or slices. The other PNG files of a folder are its slices, and each other file is a scan.
 */
export function groupFiles(files: readonly NamedFile[]): FileGroup[] {
  const channels = new Map<NamedFile, { name: string; files: NamedFile[] }>();
  const numbered = files.flatMap((file) => {
    const suffix = channelSuffix(stemOf(file.path));
    return suffix ? [{ file, ...suffix }] : [];
  });
  for (const set of Map.groupBy(numbered, ({ file, id }) => folderOf(file.path) + id).values()) {
    const ordered = set.toSorted((a, b) => a.channel - b.channel);
    if (ordered.length > mostChannels || ordered.some(({ channel }, place) => channel !== place)) continue;
    const group = { name: ordered[0].id, files: ordered.map(({ file }) => file) };
    for (const { file } of ordered) channels.set(file, group);
  }
  const isPng = ({ path }: NamedFile): boolean => scanExtension(path) === ".png";
  const groups = Map.groupBy(files, (one) => channels.get(one) ?? (isPng(one) ? folderOf(one.path) : one));
  return [...groups].map(([key, members]): FileGroup => {
    if (typeof key === "object" && "files" in key) return { kind: "channels", ...key };
    if (members.length > 1)
      return { kind: "slices", name: folderOf(members[0].path).slice(0, -1) || "slices", files: members };
    return { kind: "file", name: stemOf(members[0].path), files: members };
  });
}
