import fc from "fast-check";
import { expect, test } from "vitest";
import { letterWidth, lineBoxes, markBox, placeLabels } from "./figures-labels.ts";

test("a label stands to the right of its point where there is room, else to the left", () => {
  const [a] = placeLabels([{ text: "unet:4", x: 50, y: 50 }], { width: 200, height: 100 });
  expect(a).toMatchObject({ labelX: 59, labelY: 50, far: false });
  const [b] = placeLabels([{ text: "unet:4", x: 195, y: 50 }], { width: 200, height: 100 });
  expect(b.labelX + 6 * letterWidth).toBeCloseTo(186, 9);
});

test("a label keeps off other marks, and off lines where there is another place", () => {
  const point = { text: "unet:4", x: 50, y: 50 };
  const size = { width: 200, height: 100 };
  // A mark to the right: the label goes to the left.
  const [left] = placeLabels([point], { ...size, marks: [markBox({ x: 75, y: 50 })] });
  expect(left.labelX + 6 * letterWidth).toBeCloseTo(41, 9);
  // A level line through the point: the label goes above it.
  const lines = lineBoxes([
    { x: 0, y: 50 },
    { x: 200, y: 50 },
  ]);
  const [above] = placeLabels([point], { ...size, lines });
  expect(above).toMatchObject({ labelX: 59, labelY: 37 });
  // Lines everywhere: they are crossed, marks are not.
  const all = Array.from({ length: 20 }, (_, i) =>
    lineBoxes([
      { x: 0, y: 5 * i },
      { x: 200, y: 5 * i },
    ]),
  ).flat();
  expect(placeLabels([point], { ...size, lines: all, marks: [markBox({ x: 75, y: 50 })] })).toEqual([left]);
});

test("up to ten labels in a plot never cover each other or a point, and stay inside", () => {
  const point = fc.record({
    text: fc.integer({ min: 4, max: 20 }).map((n) => "x".repeat(n)),
    x: fc.integer({ min: 10, max: 510 }),
    y: fc.integer({ min: 60, max: 280 }),
  });
  fc.assert(
    fc.property(fc.array(point, { minLength: 1, maxLength: 10 }), (points) => {
      const boxes = placeLabels(points, { width: 520, height: 340 }).map(({ text, labelX, labelY }) => ({
        left: labelX,
        right: labelX + letterWidth * text.length,
        top: labelY - 6.5,
        bottom: labelY + 6.5,
      }));
      for (const [i, a] of boxes.entries()) {
        expect(a.left).toBeGreaterThanOrEqual(0);
        expect(a.right).toBeLessThanOrEqual(520);
        for (const b of boxes.slice(0, i)) {
          expect(a.left < b.right && b.left < a.right && a.top < b.bottom && b.top < a.bottom).toBe(false);
        }
        for (const { x, y } of points) {
          expect(a.left < x + 6 && x - 6 < a.right && a.top < y + 6 && y - 6 < a.bottom).toBe(false);
        }
      }
    }),
  );
});
