import { netOutput, type Targets } from "./regions.ts";

/**
 * A teacher's probabilities beside a case: a byte a voxel for each class but the background (what is missing to 1 is the background's), or for
 * each region. So what lies outside the volume, zeros, is background.
 */
function mapsOf(targets: Targets): { first: number; outputs: number } {
  const { output, outputChannels } = netOutput(targets);
  return { first: output === "softmax" ? 1 : 0, outputs: outputChannels };
}

/** Bytes a voxel of a case's probabilities. */
export function softBytes(targets: Targets): number {
  const { first, outputs } = mapsOf(targets);
  return outputs - first;
}

/**
 * Probabilities [K, voxels] of classes or regions, softened by a temperature T as softmax(logits / T) or sigmoid(logit / T) would
 * be (p^(1/T), scaled to add up to 1 over the classes, or over a region and its opposite), as bytes to keep beside a case.
 */
export function packSoft(probabilities: Float32Array, targets: Targets, temperature: number): Uint8Array {
  const { first, outputs } = mapsOf(targets);
  const voxels = probabilities.length / outputs;
  const out = new Uint8Array(new SharedArrayBuffer((outputs - first) * voxels));
  const power = (p: number): number => p ** (1 / temperature);
  for (let v = 0; v < voxels; v++) {
    let total = 0;
    if (first === 1) for (let k = 0; k < outputs; k++) total += power(probabilities[k * voxels + v]);
    for (let k = first; k < outputs; k++) {
      const p = probabilities[k * voxels + v];
      const all = first === 1 ? total : power(p) + power(1 - p);
      out[(k - first) * voxels + v] = Math.round((255 * power(p)) / all);
    }
  }
  return out;
}

/** Room for the probabilities of a batch's patches, [N, K, voxels] when it is finished. */
export function createSoft(targets: Targets, batch: number, voxels: number) {
  const { first, outputs } = mapsOf(targets);
  const values = new Float32Array(batch * outputs * voxels);
  return {
    /** Where patch i's maps belong, as read from the case: [K - 1, voxels], or [K, voxels] of regions. */
    part: (i: number): Float32Array => values.subarray((i * outputs + first) * voxels, (i + 1) * outputs * voxels),
    /** Bytes become probabilities, and the background is added. */
    finish(): Float32Array {
      for (let i = 0; i < values.length; i++) values[i] /= 255;
      if (first === 1) for (let n = 0; n < batch; n++) addBackground(values, n * outputs * voxels, outputs, voxels);
      return values;
    },
  };
}

function addBackground(values: Float32Array, from: number, outputs: number, voxels: number): void {
  for (let v = from; v < from + voxels; v++) {
    let sum = 0;
    for (let k = 1; k < outputs; k++) sum += values[v + k * voxels];
    values[v] = Math.max(0, 1 - sum);
    // Rounding to bytes may leave the classes with more than 1.
    if (sum > 1) for (let k = 1; k < outputs; k++) values[v + k * voxels] /= sum;
  }
}
