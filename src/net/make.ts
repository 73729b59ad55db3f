import { fail } from "../util/errors.ts";
import type { Vec3 } from "../volume/volume.ts";
import { defaultUnit, type NetSpec, type UnitSpec } from "./spec.ts";

export interface MakeOptions {
  /** Resolution levels: pools + 1, bottleneck counted (2 .. 6). */
  levels: number;
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

/** Classic U-Net widths: f channels at the finest level, twice as many at each level below. */
export function doubling(f: number, options: MakeOptions): NetSpec {
  return fromWidths((level) => f * 2 ** level, f, options);
}

/** Lean U-Net widths: C channels everywhere (arXiv 2512.03834). */
export function flat(c: number, options: MakeOptions): NetSpec {
  return fromWidths(() => c, c, options);
}

function fromWidths(widthOf: (level: number) => number, first: number, options: MakeOptions): NetSpec {
  const { levels, convs, inputChannels, outputChannels, output = "softmax", dimensions = 3 } = options;
  checkInteger("width", first, 1, 4096);
  checkInteger("levels", levels, 2, 6);
  checkInteger("convs", convs, 1, 3);
  checkInteger("inputChannels", inputChannels, 1, 4096);
  checkInteger("outputChannels", outputChannels, 1, 4096);
  const deep = dimensions === 3;
  const pools = options.pools ?? Array.from({ length: levels - 1 }, (): Vec3 => [deep ? 2 : 1, 2, 2]);
  const kernels = options.kernels ?? Array.from({ length: levels }, (): Vec3 => [deep ? 3 : 1, 3, 3]);
  const skips = options.skips ?? Array.from({ length: levels - 1 }, () => true);
  checkLength("pools", pools, levels - 1, levels);
  checkLength("kernels", kernels, levels, levels);
  checkLength("skips", skips, levels - 1, levels);
  const block = (level: number): number[] => Array.from({ length: convs }, () => widthOf(level));
  return {
    inputChannels,
    outputChannels,
    output,
    encoder: pools.map((_, level) => block(level)),
    bottleneck: block(levels - 1),
    decoder: pools.map((_, level) => ({ up: widthOf(level), convs: block(level) })),
    kernels: kernels.map((k) => [...k]),
    pools: pools.map((p) => [...p]),
    skips: [...skips],
    unit: { ...defaultUnit, ...options.unit },
  };
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
