import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { random } from "../util/random.ts";
import type { Vec3 } from "../volume/volume.ts";
import { blur, lowerResolution } from "./augment-resolution.ts";

const noise = (n: number, seed: number): Float32Array => {
  const r = random(seed);
  return Float32Array.from({ length: n }, () => r.normal());
};
const side = fc.integer({ min: 1, max: 9 });
const shapes = fc.tuple(side, side, side);
const size = ([d, h, w]: Vec3): number => d * h * w;

/** Applies a change of lines to every line along an axis, one after the other. */
function alongLines(x: ArrayLike<number>, shape: Vec3, axis: number, change: (line: number[]) => number[]): number[] {
  const out = Array.from(x);
  const stride = [shape[1] * shape[2], shape[2], 1][axis];
  for (let i = 0; i < out.length; i++) {
    if (Math.floor(i / stride) % shape[axis] > 0) continue;
    const at = Array.from({ length: shape[axis] }, (_, k) => i + k * stride);
    change(at.map((j) => out[j])).forEach((v, k) => {
      out[at[k]] = v;
    });
  }
  return out;
}

describe("blur", () => {
  test("agrees with a plain Gaussian of 7 taps along each axis, edges repeated (float32 apart)", () => {
    fc.assert(
      fc.property(shapes, fc.nat(), (shape, seed) => {
        const sigmas: Vec3 = [0.5, 0.8, 1];
        const x = noise(size(shape), seed);
        let expected: number[] = Array.from(x);
        for (const axis of [0, 1, 2]) {
          const weight = (k: number): number => Math.exp((-k * k) / (2 * sigmas[axis] ** 2));
          const taps = [-3, -2, -1, 0, 1, 2, 3];
          const total = taps.reduce((sum, k) => sum + weight(k), 0);
          expected = alongLines(expected, shape, axis, (line) =>
            line.map((_, i) =>
              taps.reduce(
                (sum, k) => sum + (weight(k) / total) * line[Math.min(line.length - 1, Math.max(0, i + k))],
                0,
              ),
            ),
          );
        }
        blur(x, shape, sigmas);
        expected.forEach((v, i) => {
          expect(x[i]).toBeCloseTo(v, 5);
        });
      }),
    );
  });

  test("spreads a point into a Gaussian with the standard deviation of each axis", () => {
    const point = new Float32Array(13 * 13);
    point[6 * 13 + 6] = 1;
    blur(point, [1, 13, 13], [1, 0.5, 0.9]);
    let [sum, rows, columns] = [0, 0, 0];
    point.forEach((v, i) => {
      sum += v;
      rows += v * (Math.floor(i / 13) - 6) ** 2;
      columns += v * ((i % 13) - 6) ** 2;
    });
    // Sampling and 7 taps change a variance by about 1 %.
    expect([sum, Math.sqrt(rows), Math.sqrt(columns)].map((v) => v.toFixed(1))).toEqual(["1.0", "0.5", "0.9"]);
  });
});

describe("lower resolution", () => {
  test("by hand: half of 4 voxels keeps the second and the last, and goes linearly between their centres", () => {
    const x = Float32Array.of(1, 5, 0, 9);
    // Coarse voxels lie at 0.5 and 2.5 and hold voxels 1 and 3; the outputs 0..3 are at -0.25, 0.25, 0.75 and 1.25 of them.
    lowerResolution(x, [1, 1, 4], [1, 1, 0.5]);
    expect([...x]).toEqual([5, 6, 8, 9]);
  });

  test("agrees with the same rule line by line; an axis of zoom 1 stays as it is (float32 apart)", () => {
    fc.assert(
      fc.property(
        shapes,
        fc.nat(),
        fc.tuple(...[0, 1, 2].map(() => fc.constantFrom(0.5, 0.7, 0.9, 1))),
        (shape, seed, z) => {
          const x = noise(size(shape), seed);
          let expected: number[] = Array.from(x);
          for (const axis of [0, 1, 2]) {
            expected = alongLines(expected, shape, axis, (line) => {
              const n = line.length;
              const small = Math.max(1, Math.round(n * z[axis]));
              const coarse = Array.from({ length: small }, (_, s) => line[Math.floor(((s + 0.5) * n) / small)]);
              return line.map((_, i) => {
                const at = Math.min(small - 1, Math.max(0, ((i + 0.5) * small) / n - 0.5));
                const s = Math.floor(at);
                return coarse[s] + (at - s) * ((coarse[s + 1] ?? coarse[s]) - coarse[s]);
              });
            });
          }
          lowerResolution(x, shape, z as Vec3);
          expected.forEach((v, i) => {
            expect(x[i]).toBeCloseTo(v, 5);
          });
        },
      ),
    );
  });
});
