import { expect, test } from "vitest";
import { createReferenceBackend } from "../engine/reference/backend.ts";
import { sampleModel } from "../model/sample.ts";
import type { Model } from "../model/types.ts";
import { flat } from "../net/make.ts";
import { random } from "../util/random.ts";
import { type Postprocessing, postprocess, postprocessingWords, sharedChoices } from "./postprocess.ts";
import { createPredictor } from "./segment.ts";

const evidence = { cases: 1, before: 0.5, after: 0.6, classes: [] };
const keep = (...keepLargest: number[][]): Postprocessing => ({ keepLargest, connectivity: 26, evidence });
const net = flat(3, { levels: 2, convs: 1, inputChannels: 1, outputChannels: 3 });
const plain = sampleModel(net, 6);
const both = { postprocessing: true, testTime: true };

test("sets are done one after the other", () => {
  const map = Uint8Array.of(1, 1, 2, 0, 2, 2, 0, 1);
  const foreground = map.slice();
  expect(postprocess(foreground, [1, 1, 8], keep([1, 2]))).toBe(3);
  expect([...foreground]).toEqual([1, 1, 2, 0, 0, 0, 0, 0]);
  const classes = map.slice();
  expect(postprocess(classes, [1, 1, 8], keep([2], [1]))).toBe(2);
  expect([...classes]).toEqual([1, 1, 0, 0, 2, 2, 0, 0]);
});

test("models of an ensemble must have been given the same choices; their evidence may differ", () => {
  const mine: Model = { ...plain, postprocessing: keep([1, 2]), testTime: { mirror: false, shifts: 3 } };
  const other = { ...mine, postprocessing: { ...keep([1, 2]), evidence: { ...evidence, cases: 2 } } };
  expect(sharedChoices([mine, other], both)).toEqual({
    postprocessing: mine.postprocessing,
    testTime: { mirror: false, shifts: 3 },
  });
  expect(sharedChoices([plain, plain], both)).toEqual({ postprocessing: undefined, testTime: undefined });
  expect(() => sharedChoices([mine, plain], both)).toThrow(
    "must share their post-processing, but model 1 has [[[1,2]],26] and model 2 none; run lunet best on all of them",
  );
  const slow = { ...mine, testTime: { mirror: true, shifts: 3 } };
  expect(() => sharedChoices([mine, mine, slow], both)).toThrow("their averaging at prediction, but model 1 has");
  expect(sharedChoices([plain, slow], { postprocessing: false, testTime: false })).toEqual({});
});

test("a choice is told by the names of the labels", () => {
  const { labels } = plain.plan;
  expect(postprocessingWords(keep([1, 2], [2]), labels)).toBe(
    "keep the largest component of the whole foreground, then of class 2",
  );
  expect(postprocessingWords(keep([1]), labels.slice(0, 2))).toBe("keep the largest component of class 1");
});

test("a predictor does what the model holds, on the scan's own grid, unless told not to", async () => {
  const backend = createReferenceBackend();
  const affine = Float64Array.of(-1, 0, 0, 0, 0, 1, 0, 0, 0, 0, 1, 0, 0, 0, 0, 1);
  const generator = random(5);
  const data = Float32Array.from({ length: 6 * 8 * 8 }, () => generator.normal());
  const image = { data, shape: [6, 8, 8] as [number, number, number], affine };
  const model = { ...plain, postprocessing: keep([1, 2], [1]) };
  const predictor = createPredictor(model, { backend });
  const { labels, removed } = await predictor.segment([image]);
  const raw = await createPredictor(model, { backend, postprocess: false }).segment([image]);
  expect(raw.removed).toBe(0);
  const expected = raw.labels.data.slice();
  expect(removed).toBe(postprocess(expected, raw.labels.shape, model.postprocessing));
  expect(removed).toBeGreaterThan(0);
  expect(labels.data).toEqual(expected);
  // Averaging that the model holds is that which is stated.
  const shifted = createPredictor({ ...plain, testTime: { mirror: false, shifts: 3 } }, { backend });
  const stated = await createPredictor(plain, { backend }).segment([image], { shifts: 3 });
  expect((await shifted.segment([image])).labels.data).toEqual(stated.labels.data);
  const none = await shifted.segment([image], { shifts: 0 });
  expect(none.labels.data).toEqual(raw.labels.data);
  expect(none.labels.data).not.toEqual(stated.labels.data);
});
