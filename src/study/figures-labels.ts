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

/** A part of the plot, in pixels; y goes down. */
export interface Box {
  left: number;
  right: number;
  top: number;
  bottom: number;
}

export const letterWidth = 5.9;
const lineHeight = 13;
const markRadius = 6;
/** Half the thickness of a line, with some room. */
const lineRadius = 2;

/** What a point's mark takes. */
export function markBox({ x, y }: Pick<LabelPoint, "x" | "y">): Box {
  return boxAt(x - markRadius, y, 2 * markRadius, 2 * markRadius);
}

/** What a line through points takes, in pieces of a few pixels. */
export function lineBoxes(points: readonly Pick<LabelPoint, "x" | "y">[]): Box[] {
  return points.slice(1).flatMap((to, i) => {
    const from = points[i];
    const pieces = Math.max(1, Math.ceil(Math.hypot(to.x - from.x, to.y - from.y) / 4));
    return Array.from({ length: pieces + 1 }, (_, k) => {
      const [x, y] = [from.x + ((to.x - from.x) * k) / pieces, from.y + ((to.y - from.y) * k) / pieces];
      return boxAt(x - lineRadius, y, 2 * lineRadius, 2 * lineRadius);
    });
  });
}

/**
 * Places labels beside their points so that none covers a point, another label or one of `marks`, nor `lines` where that can be had:
 * to the right where that is free, else to the left, above, below, and further and further off. From right to left, so that
 * labels fan out.
 */
export function placeLabels(
  points: readonly LabelPoint[],
  size: { width: number; height: number; marks?: readonly Box[]; lines?: readonly Box[] },
): PlacedLabel[] {
  const { width, height, marks = [], lines = [] } = size;
  const taken = [...points.map(markBox), ...marks];
  const placed = new Map<LabelPoint, PlacedLabel>();
  for (const point of points.toSorted((a, b) => b.x - a.x)) {
    const length = letterWidth * point.text.length;
    const options = candidates(point, length).filter(({ labelX, labelY }) => {
      const box = boxAt(labelX, labelY, length, lineHeight);
      const inside = box.left >= 0 && box.right <= width && box.top >= 0 && box.bottom <= height;
      return inside && !taken.some((other) => overlap(box, other));
    });
    const clear = options.find(({ labelX, labelY }) => {
      const box = boxAt(labelX, labelY, length, lineHeight);
      return !lines.some((line) => overlap(box, line));
    });
    const label = clear ?? options[0] ?? candidates(point, length)[0];
    taken.push(boxAt(label.labelX, label.labelY, length, lineHeight));
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
