import type { Groups } from "../dataset/groups.ts";
import { foldsOf } from "../dataset/splits.ts";
import type { Dataset } from "../dataset/types.ts";
import { fail } from "../util/errors.ts";
import { random } from "../util/random.ts";

/** The cases of one fold: what a net learns from, what chooses its best weights or size, and what it is judged by. */
export interface Parts {
  training: string[];
  validation: string[];
  test: string[];
}

export interface PartsOptions {
  /** Folds to make; default the set's own, else five. */
  split?: number;
  /** Who belongs together. */
  groups?: Groups;
  /** Use only about so many cases, the same share of each fold. */
  cases?: number;
}

/**
 * The parts of every fold: fold k is the test part, fold k + 1 validates, the rest trains. So nothing that chooses a net sees the
 * cases that it is judged by. UserError where there are too few folds or a subject's cases lie in two of them.
 */
export function partsOf(dataset: Dataset, options: PartsOptions = {}): Parts[] {
  const { split, groups, cases } = options;
  const own = dataset.splits && split === undefined;
  const held = foldsOf(dataset, own ? {} : { folds: split, groups }).map(({ val }) => val);
  if (held.length < 3) {
    fail(
      `Expected 3 folds or more for a study (one tests, one validates, the rest trains), but splits.json has ${held.length}; ` +
        `make others with the key split.`,
    );
  }
  checkApart(held, groups);
  const used =
    cases === undefined
      ? held
      : held.map((ids, k) =>
          shuffled(ids, k)
            .slice(0, Math.ceil(cases / held.length))
            .sort(),
        );
  return used.map((test, k) => {
    const validation = used[(k + 1) % used.length];
    const training = used.filter((_, other) => other !== k && other !== (k + 1) % used.length).flat();
    return { training: training.sort(), validation, test };
  });
}

/** `count` of the training cases by chance: fewer are always part of more, and every arm gets the same. */
export function someCases(training: readonly string[], count: number, fold: number, seed: number): string[] {
  if (count > training.length) {
    fail(`Expected training-cases of at most ${training.length}, which fold ${fold} has, but got ${count}.`);
  }
  return shuffled(training, fold, seed).slice(0, count).sort();
}

function shuffled(ids: readonly string[], ...keys: number[]): string[] {
  return random(0x5eed, ...keys).shuffle([...ids].sort());
}

/** No case and no subject may lie in two folds. */
function checkApart(held: readonly string[][], groups: Groups | undefined): void {
  const where = new Map<string, number>();
  for (const [fold, ids] of held.entries()) {
    for (const id of ids) {
      const subject = groups === undefined ? id : subjectOf(id, groups);
      const other = where.get(subject) ?? fold;
      if (other !== fold || (groups === undefined && where.has(subject))) {
        fail(
          `Expected every ${groups ? "subject" : "case"} in one fold of splits.json, but ${subject} is in the folds ${other} and ` +
            `${fold}; mend the file or make other folds with the key split.`,
        );
      }
      where.set(subject, fold);
    }
  }
}

/** The subject of a case, as {@link Groups} tell it. */
export function subjectOf(id: string, groups: Groups): string {
  const subject = groups instanceof RegExp ? groups.exec(id)?.[1] : groups[id];
  return (
    subject ??
    fail(`Expected a subject for every case (groups), but case ${id} has none; mend the pattern or the table.`)
  );
}
