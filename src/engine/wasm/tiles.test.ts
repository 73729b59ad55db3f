import fc from "fast-check";
import { expect, test } from "vitest";
import { blockVectors, divisorUpTo, evenParts, tileChoices } from "./tiles.ts";

const size = fc.integer({ min: 1, max: 400 });

test("parts by hand", () => {
  expect(evenParts(13, 6)).toEqual([
    { count: 1, size: 5 },
    { count: 2, size: 4 },
  ]);
  expect(evenParts(12, 6)).toEqual([{ count: 2, size: 6 }]);
  expect(evenParts(3, 8)).toEqual([{ count: 1, size: 3 }]);
});

test("parts cover the total, none above the limit, as few as can be, sizes one apart at most", () => {
  fc.assert(
    fc.property(size, size, (total, most) => {
      const parts = evenParts(total, most);
      expect(parts.reduce((sum, part) => sum + part.count * part.size, 0)).toBe(total);
      expect(parts.reduce((sum, part) => sum + part.count, 0)).toBe(Math.ceil(total / most));
      const sizes = parts.map((part) => part.size);
      expect(sizes[0]).toBeLessThanOrEqual(most);
      expect(sizes[0] - sizes[sizes.length - 1]).toBeLessThanOrEqual(1);
      expect(parts.every((part) => part.count > 0)).toBe(true);
    }),
  );
});

test("the largest divisor within a limit, which need not be whole", () => {
  expect([
    divisorUpTo(12, 5),
    divisorUpTo(12, 4.9),
    divisorUpTo(7, 6),
    divisorUpTo(24, 24),
    divisorUpTo(5, 0.3),
  ]).toEqual([4, 4, 1, 24, 1]);
  fc.assert(
    fc.property(size, size, (n, most) => {
      const found = divisorUpTo(n, most);
      const all = Array.from({ length: n }, (_, i) => i + 1).filter((d) => n % d === 0 && d <= most);
      expect(found).toBe(Math.max(...all));
    }),
  );
});

test("a block divides the vectors", () => {
  const blocks = (name: keyof typeof tileChoices) => [1, 2, 4, 6, 8].map((n) => blockVectors(n, tileChoices[name]));
  expect(blocks("merged-256")).toEqual([1, 2, 4, 2, 4]);
  expect(blocks("fma-128")).toEqual([1, 2, 2, 2, 2]);
});
