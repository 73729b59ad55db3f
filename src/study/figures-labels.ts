/** A point to label, in pixels. */
export interface LabelPoint {
  text: string;
  x: number;
  y: number;
}

/** Where a label stands: left end and middle height, in pixels; `far` where a line should lead to its point. */
export interface PlacedLabel extends LabelPoint {
  labelX: number;
  labelY: number;
  far: boolean;
}

interface Box {
  left: number;
  right: number;
  top: number;
  bottom: number;
}

export const letterWidth = 5.9;
const lineHeight = 13;
const markRadius = 6;

/**
 * Places labels beside their points so that none covers a point or another label: to the right where that is free, else to the
 * left, above, below, and further and further off. The most crowded part (by height) is served first, so that labels fan out.
 */
export function placeLabels(points: readonly LabelPoint[], width: number, height: number): PlacedLabel[] {
  const taken = points.map(({ x, y }) => boxAt(x - markRadius, y, 2 * markRadius, 2 * markRadius));
  const placed = new Map<LabelPoint, PlacedLabel>();
  for (const point of points.toSorted((a, b) => b.x - a.x)) {
    const size = letterWidth * point.text.length;
    const options = candidates(point, size);
    const free = options.find(({ labelX, labelY }) => {
      const box = boxAt(labelX, labelY, size, lineHeight);
      const inside = box.left >= 0 && box.right <= width && box.top >= 0 && box.bottom <= height;
      return inside && !taken.some((other) => overlap(box, other));
    });
    const label = free ?? options[0];
    taken.push(boxAt(label.labelX, label.labelY, size, lineHeight));
    placed.set(point, label);
  }
  return points.map((point) => placed.get(point)!);
}

function candidates(point: LabelPoint, size: number): PlacedLabel[] {
  const gap = markRadius + 3;
  const sides = [point.x + gap, point.x - gap - size, point.x - size / 2];
  const steps = [0, ...Array.from({ length: 14 }, (_, i) => [-(i + 1), i + 1]).flat()];
  return steps.flatMap((step) =>
    sides
      // Straight above and below leaves room for the mark.
      .map((labelX, side) => ({ labelX, dy: step * lineHeight + (side === 2 ? Math.sign(step) * 3 : 0), side }))
      .filter(({ side }) => step !== 0 || side !== 2)
      .map(({ labelX, dy }) => ({ ...point, labelX, labelY: point.y + dy, far: Math.abs(step) > 1 })),
  );
}

function boxAt(left: number, middle: number, width: number, height: number): Box {
  return { left, right: left + width, top: middle - height / 2, bottom: middle + height / 2 };
}

function overlap(a: Box, b: Box): boolean {
  return a.left < b.right && b.left < a.right && a.top < b.bottom && b.top < a.bottom;
}
