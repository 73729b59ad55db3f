import { basename, resolve } from "node:path";
import { foldFolder, loadModels } from "../model/files.ts";
import { knownCases } from "../model/known-cases.ts";
import type { Model } from "../model/types.ts";
import { fail } from "../util/errors.ts";
import { listSome } from "../util/list-some.ts";
import { type FoldsFile, readFoldRuns, readFoldsFile } from "./record.ts";

/** A cross-validation that is to be compared with others on the same folds. */
export interface Configuration {
  /** Name of its folder. */
  name: string;
  folder: string;
  record: FoldsFile;
  /** One a fold. */
  models: Model[];
}

/**
 * The cross-validations in some folders. Throws UserError where a fold is missing or not finished, where a model was trained on
 * cases that it should validate, and where the folders are not of the same folds of the same data.
 */
export async function readConfigurations(folders: readonly string[]): Promise<Configuration[]> {
  const places = folders.map((folder) => resolve(folder));
  const twice = places.find((place, i) => places.indexOf(place) !== i);
  if (twice) fail(`Expected every folder once, but got ${twice} twice; leave out one.`);
  const names = places.map((place) => basename(place));
  const all: Configuration[] = [];
  for (const [i, folder] of places.entries()) {
    // Folders of one name are told apart by their paths.
    const name = names.indexOf(names[i]) === names.lastIndexOf(names[i]) ? names[i] : folders[i];
    const record = await readFoldsFile(folder);
    const runs = await readFoldRuns(folder, record.cases.length);
    const models = await loadModels(folder);
    const open = runs.flatMap((run, fold) => (run && run.result === null ? [fold] : []));
    if (open.length > 0) {
      fail(
        `Expected finished folds in ${folder}, but fold ${open.join(", ")} is not; go on with lunet train --resume --out ${folder}.`,
      );
    }
    for (const [fold, model] of models.entries()) checkUnseen(model, record.cases[fold].val, foldFolder(folder, fold));
    all.push({ name, folder, record, models });
  }
  for (const other of all.slice(1)) checkComparable(all[0], other);
  return all;
}

function checkUnseen({ provenance }: Model, validation: readonly string[], where: string): void {
  const trained = new Set(provenance.trainingCases);
  const seen = validation.filter((id) => trained.has(id));
  if (seen.length > 0) {
    fail(
      `Expected the model in ${where} not to know the cases that its fold validates, but it was trained on ${listSome(seen)}: the ` +
        `folds are not of one cross-validation; train them again with --fold all.`,
    );
  }
  const known = knownCases(provenance);
  const taught = validation.filter((id) => known.has(id));
  if (taught.length > 0) {
    fail(
      `Expected the model in ${where} not to know the cases that its fold validates, but a model that it learned from (--distil) was ` +
        `trained on ${listSome(taught)}; let a cross-validation with the same folds teach, or none.`,
    );
  }
}

function checkComparable(first: Configuration, other: Configuration): void {
  const differs = (what: string, of: (configuration: Configuration) => unknown): void => {
    if (JSON.stringify(of(first)) === JSON.stringify(of(other))) return;
    fail(
      `Expected cross-validations with the same ${what}, but those in ${first.folder} and ${other.folder} differ; compare only those of ` +
        `one data set with the same folds (--folds, --groups).`,
    );
  };
  const targets = ({ models }: Configuration) => models[0].plan;
  differs("label values", (one) => targets(one).labels.map(({ value }) => value));
  differs("regions", (one) => targets(one).regions?.map(({ values }) => values) ?? []);
  differs("channels", (one) => targets(one).channels.map(({ name }) => name));
  differs("folds", ({ record }) => record.cases.map(({ val }) => val.toSorted()));
}
