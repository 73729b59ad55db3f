import { fail } from "../util/errors.ts";
import { listSome } from "../util/list-some.ts";
import { random } from "../util/random.ts";
import type { Groups } from "./groups.ts";
import type { Dataset, Fold } from "./types.ts";

export interface SplitOptions {
  /** Number of folds, default 5. */
  folds?: number;
  seed?: number;
  /**
   * Cases of one subject stay together. A pattern with one capture group is matched against the case id and the captured
   * text is the subject; or a table case id -> subject.
   */
  groups?: string | Groups;
}

/** The folds of a set: its own (splits.json) where it has them, else seeded ones made by {@link makeFolds}. */
export function foldsOf(dataset: Dataset, options: SplitOptions = {}): Fold[] {
  if (dataset.splits && options.folds === undefined && options.groups === undefined) return dataset.splits;
  return makeFolds(
    dataset.training.map((entry) => entry.id),
    options,
  );
}

/**
 * Cuts cases into folds of nearly equal size: subjects are shuffled by the seed, then each goes to the fold with the fewest
 * cases so far. Every case is in `val` of exactly one fold. The order of `ids` does not matter.
 */
export function makeFolds(ids: readonly string[], options: SplitOptions = {}): Fold[] {
  const { folds = 5, seed = 0, groups } = options;
  const subjects = new Map<string, string[]>();
  for (const id of [...ids].sort()) {
    const subject = subjectOf(id, groups);
    subjects.set(subject, [...(subjects.get(subject) ?? []), id]);
  }
  if (!Number.isInteger(folds) || folds < 2) fail(`Expected 2 or more folds, but got ${folds}; ask for at least 2.`);
  if (subjects.size < folds) {
    const what = groups ? "subject" : "case";
    const [there, advice] =
      subjects.size === 1
        ? ["is 1", "train on it without validation (--fold none)"]
        : [
            `are ${subjects.size}`,
            `make ${subjects.size} folds at most (--folds), or train on all without validation (--fold none)`,
          ];
    fail(
      `Expected at least ${folds} ${what}s for ${folds} folds, but there ${there} (${listSome([...subjects.keys()])}); ${advice}.`,
    );
  }
  const val: string[][] = Array.from({ length: folds }, () => []);
  for (const [, members] of random(seed).shuffle([...subjects])) {
    let smallest = 0;
    for (let f = 1; f < folds; f++) if (val[f].length < val[smallest].length) smallest = f;
    val[smallest].push(...members);
  }
  return val.map((held) => {
    const out = new Set(held);
    return { train: [...ids].sort().filter((id) => !out.has(id)), val: [...held].sort() };
  });
}

function subjectOf(id: string, groups: SplitOptions["groups"]): string {
  if (groups === undefined) return id;
  if (typeof groups === "string" || groups instanceof RegExp) {
    const subject = new RegExp(groups).exec(id)?.[1];
    return (
      subject ??
      fail(`Expected the subject pattern ${groups} to capture one group in every case id, but "${id}" gives none.`)
    );
  }
  return groups[id] ?? fail(`Expected a subject for every case in the table of groups, but "${id}" has none; add it.`);
}
