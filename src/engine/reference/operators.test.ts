import { describe, expect, test } from "vitest";
import { random } from "../../util/random.ts";
import type { Vec3 } from "../../volume/volume.ts";
import { dot, gradientError, normals } from "./finite-differences.ts";
import { maxpoolBackward, maxpoolForward } from "./maxpool.ts";
import { normBackward, normForward, normInference } from "./norm.ts";
import { activationBackward, activationForward, scalePlanes } from "./pointwise.ts";
import { type UpconvSizes, upconvBackward, upconvForward } from "./upconv.ts";

describe("transposed convolution", () => {
  test("spreads each voxel by its taps, by hand", () => {
    const sizes: UpconvSizes = { batch: 1, cin: 1, cout: 2, shape: [1, 1, 2], factor: [1, 2, 2] };
    const x = Float64Array.of(1, 10);
    const w = Float64Array.of(1, 2, 3, 4, 5, 6, 7, 8);
    const y = upconvForward(x, w, Float64Array.of(0, 100), sizes);
    expect([...y]).toEqual([1, 2, 10, 20, 3, 4, 30, 40, 105, 106, 150, 160, 107, 108, 170, 180]);
  });
  test.each([
    [2, 2, 2],
    [1, 2, 2],
    [2, 1, 1],
  ] as Vec3[])("gradients of factor %i %i %i", (...factor) => {
    const generator = random(2);
    const sizes: UpconvSizes = { batch: 2, cin: 3, cout: 2, shape: [2, 1, 3], factor };
    const taps = factor[0] * factor[1] * factor[2];
    const [x, w, b, dy] = [36, 6 * taps, 2, 24 * taps].map((n) => normals(n, generator));
    const loss = (): number => dot(upconvForward(x, w, b, sizes), dy);
    const back = upconvBackward(dy, x, w, sizes);
    expect(gradientError(loss, x, back.x)).toBeLessThan(1e-8);
    expect(gradientError(loss, w, back.weight)).toBeLessThan(1e-8);
    expect(gradientError(loss, b, back.bias)).toBeLessThan(1e-8);
  });
});

describe("max pool", () => {
  test("takes the window's maximum; of equal ones the first in D, H, W order gets the gradient", () => {
    const x = Float64Array.of(1, 5, 5, 2, 7, 7, 0, 7);
    const { y, winner } = maxpoolForward(x, 1, [2, 2, 2], [1, 2, 2]);
    expect([...y]).toEqual([5, 7]);
    expect([...maxpoolBackward(Float64Array.of(3, 4), winner, 8)]).toEqual([0, 3, 0, 0, 4, 0, 0, 0]);
    const whole = maxpoolForward(new Float64Array(8), 1, [2, 2, 2], [2, 2, 2]);
    expect([...maxpoolBackward(Float64Array.of(1), whole.winner, 8)]).toEqual([1, 0, 0, 0, 0, 0, 0, 0]);
  });
  test.each([
    [2, 2, 2],
    [1, 2, 2],
    [2, 1, 2],
  ] as Vec3[])("gradient of factor %i %i %i", (...factor) => {
    const generator = random(3);
    const x = normals(2 * 96, generator);
    const dy = normals((2 * 96) / (factor[0] * factor[1] * factor[2]), generator);
    const loss = (): number => dot(maxpoolForward(x, 2, [4, 4, 6], factor).y, dy);
    const { winner } = maxpoolForward(x, 2, [4, 4, 6], factor);
    expect(gradientError(loss, x, maxpoolBackward(dy, winner, x.length), { entries: 200 })).toBeLessThan(1e-8);
  });
});

describe("norm", () => {
  const one = Float64Array.of(1);
  const zero = Float64Array.of(0);
  test("batch: biased variance to normalise, unbiased to report", () => {
    // Mean 3, squared differences 4 + 0 + 0 + 4 = 8: biased variance 2, unbiased 8 / 3.
    const x = Float64Array.of(1, 3, 3, 5);
    const { y, statistics } = normForward("batch", x, one, zero, 0, { batch: 2, channels: 1, voxels: 2 });
    for (const [i, value] of [-2, 0, 0, 2].entries()) expect(y[i]).toBeCloseTo(value / Math.SQRT2, 14);
    expect(statistics!.mean[0]).toBe(3);
    expect(statistics!.variance[0]).toBeCloseTo(8 / 3, 14);
  });
  test("instance: each item alone, nothing reported", () => {
    const x = Float64Array.of(1, 3, 30, 50);
    const { y, statistics } = normForward("instance", x, one, zero, 0, { batch: 2, channels: 1, voxels: 2 });
    expect([...y]).toEqual([-1, 1, -1, 1]);
    expect(statistics).toBeNull();
  });
  test("inference: running statistics, scale and shift by channel", () => {
    const y = normInference(
      Float64Array.of(5, 7, 1, 2),
      Float64Array.of(2, 1),
      Float64Array.of(10, 0),
      Float64Array.of(3, 1),
      Float64Array.of(3, 0),
      1,
      { batch: 1, channels: 2, voxels: 2 },
    );
    expect([...y]).toEqual([12, 14, 0, 1]);
  });
  test.each(["batch", "instance"] as const)("gradients of %s norm", (kind) => {
    const generator = random(4);
    const sizes = { batch: 3, channels: 2, voxels: 7 };
    const [x, scale, shift, dy] = [42, 2, 2, 42].map((n) => normals(n, generator));
    const loss = (): number => dot(normForward(kind, x, scale, shift, 1e-3, sizes).y, dy);
    const back = normBackward(kind, dy, normForward(kind, x, scale, shift, 1e-3, sizes).tape, scale, sizes);
    expect(gradientError(loss, x, back.x)).toBeLessThan(1e-7);
    expect(gradientError(loss, scale, back.scale)).toBeLessThan(1e-8);
    expect(gradientError(loss, shift, back.shift)).toBeLessThan(1e-8);
  });
});

describe("pointwise", () => {
  test("leaky ReLU and its gradient; at 0 the slope counts", () => {
    const x = Float64Array.of(-2, 0, 3);
    expect([...activationForward(x, 0.5)]).toEqual([-1, 0, 3]);
    expect([...activationBackward(Float64Array.of(1, 1, 1), x, 0.5)]).toEqual([0.5, 0.5, 1]);
    expect([...activationBackward(Float64Array.of(1, 1, 1), x, 0)]).toEqual([0, 0, 1]);
  });
  test("dropout factors multiply whole planes", () => {
    expect([...scalePlanes(Float64Array.of(1, 2, 3, 4), [0, 2])]).toEqual([0, 0, 6, 8]);
  });
});
