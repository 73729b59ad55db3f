import { netOutput } from "../dataset/regions.ts";
import type { Plan } from "../dataset/types.ts";
import { fail } from "../util/errors.ts";
import { nearest } from "../util/nearest.ts";
import type { Vec3 } from "../volume/volume.ts";
import { netFromJson } from "./json.ts";
import { defaultUnit, type NetSpec, type UnitSpec } from "./spec.ts";

export interface MakeOptions {
  /** Resolution levels: pools + 1, bottleneck counted (2 .. 6). Default 5, or as many as a JSON net's encoder asks for. */
  levels?: number;
  /** Convolutions a block (1 .. 3). */
  convs: number;
  inputChannels: number;
  /** Classes with background (softmax) or regions (sigmoid). */
  outputChannels: number;
  output?: "softmax" | "sigmoid";
  /** 2 makes kernels 1x3x3 and pools (1, 2, 2). Default 3. */
  dimensions?: 2 | 3;
  /** One per pool, from the plan of anisotropic data. Default 2 along every axis. */
  pools?: Vec3[];
  /** One per level. Default 3 along every axis. */
  kernels?: Vec3[];
  /** One per pool. Default all on. */
  skips?: boolean[];
  unit?: Partial<UnitSpec>;
}

/** What a plan says of its nets. */
export function optionsOfPlan(plan: Plan): Omit<MakeOptions, "convs"> {
  return {
    levels: plan.pools.length + 1,
    inputChannels: plan.channels.length,
    ...netOutput(plan),
    dimensions: plan.dimensions,
    pools: plan.pools,
    kernels: plan.kernels,
  };
}

/** Classic U-Net widths: f channels at the finest level, twice as many at each level below. */
export function doubling(f: number, options: MakeOptions): NetSpec {
  return fromWidths(f, (level) => f * 2 ** level, options);
}

/** Lean U-Net widths: C channels everywhere (arXiv 2512.03834). */
export function flat(c: number, options: MakeOptions): NetSpec {
  return fromWidths(c, () => c, options);
}

const families = { lean: flat, flat, unet: doubling, doubling };

/**
 * A net by its command-line name: `lean:8` (or `flat:8`), `unet:4` (or `doubling:4`), or a JSON object of widths
 * (see {@link netFromJson}; what it leaves out comes from the options). Throws UserError for anything else.
 */
export function parseNet(name: string, options: MakeOptions): NetSpec {
  const text = name.trim();
  if (text.startsWith("{")) {
    const value = parseJson(text) as { encoder?: unknown } | null;
    const own = Array.isArray(value?.encoder) ? value.encoder.length + 1 : undefined;
    return netFromJson(value, frame({ ...options, levels: options.levels ?? own }));
  }
  const [, family, width] = /^([^:]*)(?::(.*))?$/s.exec(text) ?? [];
  const make = Object.hasOwn(families, family) ? families[family as keyof typeof families] : undefined;
  if (!make) {
    fail(
      `Expected a net such as lean:8 or unet:4 (families: ${Object.keys(families).join(", ")}; or a JSON object of ` +
        `widths), but got "${text}"; did you mean ${nearest(family, Object.keys(families))}:${width || 8}?`,
    );
  }
  if (width === undefined || !/^\d+$/.test(width)) {
    fail(`Expected a whole number of channels after "${family}:", as in ${family}:8, but got "${text}".`);
  }
  return make(Number(width), options);
}

function fromWidths(first: number, widthOf: (level: number) => number, options: MakeOptions): NetSpec {
  const base = frame(options);
  checkInteger("width", first, 1, 1024);
  checkInteger("convs", options.convs, 1, 3);
  const block = (level: number): number[] => Array.from({ length: options.convs }, () => widthOf(level));
  return {
    ...base,
    encoder: base.pools.map((_, level) => block(level)),
    bottleneck: block(base.pools.length),
    decoder: base.pools.map((_, level) => ({ up: widthOf(level), convs: block(level) })),
  };
}

/** All of a net but its widths. */
function frame(options: MakeOptions): Omit<NetSpec, "encoder" | "bottleneck" | "decoder"> {
  const { levels = 5, inputChannels, outputChannels, output = "softmax", dimensions = 3 } = options;
  checkInteger("levels", levels, 2, 6);
  checkInteger("inputChannels", inputChannels, 1, 1024);
  checkInteger("outputChannels", outputChannels, 1, 1024);
  const deep = dimensions === 3;
  const pools = options.pools ?? Array.from({ length: levels - 1 }, (): Vec3 => [deep ? 2 : 1, 2, 2]);
  const kernels = options.kernels ?? Array.from({ length: levels }, (): Vec3 => [deep ? 3 : 1, 3, 3]);
  const skips = options.skips ?? Array.from({ length: levels - 1 }, () => true);
  checkLength("pools", pools, levels - 1, levels);
  checkLength("kernels", kernels, levels, levels);
  checkLength("skips", skips, levels - 1, levels);
  return {
    inputChannels,
    outputChannels,
    output,
    kernels: kernels.map((k) => [...k]),
    pools: pools.map((p) => [...p]),
    skips: [...skips],
    unit: { ...defaultUnit, ...options.unit },
  };
}

function parseJson(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch (error) {
    return fail(`Expected the net to be a JSON object of widths, but it does not parse: ${(error as Error).message}.`);
  }
}

function checkInteger(key: string, value: number, low: number, high: number): void {
  if (!Number.isInteger(value) || value < low || value > high) {
    fail(`Expected ${key} of the net to be a whole number from ${low} to ${high}, but got ${value}.`);
  }
}

function checkLength(key: string, list: unknown[], expected: number, levels: number): void {
  if (list.length !== expected) {
    fail(`Expected ${expected} entries in ${key} for a net of ${levels} levels, but got ${list.length}.`);
  }
}
