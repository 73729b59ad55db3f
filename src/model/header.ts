import * as v from "valibot";
import { mostRegions } from "../dataset/regions.ts";
import type { Plan } from "../dataset/types.ts";
import type { Calibration } from "../evaluate/calibration.ts";
import { issueSentence } from "../net/json.ts";
import type { Postprocessing, TestTime } from "../predict/postprocess.ts";
import { fail } from "../util/errors.ts";
import type { Provenance } from "./types.ts";

const text = v.string("text");
const number = v.number("a number");
const count = v.message(v.pipe(v.number(), v.integer(), v.minValue(0)), "a whole number of 0 or more");
const natural = v.message(v.pipe(v.number(), v.integer(), v.minValue(1)), "a whole number of 1 or more");
const vec3 = <T extends v.GenericSchema>(item: T) => v.strictTuple([item, item, item], "three numbers (D, H, W)");
const positive = v.message(v.pipe(v.number(), v.gtValue(0)), "a number above 0");

const normalisation = v.variant(
  "kind",
  [
    v.object({ kind: v.literal("zscore"), percentiles: v.nullable(v.strictTuple([number, number], "two numbers")) }),
    v.object({ kind: v.literal("ct"), low: number, high: number, mean: number, sd: positive }),
    v.object({ kind: v.literal("scale"), divisor: positive }),
  ],
  'an object with kind "zscore", "ct" or "scale"',
);

const regions = v.message(
  v.pipe(
    v.array(v.object({ name: text, values: v.pipe(v.array(natural), v.minLength(1)), paint: natural })),
    v.minLength(1),
    v.maxLength(mostRegions),
  ),
  `a list of 1 to ${mostRegions} regions, each with a name, values and a value to paint`,
);

const planSchema = v.object(
  {
    version: v.literal(1, "1 (update lunet to read newer plans)"),
    dataset: text,
    dimensions: v.picklist([2, 3], "2 or 3"),
    channels: v.message(v.pipe(v.array(v.object({ name: text, normalisation })), v.minLength(1)), "a list of channels"),
    labels: v.message(v.pipe(v.array(v.object({ value: count, name: text })), v.minLength(1)), "a list of labels"),
    regions: v.optional(regions),
    spacing: vec3(positive),
    patch: vec3(natural),
    batch: natural,
    pools: v.array(vec3(v.picklist([1, 2], "1 or 2")), "a list with three numbers per pool"),
    kernels: v.array(vec3(v.picklist([1, 3], "1 or 3")), "a list with three numbers per level"),
    mirrorAxes: v.array(v.picklist([0, 1, 2], "0, 1 or 2"), "a list of axes"),
    reasons: v.array(text, "a list of sentences"),
  },
  "an object",
);

/** JSON has no NaN (a class that no validation case holds): it is written as null. */
const dice = v.pipe(
  v.nullable(number),
  v.transform((value) => value ?? Number.NaN),
);

const provenanceSchema = v.object(
  {
    lunet: text,
    created: text,
    seed: number,
    preset: text,
    fold: v.nullable(count),
    steps: count,
    trainingCases: v.array(text, "a list of case ids"),
    validationCases: v.array(text, "a list of case ids"),
    teacherCases: v.optional(v.array(text, "a list of case ids")),
    validationDice: v.nullable(v.array(dice, "a list of numbers")),
  },
  "an object",
);

const calibrationSchema = v.object(
  {
    temperature: positive,
    eceBefore: number,
    eceAfter: number,
    nllBefore: number,
    nllAfter: number,
    cases: natural,
    voxels: natural,
  },
  "an object",
);

const evidence = { before: number, after: number };

const postprocessingSchema = v.object(
  {
    keepLargest: v.array(v.message(v.pipe(v.array(natural), v.minLength(1)), "a list of label values"), "a list"),
    connectivity: v.picklist([6, 26], "6 or 26"),
    evidence: v.object(
      { cases: natural, ...evidence, classes: v.array(v.object({ name: text, ...evidence }), "a list of classes") },
      "an object",
    ),
  },
  "an object",
);

const testTimeSchema = v.object({ mirror: v.boolean("true or false"), shifts: count }, "an object");

/** A plan from a JSON value; keys it does not know are dropped. Throws UserError naming the first wrong key. */
export function planFromJson(value: unknown): Plan {
  const result = v.safeParse(planSchema, value);
  return result.success ? result.output : fail(issueSentence(result.issues[0], "the plan"));
}

/** A provenance from a JSON value, as {@link planFromJson}. */
export function provenanceFromJson(value: unknown): Provenance {
  const result = v.safeParse(provenanceSchema, value);
  return result.success ? result.output : fail(issueSentence(result.issues[0], "the provenance"));
}

/** A calibration from a JSON value, as {@link planFromJson}. */
export function calibrationFromJson(value: unknown): Calibration {
  const result = v.safeParse(calibrationSchema, value);
  return result.success ? result.output : fail(issueSentence(result.issues[0], "the calibration"));
}

/** A post-processing from a JSON value, as {@link planFromJson}. */
export function postprocessingFromJson(value: unknown): Postprocessing {
  const result = v.safeParse(postprocessingSchema, value);
  return result.success ? result.output : fail(issueSentence(result.issues[0], "the post-processing"));
}

/** What to average at prediction from a JSON value, as {@link planFromJson}. */
export function testTimeFromJson(value: unknown): TestTime {
  const result = v.safeParse(testTimeSchema, value);
  return result.success ? result.output : fail(issueSentence(result.issues[0], "the averaging at prediction"));
}
