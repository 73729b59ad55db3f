import { expect, test } from "vitest";
import { random } from "../../util/random.ts";
import { softmaxVectors } from "./softmax.ts";

test.each([1, 2, 3, 16])(
  "%i classes: float64 softmax, within 1e-6 of each probability, and what float32 takes from logits far apart",
  (classes) => {
    const generator = random(classes);
    // More than one chunk, and an odd rest.
    const voxels = 5003;
    const values = Float32Array.from({ length: classes * voxels }, () => 20 * generator.normal());
    const found = Float32Array.from(values);
    expect(softmaxVectors(found, classes)).toBe(true);
    let worst = 0;
    for (let i = 0; i < voxels; i++) {
      const z = Array.from({ length: classes }, (_, k) => values[k * voxels + i]);
      const top = Math.max(...z);
      const total = z.reduce((sum, value) => sum + Math.exp(value - top), 0);
      z.forEach((value, k) => {
        const p = Math.exp(value - top) / total;
        // Below exp(-87) the smallest normal numbers stand for all.
        const far = 6e-8 * Math.abs(value - top);
        if (p > 1e-37) worst = Math.max(worst, Math.abs(found[k * voxels + i] / p - 1) - far);
      });
    }
    expect(worst).toBeLessThan(1e-6);
  },
);

test("logits far apart, equal ones, and more classes than it takes", () => {
  const values = Float32Array.of(1000, 3, -500, 0, -1000, 3, 500, 0);
  expect(softmaxVectors(values, 2)).toBe(true);
  const tiny = expect.closeTo(0, 30);
  expect([...values]).toEqual([1, 0.5, tiny, 0.5, tiny, 0.5, 1, 0.5]);
  const many = Float32Array.from({ length: 17 }, (_, i) => i);
  expect(softmaxVectors(many, 17)).toBe(false);
  expect(many[16]).toBe(16);
});
