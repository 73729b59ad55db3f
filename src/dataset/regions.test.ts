import fc from "fast-check";
import { expect, test } from "vitest";
import {
  foundRegions,
  lookUp,
  masksOfClasses,
  masksOfValues,
  netOutput,
  paintOfMasks,
  targetNames,
} from "./regions.ts";
import type { Region } from "./types.ts";

// BraTS as nnU-Net's documentation writes it.
const regions: Region[] = [
  { name: "whole tumour", values: [1, 2, 3], paint: 1 },
  { name: "core", values: [2, 3], paint: 2 },
  { name: "enhancing", values: [3], paint: 3 },
];
const labels = [0, 1, 2, 3].map((value) => ({ value, name: `label ${value}` }));

test("names and outputs of both kinds of targets", () => {
  expect(targetNames({ labels, regions })).toEqual(["whole tumour", "core", "enhancing"]);
  expect(targetNames({ labels })).toEqual(["label 1", "label 2", "label 3"]);
  expect(netOutput({ labels, regions })).toEqual({ output: "sigmoid", outputChannels: 3 });
  expect(netOutput({ labels })).toEqual({ output: "softmax", outputChannels: 4 });
});

test("a label is in all regions that list it; the last region found is painted", () => {
  expect([...masksOfValues(regions).subarray(0, 5)]).toEqual([0, 0b001, 0b011, 0b111, 0]);
  // Classes are places in the list of labels, whatever the values.
  const odd = [0, 3, 1].map((value) => ({ value, name: "" }));
  expect([...masksOfClasses(odd, regions).subarray(0, 4)]).toEqual([0, 0b111, 0b001, 0]);
  // Core without the whole tumour around it is core all the same.
  expect([...paintOfMasks(regions).subarray(0, 8)]).toEqual([0, 1, 2, 2, 3, 3, 3, 3]);
});

test("nested regions survive the way to a label map and back", () => {
  const values = lookUp(Uint8Array.of(0, 0b001, 0b011, 0b111), paintOfMasks(regions));
  expect([...values]).toEqual([0, 1, 2, 3]);
  expect([...lookUp(values, masksOfValues(regions))]).toEqual([0, 0b001, 0b011, 0b111]);
});

test("scores above the threshold are found, region by region, as when painted one after the other", () => {
  const score = fc.constantFrom(0, 0.25, 0.5, 0.75, 1);
  fc.assert(
    fc.property(fc.integer({ min: 1, max: 9 }), fc.infiniteStream(score), (n, stream) => {
      const scores = Float32Array.from({ length: 3 * n }, () => stream.next().value);
      const painted = new Uint8Array(n);
      for (const [r, { paint }] of regions.entries()) {
        for (let i = 0; i < n; i++) if (scores[r * n + i] > 0.5) painted[i] = paint;
      }
      const found = foundRegions(scores, 3, 0.5, new Uint8Array(n).fill(7));
      expect(lookUp(found, paintOfMasks(regions))).toEqual(painted);
    }),
  );
});
