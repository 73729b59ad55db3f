import type { NetSpec } from "../net/spec.ts";

/**
 * Class probabilities [K, voxels] from a net's logits. Softmax: over its K channels (computed in place). Sigmoid: one region per
 * class but the background; as a voxel has one label, regions are taken as exclusive: independent sigmoids given that at most
 * one is true are a softmax with a background logit of 0. So a class wins where its region is the likeliest and above 0.5.
 */
export function classProbabilities(
  logits: Float32Array,
  net: Pick<NetSpec, "output" | "outputChannels">,
): Float32Array {
  const { output, outputChannels } = net;
  if (output === "softmax") return softmax(logits, outputChannels);
  const voxels = logits.length / outputChannels;
  const padded = new Float32Array(logits.length + voxels);
  padded.set(logits, voxels);
  return softmax(padded, outputChannels + 1);
}

/** Number of classes, background counted, of a net's {@link classProbabilities}. */
export function classesOf(net: Pick<NetSpec, "output" | "outputChannels">): number {
  return net.output === "softmax" ? net.outputChannels : net.outputChannels + 1;
}

function softmax(values: Float32Array, classes: number): Float32Array {
  const voxels = values.length / classes;
  for (let i = 0; i < voxels; i++) {
    let top = Number.NEGATIVE_INFINITY;
    for (let k = 0; k < classes; k++) top = Math.max(top, values[k * voxels + i]);
    let sum = 0;
    for (let k = 0; k < classes; k++) {
      const e = Math.exp(values[k * voxels + i] - top);
      values[k * voxels + i] = e;
      sum += e;
    }
    for (let k = 0; k < classes; k++) values[k * voxels + i] /= sum;
  }
  return values;
}
