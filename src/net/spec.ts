import type { Vec3 } from "../volume/volume.ts";

/** What stands around each 3x3x3 convolution (conv -> ReLU -> batch norm is the order of the paper's authors, arXiv 2512.03834). */
export interface UnitSpec {
  order: "conv-act-norm" | "conv-norm-act";
  norm: "batch" | "instance" | "none";
  /** Negative slope of the activation: 0 is ReLU, 0.01 is nnU-Net's leaky ReLU. */
  slope: number;
  /** Added to the variance. */
  eps: number;
  /** Share of the new batch in the running statistics (PyTorch's meaning). */
  momentum: number;
}

/** One decoder level: the width of the transposed convolution and of each convolution after the concat. */
export interface DecoderWidths {
  up: number;
  convs: number[];
}

/**
 * A U-Net as data: a width for every convolution, so that pruned nets of any shape are described alike.
 * Level 0 is the finest. `pools.length` = P pools; there are P encoder and decoder levels and one bottleneck.
 */
export interface NetSpec {
  inputChannels: number;
  /** Classes including background (softmax) or regions (sigmoid). */
  outputChannels: number;
  output: "softmax" | "sigmoid";
  /** encoder[level][i]: channels of convolution i. */
  encoder: number[][];
  bottleneck: number[];
  decoder: DecoderWidths[];
  /** kernels[level] (P + 1 entries, the last is the bottleneck's): 1 or 3 along D, H, W. */
  kernels: Vec3[];
  /** pools[level]: 1 or 2 along D, H, W. */
  pools: Vec3[];
  /** skips[level]: concatenate the encoder's output of that level, or not (encoder-decoder ablation). */
  skips: boolean[];
  unit: UnitSpec;
}

export const defaultUnit: UnitSpec = { order: "conv-act-norm", norm: "batch", slope: 0, eps: 1e-5, momentum: 0.1 };
