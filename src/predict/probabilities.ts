import { softmaxVectors } from "../engine/wasm/softmax.ts";
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
