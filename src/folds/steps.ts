import { lookUp, masksOfValues, type Targets } from "../dataset/regions.ts";
import type { Interval } from "../evaluate/bootstrap.ts";
import { countClasses, countRegions, diceOf } from "../evaluate/overlap.ts";
import { keepLargest } from "../predict/components.ts";
import type { Postprocessing } from "../predict/postprocess.ts";
import { average } from "../study/statistics.ts";
import type { Vec3 } from "../volume/volume.ts";
import { pairedDifference } from "./compare.ts";

/** Components are those of voxels that share at least a corner, as in nnU-Net. */
export const connectivity = 26;

/** Dice of a case, by class or region, after the post-processings that are tried. */
export interface StepDice {
  plain: number[];
  /** With the largest component of the whole foreground alone. */
  foreground: number[];
  /** Entry c: that of class c with its own largest component alone, from the map as it is and from that of `foreground`. */
  own: number[];
  both: number[];
}

/** What is tried: the whole foreground, then each class; regions overlap, so that only the foreground is. */
export function stepDice(map: Uint8Array, truth: Uint8Array, shape: Vec3, targets: Targets): StepDice {
  const values = foregroundOf(targets);
  const whole = map.slice();
  keepLargest(whole, shape, values, connectivity);
  const plain = diceOfTargets(map, truth, targets);
  const foreground = diceOfTargets(whole, truth, targets);
  const ownOf = (base: Uint8Array): number[] =>
    values.map((value, c) => {
      const alone = base.slice();
      keepLargest(alone, shape, [value], connectivity);
      return diceOfTargets(alone, truth, targets)[c];
    });
  if (!hasSteps(targets)) return { plain, foreground, own: plain, both: foreground };
  return { plain, foreground, own: ownOf(map), both: ownOf(whole) };
}

const foregroundOf = ({ labels }: Targets): number[] => labels.slice(1).map(({ value }) => value);

/** Whether classes are tried one by one. */
const hasSteps = ({ labels, regions }: Targets): boolean => !regions && labels.length > 2;

/** Dice of each class or region of two maps of label values. */
export function diceOfTargets(map: Uint8Array, truth: Uint8Array, { labels, regions }: Targets): number[] {
  if (regions) {
    const table = masksOfValues(regions);
    return countRegions(lookUp(map.slice(), table), lookUp(truth.slice(), table), regions.length).map(diceOf);
  }
  const counts = countClasses(map, truth, 256);
  return labels.slice(1).map(({ value }) => diceOf(counts[value]));
}

/** One post-processing that was tried, on top of those that were taken before it. */
export interface TriedStep {
  values: number[];
  name: string;
  taken: boolean;
  /** Mean Dice over cases and classes. */
  before: number;
  after: number;
  /** Classes whose mean falls. */
  dropped: string[];
  /** Cases with a higher or lower mean. */
  better: number;
  worse: number;
  /** Of the difference, as {@link pairedDifference}. */
  difference: Interval;
}

export interface ChosenSteps {
  /** Null where nothing helps. */
  postprocessing: Postprocessing | null;
  tried: TriedStep[];
}

/** Differences below this are rounding. */
const tolerance = 1e-12;

/**
 * Takes a step where the mean Dice over cases and classes rises and that of no class falls. `subjects`, one a case, are what intervals
 * are over where they are given.
 */
export function chooseSteps(
  cases: readonly StepDice[],
  targets: Targets,
  names: readonly string[],
  subjects?: readonly string[],
): ChosenSteps {
  const tried: TriedStep[] = [];
  const start = cases.map(({ plain }) => plain);
  let now = start;
  const attempt = (values: number[], name: string, after: number[][]): void => {
    const means = (dice: readonly number[][]) => names.map((_, c) => average(dice.map((row) => row[c])));
    const [old, next] = [means(now), means(after)];
    const [meansBefore, meansAfter] = [now.map(average), after.map(average)];
    const changes = meansAfter.map((dice, i) => dice - meansBefore[i]);
    const dropped = names.filter((_, c) => next[c] < old[c] - tolerance);
    const [before, mean] = [average(old), average(next)];
    const taken = mean > before + tolerance && dropped.length === 0;
    tried.push({
      values,
      name,
      taken,
      before,
      after: mean,
      dropped,
      better: changes.filter((change) => change > tolerance).length,
      worse: changes.filter((change) => change < -tolerance).length,
      difference: pairedDifference(meansAfter, meansBefore, subjects),
    });
    if (taken) now = after;
  };
  const values = foregroundOf(targets);
  const only = values.length === 1 ? targets.labels[1].name : "whole foreground";
  attempt(
    values,
    only,
    cases.map(({ foreground }) => foreground),
  );
  const on = tried[0].taken ? "both" : "own";
  if (hasSteps(targets)) {
    for (const [c, value] of values.entries()) {
      attempt(
        [value],
        names[c],
        now.map((row, i) => row.with(c, cases[i][on][c])),
      );
    }
  }
  const sets = tried.flatMap((step) => (step.taken ? [step.values] : []));
  if (sets.length === 0) return { postprocessing: null, tried };
  const meanOf = (dice: readonly number[][], c: number): number => average(dice.map((row) => row[c]));
  const classes = names.map((name, c) => ({ name, before: meanOf(start, c), after: meanOf(now, c) }));
  const evidence = {
    cases: cases.length,
    before: average(classes.map(({ before }) => before)),
    after: average(classes.map(({ after }) => after)),
    classes,
  };
  return { postprocessing: { keepLargest: sets, connectivity, evidence }, tried };
}
