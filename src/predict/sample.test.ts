import { expect, test } from "vitest";
import { preparedOf } from "../dataset/testing.ts";
import type { Region } from "../dataset/types.ts";
import { createReferenceBackend } from "../engine/reference/backend.ts";
import { sampleModel } from "../model/sample.ts";
import { flat } from "../net/make.ts";
import { random } from "../util/random.ts";
import { sampleLogits } from "./sample.ts";
import { createPredictor } from "./segment.ts";

const backend = createReferenceBackend();
const shape: [number, number, number] = [2, 12, 12];
const voxels = 288;

function scan(seed: number, label: ArrayLike<number>) {
  const generator = random(seed);
  return preparedOf(
    shape,
    Array.from({ length: voxels }, () => generator.normal()),
    label,
  );
}

const modelOf = (outputChannels: number) =>
  sampleModel(flat(3, { levels: 2, convs: 1, inputChannels: 1, outputChannels }), 3);

/** One voxel of class 2 in the corner of plane 0. */
const corner = Array.from({ length: voxels }, (_, i) => (i === 0 ? 2 : 0));

test("the voxels are those near the truth and those predicted as foreground, with the predictor's probabilities", async () => {
  const model = modelOf(3);
  const prepared = scan(1, corner);
  const predictor = createPredictor(model, { backend });
  const p = await predictor.probabilities(prepared);
  predictor.close();
  const wanted: number[] = [];
  for (let i = 0; i < voxels; i++) {
    const [h, w] = [Math.floor(i / 12) % 12, i % 12];
    const foreground = Math.max(p[voxels + i], p[2 * voxels + i]) > p[i];
    if ((h < 6 && w < 6) || foreground) wanted.push(i);
  }
  expect(wanted.length).toBeGreaterThan(20);
  expect(wanted.length).toBeLessThan(voxels);
  const { sample, cases, voxels: found } = await sampleLogits(model, [prepared], backend);
  expect([cases, found, sample.classes]).toEqual([1, wanted.length, 3]);
  expect([...sample.truth]).toEqual(wanted.map((i) => corner[i]));
  for (const [row, i] of wanted.entries()) {
    const e = [...sample.logits.subarray(3 * row, 3 * row + 3)].map(Math.exp);
    const sum = e[0] + e[1] + e[2];
    for (let k = 0; k < 3; k++) expect(e[k] / sum).toBeCloseTo(p[k * voxels + i], 5); // float32
  }
});

test("no more voxels of a case than asked for, spread over it, the same for the same seed", async () => {
  const model = modelOf(3);
  const everywhere = scan(2, new Array(voxels).fill(1));
  const take = (seed: number) => sampleLogits(model, [everywhere, everywhere], backend, { voxelsPerCase: 40, seed });
  const whole = await sampleLogits(model, [everywhere], backend);
  expect(whole.voxels).toBe(voxels);
  const [first, again, other] = [await take(0), await take(0), await take(1)];
  expect(first.voxels).toBe(80);
  expect(first).toEqual(again);
  expect(first.sample.logits).not.toEqual(other.sample.logits);
  // Rows are found again in the whole; at random about half of them lie in the second plane (binomial: 20 +- 3.2 a case).
  const places = Array.from({ length: 40 }, (_, row) =>
    Array.from({ length: voxels }, (_, i) => i).find(
      (i) => whole.sample.logits[3 * i] === first.sample.logits[3 * row],
    ),
  );
  const late = places.filter((i) => i! >= 144).length;
  expect(late).toBeGreaterThan(8);
  expect(late).toBeLessThan(32);
});

test("sigmoid nets give a row of two classes a region: of the plan, else a region a class", async () => {
  const base = modelOf(2);
  const net = { ...base.net, output: "sigmoid" as const };
  const labels = [0, 1, 2].map((value) => ({ value, name: `${value}` }));
  const prepared = scan(4, corner);
  const plain = { ...base, net, plan: { ...base.plan, labels } };
  const { sample, voxels: found } = await sampleLogits(plain, [prepared], backend);
  expect(sample.classes).toBe(2);
  expect(sample.truth).toHaveLength(2 * found);
  // The corner is the first voxel: not in region 1, in region 2.
  expect([...sample.truth.subarray(0, 4)]).toEqual([0, 1, 0, 0]);
  for (let row = 0; row < 2 * found; row++) expect(sample.logits[2 * row]).toBe(0);
  const regions: Region[] = [
    { name: "whole", values: [1, 2], paint: 1 },
    { name: "core", values: [2], paint: 2 },
  ];
  const nested = await sampleLogits({ ...plain, plan: { ...plain.plan, regions } }, [prepared], backend);
  expect([...nested.sample.truth.subarray(0, 4)]).toEqual([1, 1, 0, 0]);
  expect(nested.sample.logits).toEqual(sample.logits);
});
