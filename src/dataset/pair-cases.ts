import { counted } from "../util/counted.ts";
import { fail } from "../util/errors.ts";
import { listSome } from "../util/list-some.ts";
import { scanExtension } from "../volume/extensions.ts";
import type { ListedCase } from "./datasetJson.ts";
import { channelSuffix, stemOf } from "./names.ts";
import type { DatasetCase } from "./types.ts";

/** Where the cases of one part (training or test) lie. */
export interface CaseFolders {
  images: string;
  /** Absent: a part without labels. */
  labels?: string;
  /** Only files with this ending count (dataset.json `file_ending`). */
  ending?: string;
  /** Number of channels where dataset.json states it: files of a case then end in `_0000`, `_0001`, ... */
  channels?: number;
  /** Keep cases whose image or label is missing instead of throwing (verify reports them one by one). */
  allowIncomplete?: boolean;
}

/**
 * Pairs images with labels, each a stem and its path in the order of names. A case's images are `ID.ext` or `ID_0000.ext`, `ID_0001.ext`, ...;
 * its label is `ID.ext`. Throws UserError, unless `allowIncomplete`, for an image without label or the reverse. `at` gives the path of a
 * file in a folder.
 */
export function pairCases(
  images: ReadonlyMap<string, string>,
  labels: ReadonlyMap<string, string> | undefined,
  folders: CaseFolders & { at(folder: string, name: string): string },
): DatasetCase[] {
  const suffixed = useSuffixes([...images.keys()], labels, folders.channels);
  const cases = new Map<string, DatasetCase>();
  for (const [stem, path] of images) {
    const split = suffixed ? channelSuffix(stem) : undefined;
    const id = split?.id ?? stem;
    const entry = cases.get(id) ?? { id, images: [] };
    // Names are sorted, so channel files arrive in channel order; one that is missing keeps its place, by its name.
    while (split && entry.images.length < split.channel) {
      const missing = `${id}_${String(entry.images.length).padStart(4, "0")}${scanExtension(path) ?? ""}`;
      entry.images.push(folders.at(folders.images, missing));
    }
    entry.images.push(path);
    cases.set(id, entry);
  }
  if (!labels) return [...cases.values()];
  for (const entry of cases.values()) entry.label = labels.get(entry.id);
  const lonely = [...labels.keys()].filter((id) => !cases.has(id));
  const unlabelled = [...cases.values()].filter((entry) => !entry.label).map((entry) => entry.id);
  if (!folders.allowIncomplete) {
    if (unlabelled.length > 0) {
      fail(
        `Expected a label in ${folders.labels} for every image, but ${unlabelled.length} of ${counted(cases.size, "case")} ${unlabelled.length === 1 ? "has" : "have"} none (${listSome(unlabelled)}); add the labels or move those images to imagesTs.`,
      );
    }
    if (lonely.length > 0) {
      fail(
        `Expected an image in ${folders.images} for every label, but ${counted(lonely.length, "label has", "labels have")} none (${listSome(lonely)}); add images or remove these labels.`,
      );
    }
  }
  for (const id of lonely) cases.set(id, { id, images: [], label: labels.get(id) });
  for (const entry of cases.values()) {
    if (!entry.label) entry.label = folders.at(folders.labels!, `${entry.id}${scanExtension(entry.images[0]) ?? ""}`);
  }
  return [...cases.values()].sort((a, b) => (a.id < b.id ? -1 : 1));
}

/**
 * Whether `_0000` is a channel number or part of the case's name (MSD has names like `scan_0001` without channels). Labels decide
 * where there are any; without them every file must carry a suffix and there must be a channel 0.
 */
function useSuffixes(
  stems: string[],
  labels: ReadonlyMap<string, string> | undefined,
  channels: number | undefined,
): boolean {
  const splits = stems.map(channelSuffix);
  if (labels) {
    const asIs = stems.filter((stem) => labels.has(stem)).length;
    const asChannels = splits.filter((split) => split && labels.has(split.id)).length;
    return asChannels > asIs;
  }
  if (splits.some((split) => !split || (channels !== undefined && split.channel >= channels))) return false;
  return splits.some((split) => split!.channel === 0);
}

/** The files about a dataset.json. */
export interface ListPlace {
  /** The path of a file as it is written there. */
  at(path: string): string;
  has(path: string): boolean;
}

/** Cases as dataset.json lists them. nnU-Net v1 lists `x.nii.gz` where the files are `x_0000.nii.gz`: both are tried. */
export function resolveListed(
  items: readonly ListedCase[],
  place: ListPlace,
  channels: number,
  needLabel: boolean,
): DatasetCase[] {
  return items.map((item) => {
    const images = item.images.flatMap((image) => {
      const path = place.at(image);
      const ending = scanExtension(path) ?? "";
      const withSuffix = Array.from(
        { length: channels },
        (_, c) => `${path.slice(0, path.length - ending.length)}_${String(c).padStart(4, "0")}${ending}`,
      );
      return !place.has(path) && place.has(withSuffix[0]) ? withSuffix : [path];
    });
    const stem = stemOf(item.images[0] ?? item.label ?? "");
    const suffixed = channelSuffix(stem);
    // The label's name is the case id; without one a `_0000` on the first of several files is a channel number.
    const id = item.id ?? (item.label ? stemOf(item.label) : images.length > 1 && suffixed ? suffixed.id : stem);
    const label = item.label ?? (needLabel ? `labelsTr/${id}${scanExtension(item.images[0] ?? "") ?? ""}` : undefined);
    return { id, images, ...(label ? { label: place.at(label) } : {}) };
  });
}
