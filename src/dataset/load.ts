import { fail } from "../util/errors.ts";
import { readChannels, readVolume, scanExtension } from "../volume/files.ts";
import type { Volume } from "../volume/volume.ts";
import { prepareCase } from "./preprocess.ts";
import type { Dataset, DatasetCase, Plan, PreparedCase } from "./types.ts";

/** Reads a case's channels and its label (where it has one) as they are in the files. UserError for a wrong channel count. */
export async function readCase(
  entry: DatasetCase,
  channels: readonly string[],
): Promise<{ images: Volume[]; label?: Volume }> {
  let images = (await Promise.all(entry.images.map((path) => readChannels(path)))).flat();
  // A picture in grey among colour ones has three equal channels.
  const grey = images.length === 1 && scanExtension(entry.images[0]) === ".png";
  if (grey && channels.length === 3) images = [images[0], images[0], images[0]];
  if (images.length !== channels.length) {
    fail(
      `Expected ${channels.length} channels (${channels.join(", ")}) for case ${entry.id}, but its files hold ${images.length}; mend the files or the channel names in dataset.json.`,
    );
  }
  return { images, ...(entry.label ? { label: await readVolume(entry.label) } : {}) };
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
    const { images, label } = await readCase(entry, dataset.channels);
    prepared.push(prepareCase(images, label, plan, id));
    options.onProgress?.(prepared.length, ids.length);
  }
  return prepared;
}
