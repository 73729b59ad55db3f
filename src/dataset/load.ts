import { fail } from "../util/errors.ts";
import { scanExtension } from "../volume/extensions.ts";
import type { Volume } from "../volume/volume.ts";
import { createLabelCounter } from "./count-labels.ts";
import { prepareCase } from "./preprocess.ts";
import type { Targets } from "./regions.ts";
import { readChannels, readHeader, readLabelMap } from "./scan.ts";
import type { Dataset, DatasetCase, Plan, PreparedCase } from "./types.ts";

/**
 * Reads a case's channels and its label (where it has one) as they are in the files; segments of DICOM become label values by the names
 * in `targets`. UserError for a wrong channel count.
 */
export async function readCase(
  entry: DatasetCase,
  channels: readonly string[],
  targets?: Targets,
): Promise<{ images: Volume[]; label?: Volume }> {
  let images = (await Promise.all(entry.images.map((path) => readChannels(path)))).flat();
  // A picture in grey among colour ones has three equal channels.
  const grey = images.length === 1 && scanExtension(entry.images[0]) === ".png";
  if (grey && channels.length === 3) images = [images[0], images[0], images[0]];
  if (images.length !== channels.length) {
    fail(
      `Expected ${channels.length} ${channels.length === 1 ? "channel" : "channels"} (${channels.join(", ")}) for case ${entry.id}, but its files hold ${images.length}; mend the files or the channel names in dataset.json.`,
    );
  }
  if (!entry.label) return { images };
  return { images, label: await readLabelMap(entry.label, { targets, like: images[0] }) };
}

/** Voxels of each label, in the order of `dataset.labels`, in the files of these training cases. UserError for another value. */
export async function countLabels(
  dataset: Dataset,
  ids: readonly string[],
  options: Pick<PrepareOptions, "onProgress"> = {},
): Promise<number[]> {
  const wanted = new Set(ids);
  const cases = dataset.training.filter(({ id, label }) => label && wanted.has(id));
  const counter = createLabelCounter(dataset.labels);
  for (const [done, { id, images, label }] of cases.entries()) {
    // A segmentation may cover a part of its scan: what lies beyond counts as background.
    const like = scanExtension(label!) ? undefined : await readHeader(images[0]);
    counter.add((await readLabelMap(label!, { targets: dataset, like })).data, id);
    options.onProgress?.(done + 1, cases.length);
  }
  return counter.counts;
}

export interface PrepareOptions {
  /** Which cases, in this order; default all training cases. */
  ids?: readonly string[];
  onProgress?: (done: number, total: number) => void;
}

/** Reads cases (training or test) and brings them into the net's space, in memory. UserError for an unknown id. */
export async function prepareDataset(
  dataset: Dataset,
  plan: Plan,
  options: PrepareOptions = {},
): Promise<PreparedCase[]> {
  const byId = new Map([...dataset.test, ...dataset.training].map((entry) => [entry.id, entry]));
  const ids = options.ids ?? dataset.training.map((entry) => entry.id);
  const prepared: PreparedCase[] = [];
  for (const id of ids) {
    const entry =
      byId.get(id) ?? fail(`Expected a case of ${dataset.name}, but "${id}" is none; check the list of ids.`);
    const { images, label } = await readCase(entry, dataset.channels, dataset);
    prepared.push(prepareCase(images, label, plan, id));
    options.onProgress?.(prepared.length, ids.length);
  }
  return prepared;
}
