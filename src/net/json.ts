import * as v from "valibot";
import { fail } from "../util/errors.ts";
import { defaultUnit, type NetSpec } from "./spec.ts";

const channels = v.message(
  v.pipe(v.number(), v.integer(), v.minValue(1), v.maxValue(1024)),
  "a whole number from 1 to 1024",
);
const block = v.message(v.pipe(v.array(channels), v.minLength(1)), "a list of widths, one for every convolution");
const triple = (...values: number[]) => {
  const text = values.join(" or ");
  const entry = v.picklist(values, text);
  return v.strictTuple([entry, entry, entry], `three numbers (D, H, W), each ${text}`);
};
const level = v.strictObject({ up: channels, convs: block }, "an object {up, convs}");
const unit = v.strictObject(
  {
    order: v.optional(v.picklist(["conv-act-norm", "conv-norm-act"], '"conv-act-norm" or "conv-norm-act"')),
    norm: v.optional(v.picklist(["batch", "instance", "none"], '"batch", "instance" or "none"')),
    slope: v.optional(v.message(v.pipe(v.number(), v.minValue(0), v.maxValue(1)), "a number from 0 to 1")),
    eps: v.optional(v.message(v.pipe(v.number(), v.gtValue(0)), "a number above 0")),
    momentum: v.optional(v.message(v.pipe(v.number(), v.minValue(0), v.maxValue(1)), "a number from 0 to 1")),
  },
  "an object",
);
const schema = v.strictObject({
  inputChannels: channels,
  outputChannels: channels,
  output: v.optional(v.picklist(["softmax", "sigmoid"], '"softmax" or "sigmoid"'), "softmax"),
  encoder: v.message(v.pipe(v.array(block), v.minLength(1), v.maxLength(8)), "a list of 1 to 8 lists of widths"),
  bottleneck: block,
  decoder: v.array(level, "a list with one object {up, convs} per level"),
  kernels: v.array(triple(1, 3), "a list with three numbers per level"),
  pools: v.array(triple(1, 2), "a list with three numbers per pool"),
  skips: v.array(v.boolean("true or false"), "a list of true or false per pool"),
  unit: v.optional(unit, {}),
});

/**
 * A net from a JSON value: the keys of {@link NetSpec}. `defaults` stands for keys that are left out; `output`
 * defaults to softmax and the fields of `unit` to defaultUnit. Throws UserError naming the first wrong key.
 */
export function netFromJson(value: unknown, defaults: Partial<NetSpec> = {}): NetSpec {
  if (typeof value !== "object" || value === null || Array.isArray(value)) {
    const got = Array.isArray(value) ? "a list" : JSON.stringify(value);
    fail(`Expected the net to be an object with the keys encoder, bottleneck, decoder, ..., but got ${got}.`);
  }
  const result = v.safeParse(schema, { ...defaults, ...value });
  if (!result.success) fail(issueSentence(result.issues[0], "the net"));
  const net = result.output;
  const levels = net.encoder.length;
  checkLength("decoder", net.decoder, levels, levels);
  checkLength("pools", net.pools, levels, levels);
  checkLength("skips", net.skips, levels, levels);
  checkLength("kernels", net.kernels, levels + 1, levels);
  return { ...net, unit: { ...defaultUnit, ...net.unit } } as NetSpec;
}

/** One sentence for a valibot issue whose schema messages say what was expected; `where` as in "the net". */
export function issueSentence(issue: v.BaseIssue<unknown>, where: string): string {
  const key = v.getDotPath(issue);
  if (issue.type === "strict_object" && issue.expected === "never") {
    return `Expected only known keys in ${where}, but got "${key}": remove it or check its spelling.`;
  }
  if (issue.input === undefined) return `Expected key "${key}" in ${where}, but it is missing.`;
  return `Expected ${key === null ? "" : `key "${key}" of `}${where} to be ${issue.message}, but got ${issue.received}.`;
}

function checkLength(key: string, list: unknown[], expected: number, levels: number): void {
  if (list.length !== expected) {
    const reason = `the encoder has ${levels} level${levels === 1 ? "" : "s"}`;
    fail(`Expected key "${key}" of the net to have ${expected} entries because ${reason}, but it has ${list.length}.`);
  }
}
