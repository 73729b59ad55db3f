import { countNet } from "../src/net/count.ts";
import { type MakeOptions, parseNet } from "../src/net/make.ts";
import type { NetSpec } from "../src/net/spec.ts";
import type { Vec3 } from "../src/volume/volume.ts";

export type Mode = "infer" | "train";
export type Runner = "lunet" | "onnxruntime" | "torch";

/** One measurement, told to a child process as JSON. */
export interface Job {
  /** As on the command line, e.g. lean:8. */
  net: string;
  mode: Mode;
  batch: number;
  /** D = H = W. */
  size: number;
  threads: number;
  warmup: number;
  reps: number;
  engine: "wasm" | "reference";
}

/** What a child process prints as its last line. */
export interface Measurement {
  /** Every repetition after warm-up. */
  ms: number[];
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

export const defaultNets = ["lean:8", "unet:4", "lean:16", "unet:16"];

export function netOf(job: Pick<Job, "net">): NetSpec {
  return parseNet(job.net, netOptions);
}

export function shapeOf(job: Pick<Job, "size">): Vec3 {
  return [job.size, job.size, job.size];
}

/** 1 patch to predict, 2 to train, as in bench/peers. */
export function batchOf(mode: Mode): number {
  return mode === "infer" ? 1 : 2;
}

/** 2 operations a multiply-accumulate of the convolutions; a training step counts as 3 forward passes. */
export function flopsOf(job: Pick<Job, "net" | "mode" | "batch" | "size">): number {
  const { macs } = countNet(netOf(job), { batch: job.batch, shape: shapeOf(job) });
  return 2 * macs * (job.mode === "train" ? 3 : 1);
}
