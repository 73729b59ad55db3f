import type { Model } from "../model/types.ts";
import { fail } from "../util/errors.ts";
import type { Connectivity } from "../volume/components.ts";
import type { Vec3 } from "../volume/volume.ts";
import { keepLargest } from "./components.ts";

/** What is done to a label map after prediction, and what it brought on cases that the models had not seen. */
export interface Postprocessing {
  /**
   * Sets of label values, one after the other: of the voxels that hold one of them only the largest connected component is kept,
   * the others become background. A class is a set of one, the whole foreground the set of all.
   */
  keepLargest: number[][];
  connectivity: Connectivity;
  /** Dice before and after: means over the cases, by class or region and over these. */
  evidence: {
    cases: number;
    before: number;
    after: number;
    classes: { name: string; before: number; after: number }[];
  };
}

/** What is averaged at prediction beside the models, where it was found to help. */
export interface TestTime {
  /** Over mirror images along the plan's mirror axes. */
  mirror: boolean;
  /** Over so many one-voxel shifts. */
  shifts: number;
}

/** What `lunet best` wrote into a model file. */
export type Choices = Pick<Model, "postprocessing" | "testTime">;

/** Does it in place on a map of label values [D, H, W], on whatever grid; gives the number of voxels removed. */
export function postprocess(
  map: Uint8Array,
  shape: Vec3,
  { keepLargest: sets, connectivity }: Pick<Postprocessing, "keepLargest" | "connectivity">,
): number {
  return sets.reduce((removed, values) => removed + keepLargest(map, shape, values, connectivity), 0);
}

/**
 * The choices that all models of an ensemble share. UserError where they do not: they were made for each alone, or for another
 * ensemble, so nobody knows what is good for this one.
 */
export function sharedChoices(models: readonly Model[], use: { postprocessing: boolean; testTime: boolean }): Choices {
  const [first] = models;
  const shared = <T>(
    what: string,
    option: string,
    of: (model: Model) => T | undefined,
    words: (value: T) => unknown,
  ) => {
    const key = (model: Model): string => {
      const value = of(model);
      return value === undefined ? "none" : JSON.stringify(words(value));
    };
    const other = models.findIndex((model) => key(model) !== key(first));
    if (other > 0) {
      fail(
        `Models of an ensemble must share their ${what}, but model 1 has ${key(first)} and model ${other + 1} ${key(models[other])}; ` +
          `run lunet best on all of them together, or ${option}.`,
      );
    }
    return of(first);
  };
  return {
    postprocessing: use.postprocessing
      ? shared(
          "post-processing",
          "leave it out with --no-postprocess",
          (model) => model.postprocessing,
          ({ keepLargest: sets, connectivity }) => [sets, connectivity],
        )
      : undefined,
    testTime: use.testTime
      ? shared(
          "averaging at prediction",
          "state --mirror or --no-mirror and --shifts",
          (model) => model.testTime,
          ({ mirror, shifts }) => ({ mirror, shifts }),
        )
      : undefined,
  };
}

/** "keep the largest component of the whole foreground, then of 2 posterior": what is done, in words. */
export function postprocessingWords({ keepLargest: sets }: Postprocessing, labels: Model["plan"]["labels"]): string {
  const foreground = labels.filter(({ value }) => value !== 0);
  const name = (value: number): string => foreground.find((label) => label.value === value)?.name ?? `label ${value}`;
  const words = sets.map((values) =>
    foreground.length > 1 && foreground.every(({ value }) => values.includes(value))
      ? "the whole foreground"
      : values.map(name).join(" + "),
  );
  return `keep the largest component of ${words.join(", then of ")}`;
}
