import fc from "fast-check";
import { expect, test } from "vitest";
import { random } from "../util/random.ts";
import type { Vec3 } from "../volume/volume.ts";
import { countWindows, windowStarts } from "./placement.ts";
import { type SlidingOptions, slidingPlanes, slidingWindow } from "./sliding.ts";

const size = (shape: readonly number[]): number => shape.reduce((product, n) => product * n, 1);
const noise = (n: number, seed = 1): Float32Array => {
  const generator = random(seed);
  return Float32Array.from({ length: n }, () => generator.normal());
};
const axis = (low: number, high: number) => fc.integer({ min: low, max: high });
const triple = (low: number, high: number) => fc.tuple(axis(low, high), axis(low, high), axis(low, high));

/** A "net" that gives back channel 0 and channel 0 negated: everything it says is known at every voxel. */
const echo =
  ({ channels, patch }: Pick<SlidingOptions, "channels" | "patch">) =>
  (patches: Float32Array): Float32Array => {
    const n = size(patch);
    const out = new Float32Array((patches.length / channels) * 2);
    for (let b = 0; b * n * channels < patches.length; b++) {
      for (let i = 0; i < n; i++) {
        out[2 * b * n + i] = patches[b * channels * n + i];
        out[(2 * b + 1) * n + i] = -patches[b * channels * n + i];
      }
    }
    return out;
  };

test("window starts: nnU-Net's rule by hand", () => {
  expect(windowStarts(110, 64, 0.5)).toEqual([0, 23, 46]); // its doc example: 110 voxels, patch 64, step 32
  expect(windowStarts(64, 64, 0.5)).toEqual([0]);
  expect(windowStarts(10, 64, 0.5)).toEqual([0]);
  expect(windowStarts(65, 64, 0.5)).toEqual([0, 1]);
  expect(windowStarts(12, 4, 1)).toEqual([0, 4, 8]);
  expect(windowStarts(3, 1, 0.5)).toEqual([0, 1, 2]);
  expect(countWindows([35, 50, 36], [32, 48, 32])).toBe(8);
  expect(countWindows([35, 50, 36], [40, 56, 40], 0.5, 2)).toBe(3);
});

test("starts cover the axis, end at its border and are at most the step apart", () => {
  fc.assert(
    fc.property(axis(1, 200), axis(1, 64), fc.double({ min: 0.1, max: 1, noNaN: true }), (length, patch, step) => {
      const starts = windowStarts(length, patch, step);
      expect(starts[0]).toBe(0);
      if (length > patch) expect(starts.at(-1)).toBe(length - patch);
      for (let i = 1; i < starts.length; i++) {
        expect(starts[i] - starts[i - 1]).toBeGreaterThan(0);
        expect(starts[i] - starts[i - 1]).toBeLessThanOrEqual(Math.ceil(Math.max(1, step * patch)));
      }
    }),
  );
});

test("constant logits stay constant and an echo comes back, for any shape, patch, step, batch, mirroring and shift", async () => {
  await fc.assert(
    fc.asyncProperty(
      triple(1, 11),
      triple(1, 8),
      fc.constantFrom(0.25, 0.5, 1),
      axis(1, 3),
      fc.subarray([0, 1, 2]),
      axis(0, 1),
      async (shape, patch, step, batch, mirrorAxes, some) => {
        const image = noise(2 * size(shape));
        const shifts = some && size(shape) > 1 ? 1 : 0;
        const common = { image, shape, channels: 2, patch, classes: 2, step, batch, mirrorAxes, shifts };
        const constant = await slidingWindow({
          ...common,
          run: (patches) => new Float32Array(patches.length).map((_, i) => (Math.floor(i / size(patch)) % 2 ? -3 : 7)),
        });
        const back = await slidingWindow({ ...common, run: echo({ channels: 2, patch }) });
        const n = size(shape);
        for (let i = 0; i < n; i++) {
          // Sums of up to some hundred float32 terms whose weights add up to 1.
          expect(Math.abs(constant[i] - 7)).toBeLessThan(2e-5);
          expect(Math.abs(constant[n + i] + 3)).toBeLessThan(1e-5);
          expect(Math.abs(back[i] - image[i])).toBeLessThan(1e-5);
          expect(back[n + i]).toBeCloseTo(-back[i], 6);
        }
      },
    ),
    { numRuns: 60 },
  );
});

test("two windows in a row weigh by Gaussians of sigma = patch / 8, by hand", async () => {
  // Length 12, patch 8, starts 0 and 4; window i answers i everywhere: in the overlap w1 / (w0 + w1).
  let call = 0;
  const out = await slidingWindow({
    image: new Float32Array(12),
    shape: [1, 1, 12],
    channels: 1,
    patch: [1, 1, 8],
    classes: 1,
    run: (patches) => new Float32Array(patches.length).fill(call++),
  });
  const gauss = (x: number): number => Math.exp(-((x - 3.5) ** 2) / 2);
  for (let x = 0; x < 12; x++) {
    const expected = x < 4 ? 0 : x > 7 ? 1 : gauss(x - 4) / (gauss(x) + gauss(x - 4));
    expect(out[x]).toBeCloseTo(expected, 6);
  }
});

test("a window that fits is used unchanged, one run; a smaller volume lies in the middle of zeros", async () => {
  const image = noise(24);
  const seen: Float32Array[] = [];
  const run = (patches: Float32Array): Float32Array => {
    seen.push(patches.slice());
    return patches.map((x) => Math.fround(Math.sin(x)));
  };
  const exact = await slidingWindow({ image, shape: [2, 3, 4], channels: 1, patch: [2, 3, 4], classes: 1, run });
  expect(exact).toEqual(image.map((x) => Math.sin(x)));
  expect(seen).toEqual([image]);
  await slidingWindow({
    image: Float32Array.of(1, 2),
    shape: [1, 1, 2],
    channels: 1,
    patch: [1, 1, 5],
    classes: 1,
    run,
  });
  expect([...seen[1]]).toEqual([0, 1, 2, 0, 0]);
});

test("mirroring shows the net every mirror image and turns the answers back", async () => {
  const shape: Vec3 = [2, 2, 3];
  const image = noise(12);
  // A net that answers by position only: averaging over mirrorings makes that answer symmetric.
  const ramp = Float32Array.from({ length: 12 }, (_, i) => i);
  const out = await slidingWindow({
    image,
    shape,
    channels: 1,
    patch: shape,
    classes: 1,
    mirrorAxes: [0, 2],
    run: () => ramp,
  });
  // Mean of i = 6 d + 3 h + w over d and w mirrored: 3 + 3 h + 1.
  expect([...out]).toEqual([4, 4, 4, 7, 7, 7, 4, 4, 4, 7, 7, 7]);
});

test("a shift shows the volume one voxel further and moves the answer back", async () => {
  const seen: number[][] = [];
  const out = await slidingWindow({
    image: Float32Array.of(1, 2, 3),
    shape: [1, 1, 3],
    channels: 1,
    patch: [1, 1, 4],
    classes: 1,
    shifts: 1,
    run: (patches) => {
      seen.push([...patches]);
      return Float32Array.of(0, 10, 20, 30);
    },
  });
  expect(seen).toEqual([
    [1, 2, 3, 0],
    [0, 1, 2, 3],
  ]);
  expect([...out]).toEqual([5, 15, 25]);
});

test("planes come as soon as they are final: the image is read no further than a patch ahead, and never again behind", async () => {
  await fc.assert(
    fc.asyncProperty(triple(2, 12), triple(1, 6), axis(1, 3), axis(0, 1), async (shape, patch, batch, shifts) => {
      const image = noise(size(shape));
      const plane = shape[1] * shape[2];
      let yielded = -1;
      let furthest = -1;
      const stream = slidingPlanes({
        image: (_, d) => {
          expect(d).toBeGreaterThan(yielded);
          furthest = Math.max(furthest, d);
          return image.subarray(d * plane, (d + 1) * plane);
        },
        shape,
        channels: 1,
        patch,
        classes: 2,
        batch,
        shifts,
        run: echo({ channels: 1, patch }),
      });
      for await (const logits of stream) {
        yielded++;
        // Windows of a batch may start beyond the plane that asked for it.
        if (batch === 1) expect(furthest).toBeLessThanOrEqual(yielded + patch[0] - 1);
        for (let i = 0; i < plane; i++) expect(Math.abs(logits[i] - image[yielded * plane + i])).toBeLessThan(1e-5);
      }
      expect(yielded).toBe(shape[0] - 1);
    }),
    { numRuns: 60 },
  );
});

test("progress counts windows and an abort stops between runs", async () => {
  const progress: [number, number][] = [];
  const controller = new AbortController();
  const common = {
    image: new Float32Array(10),
    shape: [1, 1, 10] as Vec3,
    channels: 1,
    patch: [1, 1, 4] as Vec3,
    classes: 1,
  };
  const run = (patches: Float32Array): Float32Array => patches;
  await slidingWindow({ ...common, run, batch: 3, onProgress: (done, total) => progress.push([done, total]) });
  expect(progress).toEqual([
    [3, 4],
    [4, 4],
  ]);
  const aborting = slidingWindow({
    ...common,
    run,
    signal: controller.signal,
    onProgress: () => controller.abort(new Error("enough")),
  });
  await expect(aborting).rejects.toThrow("enough");
});

test("wrong options are refused in words", async () => {
  const common = {
    image: new Float32Array(4),
    shape: [1, 2, 2] as Vec3,
    channels: 1,
    patch: [1, 2, 2] as Vec3,
    classes: 1,
  };
  const run = (patches: Float32Array): Float32Array => patches;
  await expect(slidingWindow({ ...common, run, step: 0 })).rejects.toThrow("step above 0 and up to 1, but got 0");
  await expect(slidingWindow({ ...common, run, shifts: 4 })).rejects.toThrow("0 to 3 shifts");
  await expect(slidingWindow({ ...common, run, mirrorAxes: [3] })).rejects.toThrow("got 3");
  await expect(slidingWindow({ ...common, run, channels: 2 })).rejects.toThrow("image of 2 x 1 x 2 x 2 values");
});
