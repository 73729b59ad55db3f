import fc from "fast-check";
import { expect, test } from "vitest";
import { type Mark, overlaps, placeLabels } from "./labels.ts";

const frame = { x: 0, y: 0, width: 300, height: 200 };

test("a lone mark has its name at its right, one at the right edge at its left", () => {
  const place = (x: number): number => {
    const mark = { x, y: 100, r: 5, text: "head" };
    return placeLabels([mark], { frame, marks: [mark], obstacles: [] })[0].box.x - x;
  };
  expect(place(50)).toBe(8);
  expect(place(295)).toBeLessThan(-8);
});

test("no name overlaps another, a mark or an obstacle, or leaves the frame", () => {
  const mark = fc.record({
    x: fc.integer({ min: 0, max: 300 }),
    y: fc.integer({ min: 0, max: 200 }),
    r: fc.integer({ min: 2, max: 12 }),
    text: fc.constantFrom("head", "encoder.0.1", "decoder.3.up"),
  });
  const box = fc.record({
    ...{ x: fc.integer({ min: 0, max: 250 }), y: fc.integer({ min: 0, max: 180 }) },
    ...{ width: fc.integer({ min: 1, max: 50 }), height: fc.integer({ min: 1, max: 20 }) },
  });
  fc.assert(
    fc.property(fc.array(mark, { maxLength: 30 }), fc.array(box, { maxLength: 5 }), (marks: Mark[], obstacles) => {
      const labels = placeLabels(marks, { frame, marks, obstacles }).map((label) => label.box);
      const solid = [
        ...obstacles,
        ...marks.map(({ x, y, r }) => ({ x: x - r, y: y - r, width: 2 * r, height: 2 * r })),
      ];
      labels.forEach((label, i) => {
        for (const other of [...labels.slice(i + 1), ...solid]) expect(overlaps(label, other)).toBe(false);
        expect(label.x >= 0 && label.y >= 0 && label.x + label.width <= 300 && label.y + label.height <= 200).toBe(
          true,
        );
      });
    }),
  );
});
