import * as fc from "fast-check";
import { expect, test } from "vitest";
import { fromFloat16, toFloat16 } from "./float16.ts";

test("numbers from the standard", () => {
  // Largest, smallest normal and smallest subnormal number; half of the last is a tie and goes to the even 0.
  const known = { 1: 0x3c00, [-2]: 0xc000, 65504: 0x7bff, [2 ** -14]: 0x0400, [2 ** -24]: 1, [2 ** -25]: 0 };
  for (const [value, bits] of Object.entries(known)) expect([value, toFloat16(Number(value))]).toEqual([value, bits]);
  expect([65519, 65520, Number.NEGATIVE_INFINITY].map(toFloat16)).toEqual([0x7bff, 0x7c00, 0xfc00]);
  expect([-0, 1.5 * 2 ** -25].map(toFloat16)).toEqual([0x8000, 1]);
});

test("every number of 16 bits comes back", () => {
  for (let bits = 0; bits < 65536; bits++) {
    const value = fromFloat16(bits);
    if (!Number.isNaN(value) && toFloat16(value) !== bits) expect([bits, toFloat16(value)]).toEqual([bits, bits]);
  }
  expect(fromFloat16(toFloat16(Number.NaN))).toBeNaN();
});

/** Not in every Node that lunet runs on, but in the one that runs the tests. */
const { Float16Array } = globalThis as unknown as { Float16Array: typeof Float32Array };

test("rounds as Float16Array does", () => {
  const near = fc.tuple(fc.nat(0x7bfe), fc.float({ min: 0, max: 1, noNaN: true })).map(([bits, share]) => {
    const [a, b] = [fromFloat16(bits), fromFloat16(bits + 1)];
    return Math.fround(a + share * (b - a));
  });
  fc.assert(
    fc.property(fc.oneof(fc.float({ noNaN: true }), near), (value) => {
      expect(fromFloat16(toFloat16(value))).toBe(Float16Array.of(value)[0]);
    }),
  );
});
