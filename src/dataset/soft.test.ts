import { describe, expect, test } from "vitest";
import { random } from "../util/random.ts";
import type { Vec3 } from "../volume/volume.ts";
import { augmentPatch } from "./augment.ts";
import { makeBatch } from "./loader.ts";
import { createSoft, packSoft, softBytes } from "./soft.ts";
import type { Plan, PreparedCase } from "./types.ts";

const labels = [0, 1, 2].map((value) => ({ value, name: `class ${value}` }));
const regions = [
  { name: "all", values: [1, 2], paint: 1 },
  { name: "core", values: [2], paint: 2 },
];
/** Half a step of a byte, and a little for float32. */
const half = 0.5 / 255 + 1e-6;

describe("a teacher's probabilities as bytes", () => {
  test("classes: softened as softmax(logits / T), the background is what is missing to 1", () => {
    const logits = [
      [0, 1, 2],
      [3, -1, 0],
    ];
    const softmax = (z: number[]): number[] => {
      const total = z.reduce((sum, x) => sum + Math.exp(x), 0);
      return z.map((x) => Math.exp(x) / total);
    };
    const voxels = logits.map(softmax);
    const planes = Float32Array.from([0, 1, 2].flatMap((k) => voxels.map((p) => p[k])));
    for (const temperature of [1, 2.5]) {
      const bytes = packSoft(planes, { labels }, temperature);
      expect(bytes).toHaveLength(2 * softBytes({ labels }));
      const soft = createSoft({ labels }, 1, 2);
      soft.part(0).set(bytes);
      const found = soft.finish();
      logits.forEach((z, v) => {
        softmax(z.map((x) => x / temperature)).forEach((p, k) => {
          expect(Math.abs(found[k * 2 + v] - p)).toBeLessThan(k === 0 ? 2 * half : half);
        });
      });
    }
  });

  test("regions: each against its opposite", () => {
    const targets = { labels, regions };
    const soft = createSoft(targets, 1, 1);
    // Odds of 9 and 1/9 are 3 and 1/3 at temperature 2.
    soft.part(0).set(packSoft(Float32Array.of(0.9, 0.1), targets, 2));
    expect([...soft.finish()]).toEqual([0.75, 0.25].map((p) => expect.closeTo(p, 2)));
    expect(softBytes(targets)).toBe(2);
  });

  test("add up to 1 whatever the rounding, and are background where nothing is", () => {
    const soft = createSoft({ labels }, 2, 2);
    soft.part(1).set([128, 0, 128, 0]);
    const found = soft.finish();
    expect([...found.subarray(0, 6)]).toEqual([1, 1, 0, 0, 0, 0]);
    expect([...found.subarray(6)]).toEqual([0, 1, 0.5, 0, 0.5, 0]);
  });
});

/** A case whose only foreground is class 1 with certainty, in a block; the teacher says the same. */
function blockCase(shape: Vec3): PreparedCase {
  const [D, H, W] = shape;
  const label = new Uint8Array(D * H * W);
  for (let d = 2; d < 7; d++) for (let h = 3; h < 9; h++) label.fill(1, (d * H + h) * W + 2, (d * H + h) * W + 8);
  const one = Float32Array.from(label);
  const background = one.map((p) => 1 - p);
  const planes = Float32Array.from([...background, ...one, ...new Float32Array(label.length)]);
  const source = { shape, affine: [], canonicalShape: shape, cropStart: [0, 0, 0] as Vec3, cropShape: shape };
  return { id: "block", image: one, label, soft: packSoft(planes, { labels }, 1), shape, source };
}

describe("a teacher's probabilities in patches", () => {
  const shape: Vec3 = [8, 12, 10];
  const prepared = blockCase(shape);
  const plan = { spacing: [1, 1, 1] as Vec3, mirrorAxes: [0, 1, 2], labels, channels: [{}] } as unknown as Plan;
  const patch: Vec3 = [8, 8, 8];

  test.each(["none", "light", "full"] as const)("%s: lie where the label and the image lie", (augment) => {
    const { soft, ...plain } = prepared;
    let uncertain = 0;
    for (let step = 0; step < 20; step++) {
      const options = { seed: 1, step, batch: 2, augment, patch };
      const batch = makeBatch([prepared], plan, options);
      expect(makeBatch([plain], plan, options), "the teacher changes nothing else").toEqual({
        input: batch.input,
        target: batch.target,
      });
      const voxels = 512;
      for (let n = 0; n < 2; n++) {
        for (let v = 0; v < voxels; v++) {
          const p = [0, 1, 2].map((k) => batch.soft![(n * 3 + k) * voxels + v]);
          expect(p[0] + p[1] + p[2]).toBeCloseTo(1, 6);
          // The heaviest class is the label: what warps one warps the other.
          if (Math.abs(p[1] - 0.5) > half) expect(Number(p[1] > 0.5)).toBe(batch.target[n * voxels + v]);
          if (p[1] > 0.01 && p[1] < 0.99) uncertain++;
        }
      }
    }
    if (augment === "full") expect(uncertain, "interpolated voxels").toBeGreaterThan(100);
    else expect(uncertain).toBe(0);
  });

  test("are as bytes before the batch is finished", () => {
    const into = {
      image: new Float32Array(512),
      label: new Uint8Array(512),
      soft: new Float32Array(1024),
      shape: patch,
    };
    augmentPatch(prepared, plan, patch, [0, 0, 0], random(1), "none", into);
    expect(into.soft.subarray(0, 512)).toEqual(Float32Array.from(into.label, (c) => 255 * c));
  });
});
