import type { Mode } from "../src/cli/bench-profile.ts";
import { countNet } from "../src/net/count.ts";
import { type MakeOptions, parseNet } from "../src/net/make.ts";
import type { NetSpec } from "../src/net/spec.ts";
import { fail } from "../src/util/errors.ts";
import type { Vec3 } from "../src/volume/volume.ts";

export type Runner = "lunet" | "onnxruntime" | "torch";

/** What is measured; its name is {@link caseName}. */
export interface BenchCase {
  /** As on the command line, e.g. lean:8. */
  net: string;
  mode: Mode;
  dimensions: 2 | 3;
  /** H = W, and D of 3D nets. */
  size: number;
}

/** One measurement, told to a child process as JSON. */
export interface Job extends BenchCase {
  batch: number;
  threads: number;
  warmup: number;
  reps: number;
  engine: "wasm" | "reference";
}

/** What a child process prints as its last line. */
export interface Measurement {
  /** Every repetition after warm-up. */
  ms: number[];
  /** From the start of the engine, its imports done, to the end of the first call: probe, compiling and all. */
  firstMs: number;
  peakBytes: number;
  /** Cores that other processes kept busy meanwhile: trust runs near 0. */
  otherCores: number | null;
  /** Mean probability of class 0 (inference) or the last loss (training): equal work gives equal numbers. */
  value: number;
  version: string;
  /** lunet's wasm engine only: GFLOP/s of its multiply-add loop in registers, times the threads. */
  peakGflops?: number;
  /** The register tiles it chose. */
  tiles?: string;
}

/** The benchmark's U-Nets: 5 levels, 2 convolutions a block, 1 channel in, 2 classes out. */
export const netOptions: MakeOptions = { levels: 5, convs: 2, inputChannels: 1, outputChannels: 2 };

/** The cases that are measured where none are named. */
export const suite: readonly string[] = [
  ...["lean:8", "unet:4", "lean:16", "unet:16"].flatMap((net) => [
    ...[`${net}/train/64`, `${net}/infer/64`, `${net}/infer/128`],
  ]),
  ...["lean:8", "lean:16", "unet:16"].flatMap((net) => [`${net}/train/2d256`, `${net}/infer/2d512`]),
];

/** NET/MODE/SIZE, e.g. lean:8/train/64 or lean:8/infer/2d512. */
export function caseName({ net, mode, dimensions, size }: BenchCase): string {
  return `${net}/${mode}/${dimensions === 2 ? "2d" : ""}${size}`;
}

/** Undefined where the text is no whole name. Throws UserError where the net or the size is not one. */
function parseCase(name: string): BenchCase | undefined {
  const [, net, mode, flat, size] = /^([^/*]+)\/(train|infer)\/(2d)?([1-9]\d*)$/.exec(name) ?? [];
  if (!net) return undefined;
  const found: BenchCase = { net, mode: mode as Mode, dimensions: flat ? 2 : 3, size: Number(size) };
  countNet(netOf(found), { batch: 1, shape: shapeOf(found) });
  return found;
}

/**
 * The cases that patterns pick, in the suite's order: a part of a name, a name with `*`, or the whole name of any case, also
 * of one that is not in the suite. Throws UserError for a pattern that picks nothing.
 */
export function pickCases(patterns: readonly string[]): BenchCase[] {
  const picked = new Set<string>();
  for (const pattern of patterns) {
    const found = suite.filter((name) => matches(name, pattern));
    if (found.length === 0 && parseCase(pattern)) found.push(pattern);
    if (found.length === 0) {
      fail(
        `Expected a part of a case's name, or a whole one such as lean:8/train/64, but got "${pattern}": see --list.`,
      );
    }
    for (const name of found) picked.add(name);
  }
  const place = (name: string): number => (suite.includes(name) ? suite.indexOf(name) : suite.length);
  return [...picked].sort((a, b) => place(a) - place(b)).map((name) => parseCase(name)!);
}

function matches(name: string, pattern: string): boolean {
  if (parseCase(pattern)) return name === pattern;
  if (!pattern.includes("*")) return name.includes(pattern);
  const parts = pattern.split("*").map((part) => part.replace(/[.?+^${}()|[\]\\]/g, "\\$&"));
  return new RegExp(`^${parts.join(".*")}$`).test(name);
}

export function netOf({ net, dimensions }: Pick<BenchCase, "net" | "dimensions">): NetSpec {
  return parseNet(net, { ...netOptions, dimensions });
}

export function shapeOf({ dimensions, size }: Pick<BenchCase, "dimensions" | "size">): Vec3 {
  return [dimensions === 2 ? 1 : size, size, size];
}

/** One patch to predict; to train 2 volumes or 4 slices. */
export function batchOf({ mode, dimensions }: Pick<BenchCase, "mode" | "dimensions">): number {
  if (mode === "infer") return 1;
  return dimensions === 2 ? 4 : 2;
}

/** 2 operations a multiply-accumulate of the convolutions; a training step counts as 3 forward passes. */
export function flopsOf(job: BenchCase & Pick<Job, "batch">): number {
  const { macs } = countNet(netOf(job), { batch: job.batch, shape: shapeOf(job) });
  return 2 * macs * (job.mode === "train" ? 3 : 1);
}
