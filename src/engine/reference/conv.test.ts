import { expect, test } from "vitest";
import { random } from "../../util/random.ts";
import type { Vec3 } from "../../volume/volume.ts";
import { type ConvSizes, concatChannels, convBackward, convForward, splitChannels } from "./conv.ts";
import { dot, gradientError, normals } from "./finite-differences.ts";

test("3 taps along W by hand, zero padding at both ends", () => {
  const sizes: ConvSizes = { batch: 1, cin: 1, cout: 1, shape: [1, 1, 4], kernel: [1, 1, 3] };
  const x = Float64Array.of(1, 2, 3, 4);
  const w = Float64Array.of(10, 100, 1000);
  expect([...convForward(x, w, Float64Array.of(0.5), sizes)]).toEqual([2100.5, 3210.5, 4320.5, 430.5]);
  const back = convBackward(Float64Array.of(1, 0, 0, 2), x, w, sizes);
  expect([...back.x]).toEqual([100, 1000, 20, 200]);
  expect([...back.weight]).toEqual([6, 9, 2]);
  expect([...back.bias]).toEqual([3]);
});

test("a 3x3x3 kernel of ones over ones counts the neighbours", () => {
  const sizes: ConvSizes = { batch: 1, cin: 1, cout: 1, shape: [3, 3, 3], kernel: [3, 3, 3] };
  const y = convForward(new Float64Array(27).fill(1), new Float64Array(27).fill(1), Float64Array.of(0), sizes);
  // Corner, edge, face, centre.
  expect([y[0], y[1], y[4], y[13]]).toEqual([8, 12, 18, 27]);
});

test("a shift kernel moves voxels against its tap, per channel and item", () => {
  const sizes: ConvSizes = { batch: 2, cin: 2, cout: 1, shape: [2, 2, 1], kernel: [3, 1, 1] };
  const x = Float64Array.of(1, 2, 3, 4, 10, 20, 30, 40, 5, 6, 7, 8, 50, 60, 70, 80);
  // Channel 0 from d - 1, channel 1 from d + 1.
  const y = convForward(x, Float64Array.of(1, 0, 0, 0, 0, 1), Float64Array.of(0), sizes);
  expect([...y]).toEqual([30, 40, 1, 2, 70, 80, 5, 6]);
});

test("concat and split are inverse and keep the order [first, second]", () => {
  const parts = [Float64Array.of(1, 2, 3, 4), Float64Array.of(5, 6, 7, 8, 9, 10, 11, 12)];
  const whole = concatChannels(parts, [1, 2], 2, 2);
  expect([...whole]).toEqual([1, 2, 5, 6, 7, 8, 3, 4, 9, 10, 11, 12]);
  expect(splitChannels(whole, [1, 2], 2, 2)).toEqual(parts);
});

const kernels: Vec3[] = [
  [3, 3, 3],
  [1, 3, 3],
  [3, 1, 3],
  [3, 3, 1],
  [1, 1, 1],
];
test.each(kernels)("gradients of kernel %i %i %i against finite differences", (...kernel) => {
  const generator = random(1);
  const sizes: ConvSizes = { batch: 2, cin: 2, cout: 3, shape: [2, 4, 3], kernel };
  const taps = kernel[0] * kernel[1] * kernel[2];
  const [x, w, b, dy] = [96, 6 * taps, 3, 144].map((n) => normals(n, generator));
  const loss = (): number => dot(convForward(x, w, b, sizes), dy);
  const back = convBackward(dy, x, w, sizes);
  expect(gradientError(loss, x, back.x)).toBeLessThan(1e-8);
  expect(gradientError(loss, w, back.weight)).toBeLessThan(1e-8);
  expect(gradientError(loss, b, back.bias)).toBeLessThan(1e-8);
});
