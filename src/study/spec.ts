import * as v from "valibot";
import { fail } from "../util/errors.ts";
import { nearest } from "../util/nearest.ts";

const whole = (low: number, high = 2 ** 31 - 1) =>
  v.message(
    v.pipe(v.number(), v.integer(), v.minValue(low), v.maxValue(high)),
    high === 2 ** 31 - 1 ? `a whole number from ${low} up` : `a whole number from ${low} to ${high}`,
  );
const number = (low: number, high: number) =>
  v.message(v.pipe(v.number(), v.minValue(low), v.maxValue(high)), `a number from ${low} to ${high}`);
const text = v.pipe(v.string("a text"), v.nonEmpty("a text that is not empty"));
const oneOf = <const T extends readonly string[]>(...words: T) => v.picklist(words, words.join(" or "));
const limit = v.union([v.number(), v.string()], 'a number, or a share such as "10%"');

const settings = v.strictObject(
  {
    lr: v.optional(number(0, 100)),
    schedule: v.optional(oneOf("constant", "poly", "cosine")),
    warmup: v.optional(number(0, 0.9)),
    batch: v.optional(whole(1, 1024)),
    patch: v.optional(text),
    augment: v.optional(oneOf("none", "light", "full", "spatial", "intensity")),
    shift: v.optional(number(0, 0.5)),
    foreground: v.optional(number(0, 1)),
    loss: v.optional(text),
    "class-weights": v.optional(text),
    "label-smoothing": v.optional(number(0, 0.9)),
    optimiser: v.optional(text),
    "weight-decay": v.optional(number(0, 100)),
    clip: v.optional(number(0, 1e9)),
    ema: v.optional(number(0, 0.999999)),
    dropout: v.optional(number(0, 0.9)),
    "deep-supervision": v.optional(v.boolean("true or false")),
  },
  "settings by name, as in {batch: 4}",
);

const pruning = v.strictObject(
  {
    criterion: v.optional(oneOf("taylor", "l1", "l2", "l1-sd", "random", "weight", "bn-scale")),
    remove: v.optional(whole(1)),
    warm: v.optional(whole(1)),
    recovery: v.optional(whole(1)),
    "recovery-lr": v.optional(number(0, 100)),
    until: v.optional(
      v.strictObject(
        { parameters: v.optional(limit), channels: v.optional(limit), removed: v.optional(limit) },
        'limits by name, as in {parameters: "10%"}',
      ),
    ),
    patience: v.optional(whole(0)),
    "rank-batches": v.optional(whole(1)),
    "check-every": v.optional(whole(1)),
    "check-cases": v.optional(whole(1)),
    sizes: v.optional(whole(2, 1000)),
  },
  "settings of pruning by name, as in {remove: 4}",
);

const unit = v.strictObject(
  {
    norm: v.optional(oneOf("batch", "instance", "none")),
    order: v.optional(oneOf("conv-act-norm", "conv-norm-act")),
    slope: v.optional(number(0, 1)),
  },
  "an object with norm, order or slope, as in {norm: instance}",
);

const skipSetting = v.union(
  [oneOf("all", "none"), v.pipe(v.array(v.boolean()), v.minLength(1))],
  "all, none, or true or false for each level",
);
const oneOrMore = <T extends v.GenericSchema>(item: T, words: string) =>
  v.union([item, v.pipe(v.array(item), v.minLength(1))], words);

const arm = v.strictObject(
  {
    net: v.optional(text),
    prune: v.optional(text),
    "equal-to": v.optional(text),
    pick: v.optional(
      oneOrMore(
        oneOf("stamp", "random-at-stamp-layer", "random-at-largest"),
        "stamp, random-at-stamp-layer, random-at-largest, or a list of them",
      ),
    ),
    label: v.optional(text),
    role: v.optional(text),
    skips: v.optional(oneOrMore(skipSetting, "all, none, true or false for each level, or a list of these")),
    bottleneck: v.optional(oneOrMore(whole(1, 1024), "a width or a list of widths")),
    "training-cases": v.optional(oneOrMore(whole(1), "a number of cases or a list of numbers")),
    levels: v.optional(whole(2, 6)),
    convs: v.optional(whole(1, 3)),
    unit: v.optional(unit),
    preset: v.optional(oneOf("strong", "paper")),
    steps: v.optional(whole(1)),
    settings: v.optional(settings),
    pruning: v.optional(pruning),
  },
  "an object with the key net or prune",
);

const study = v.strictObject(
  {
    name: v.pipe(text, v.regex(/^[\w.-]+$/, "a name of letters, digits, dots and hyphens")),
    data: v.optional(text),
    images: v.optional(text),
    labels: v.optional(text),
    groups: v.optional(text),
    cases: v.optional(whole(3)),
    split: v.optional(whole(3, 1000)),
    folds: v.optional(v.pipe(v.array(whole(0)), v.minLength(1, "a list of fold numbers"))),
    seeds: v.optional(v.pipe(v.array(whole(0)), v.minLength(1, "a list of whole numbers"))),
    levels: v.optional(whole(2, 6)),
    convs: v.optional(whole(1, 3)),
    mirror: v.optional(text),
    preset: v.optional(oneOf("strong", "paper")),
    steps: v.optional(whole(1)),
    "epoch-steps": v.optional(whole(1)),
    settings: v.optional(settings),
    pruning: v.optional(pruning),
    tolerance: v.optional(number(0, 1000)),
    margin: v.optional(number(0, 1)),
    arms: v.pipe(v.array(arm, "a list of arms"), v.minLength(1, "a list of one arm or more")),
  },
  "an object with the keys name, data and arms",
);

/** One entry of `arms`; lists in it stand for an arm each. */
export type ArmSpec = v.InferOutput<typeof arm>;
/** A study as its file states it; docs/reference.md explains each key. */
export type StudySpec = v.InferOutput<typeof study>;
/** Training settings by the names of the command line's options. */
export type SettingsSpec = v.InferOutput<typeof settings>;
export type PruningSpec = v.InferOutput<typeof pruning>;

type Path = readonly (string | number)[];

/** Keys that may stand at a path of the file. */
function keysAt(path: Path): string[] {
  const last = path.at(-1);
  if (last === "settings") return Object.keys(settings.entries);
  if (last === "pruning") return Object.keys(pruning.entries);
  if (last === "until") return ["parameters", "channels", "removed"];
  if (path[0] === "arms") return Object.keys(arm.entries);
  return Object.keys(study.entries);
}

/**
 * The study that a value describes. `where` names the file; `lineOf` gives the line of a path in it, where it has lines. Throws a
 * UserError for the first thing that is wrong: an unknown key is told with the nearest known one.
 */
export function studyFromValue(value: unknown, where: string, lineOf: (path: Path) => number | null): StudySpec {
  // To valibot a list is an object with the keys 0, 1, ...
  const result = v.safeParse(study, Array.isArray(value) ? null : value);
  if (result.success) return result.output;
  const unknown = result.issues.find((issue) => issue.type === "strict_object" && issue.expected === "never");
  const issue = unknown ?? result.issues[0];
  const path = (issue.path ?? []).map(({ key }) => key as string | number);
  const line = lineOf(path);
  const place = line === null ? where : `${where}, line ${line}`;
  const key = path.at(-1);
  if (unknown && typeof key === "string") {
    const parent = path.slice(0, -1);
    fail(`${place}: unknown key "${key}"; did you mean "${nearest(key, keysAt(parent))}"?`);
  }
  const name = v.getDotPath(issue);
  if (issue.input === undefined && name !== null) fail(`${place}: expected the key "${name}", but it is missing.`);
  return fail(
    `${place}: expected ${name === null ? "" : `key "${name}" to be `}${issue.message}, but got ${issue.received}.`,
  );
}
