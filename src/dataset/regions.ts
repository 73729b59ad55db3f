import type { LabelInfo, Region } from "./types.ts";

/** A region is a bit of a byte. */
export const mostRegions = 8;

/** What a plan or a data set says of its targets. */
export interface Targets {
  labels: readonly LabelInfo[];
  regions?: readonly Region[];
}

/** Names of what a net is scored on: the regions, else the labels without the background. */
export function targetNames({ labels, regions }: Targets): string[] {
  return (regions ?? labels.slice(1)).map(({ name }) => name);
}

/** The output that a net needs: softmax over the labels, or a sigmoid for each region. */
export function netOutput({ labels, regions }: Targets): { output: "softmax" | "sigmoid"; outputChannels: number } {
  return regions
    ? { output: "sigmoid", outputChannels: regions.length }
    : { output: "softmax", outputChannels: labels.length };
}

/** Table of 256: a label value to the bit mask of the regions that it belongs to (bit r: region r). */
export function masksOfValues(regions: readonly Region[]): Uint8Array {
  const masks = new Uint8Array(256);
  for (const [r, { values }] of regions.entries()) for (const value of values) masks[value] |= 1 << r;
  return masks;
}

/** Table of 256: a class index (place in `labels`) to the mask of its regions; the training targets. */
export function masksOfClasses(labels: readonly LabelInfo[], regions: readonly Region[]): Uint8Array {
  const ofValue = masksOfValues(regions);
  const masks = new Uint8Array(256);
  for (const [k, { value }] of labels.entries()) masks[k] = ofValue[value];
  return masks;
}

/** Table of 256: a mask of found regions to the label value that is painted last; 0 where none was found. */
export function paintOfMasks(regions: readonly Region[]): Uint8Array {
  return Uint8Array.from({ length: 256 }, (_, mask) => regions.findLast((_, r) => (mask >> r) & 1)?.paint ?? 0);
}

/** Writes to `out` the mask of the regions whose scores [R, n] are above `threshold`, a byte for each of the n places. */
export function foundRegions(scores: Float32Array, regions: number, threshold: number, out: Uint8Array): Uint8Array {
  const n = out.length;
  out.fill(0);
  for (let r = 0, at = 0; r < regions; r++) {
    const bit = 1 << r;
    for (let i = 0; i < n; i++, at++) if (scores[at] > threshold) out[i] |= bit;
  }
  return out;
}

/** Looks every entry up in a table of 256, in place. */
export function lookUp(values: Uint8Array, table: Uint8Array): Uint8Array {
  for (let i = 0; i < values.length; i++) values[i] = table[values[i]];
  return values;
}
