import type { Region } from "../dataset/types.ts";
import { softmaxVectors } from "../engine/wasm/softmax.ts";
import type { NetSpec } from "../net/spec.ts";

/**
 * Probabilities [K, voxels] of classes or regions from a model's logits. Softmax: over its K channels, in place. Sigmoid with the
 * plan's `regions`: each channel for itself, in place. Sigmoid without: one region per class but the background; as a voxel has
 * one label, these are taken as exclusive: independent sigmoids given that at most one is true are a softmax with a background
 * logit of 0. So a class wins where its region is the likeliest and above 0.5.
 */
export function classProbabilities(
  logits: Float32Array,
  net: Pick<NetSpec, "output" | "outputChannels">,
  regions?: readonly Region[],
): Float32Array {
  const { output, outputChannels } = net;
  if (regions) return sigmoid(logits);
  if (output === "softmax") return softmax(logits, outputChannels);
  const voxels = logits.length / outputChannels;
  const padded = new Float32Array(logits.length + voxels);
  padded.set(logits, voxels);
  return softmax(padded, outputChannels + 1);
}

/** Number of scores a voxel that {@link classProbabilities} gives: classes, background counted, or regions. */
export function classesOf(net: Pick<NetSpec, "output" | "outputChannels">, regions?: readonly Region[]): number {
  return net.output === "softmax" || regions ? net.outputChannels : net.outputChannels + 1;
}

/** Both forms stay exact far from 0. */
function sigmoid(values: Float32Array): Float32Array {
  for (let i = 0; i < values.length; i++) {
    const e = Math.exp(-Math.abs(values[i]));
    values[i] = (values[i] >= 0 ? 1 : e) / (1 + e);
  }
  return values;
}

function softmax(values: Float32Array, classes: number): Float32Array {
  return softmaxVectors(values, classes) ? values : plainSoftmax(values, classes);
}

/** The same one voxel after the other, for platforms without SIMD and for many classes. */
function plainSoftmax(values: Float32Array, classes: number): Float32Array {
  const voxels = values.length / classes;
  for (let i = 0; i < voxels; i++) {
    let top = values[i];
    for (let k = 1, at = voxels + i; k < classes; k++, at += voxels) if (values[at] > top) top = values[at];
    let sum = 0;
    for (let k = 0, at = i; k < classes; k++, at += voxels) {
      const e = values[at] === top ? 1 : Math.exp(values[at] - top);
      values[at] = e;
      sum += e;
    }
    const inverse = 1 / sum;
    for (let k = 0, at = i; k < classes; k++, at += voxels) values[at] *= inverse;
  }
  return values;
}
