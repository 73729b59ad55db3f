import type { LabelInfo } from "../../src/dataset/types.ts";

export type Rgb = readonly [number, number, number];

/** Colours that stay apart on grey and for most kinds of colour blindness (after Okabe and Ito 2008), brightened for a dark ground. */
const list: Rgb[] = [
  [255, 176, 0],
  [64, 176, 255],
  [0, 200, 140],
  [240, 110, 190],
  [250, 235, 80],
  [235, 100, 50],
  [150, 130, 255],
  [140, 220, 90],
];

/** The colour of a label by its place among the labels after the background. */
export function labelColour(place: number): Rgb {
  return list[place % list.length];
}

export const css = ([r, g, b]: Rgb): string => `rgb(${r} ${g} ${b})`;

/** What a mask and its reference say of a voxel, as values of a map. */
export const differenceLegend: { value: number; name: string; colour: Rgb; alpha: number }[] = [
  { value: 1, name: "both", colour: [120, 200, 255], alpha: 90 },
  { value: 2, name: "only in the mask", colour: [255, 120, 60], alpha: 255 },
  { value: 3, name: "only in the reference", colour: [190, 110, 255], alpha: 255 },
  { value: 4, name: "another label", colour: [255, 235, 60], alpha: 255 },
];

/** 256 colours with opacity for a map of label values; what is hidden and what has no label is clear. */
export function labelLut(labels: readonly LabelInfo[], hidden: ReadonlySet<number>): Uint8ClampedArray {
  const lut = new Uint8ClampedArray(1024);
  labels
    .filter(({ value }) => value !== 0)
    .forEach(({ value }, place) => {
      if (!hidden.has(value)) lut.set([...labelColour(place), 255], 4 * value);
    });
  return lut;
}

/** The same for a map of {@link differenceLegend}. */
export function differenceLut(): Uint8ClampedArray {
  const lut = new Uint8ClampedArray(1024);
  for (const { value, colour, alpha } of differenceLegend) lut.set([...colour, alpha], 4 * value);
  return lut;
}
