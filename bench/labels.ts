/** A rectangle in pixels. */
export interface Box {
  x: number;
  y: number;
  width: number;
  height: number;
}

/** A mark that wants its name beside it. */
export interface Mark {
  x: number;
  y: number;
  /** Radius. */
  r: number;
  text: string;
}

/** Where a mark's text stands, and for one further away the end of the line that leads to it. */
export interface Label {
  mark: Mark;
  box: Box;
  leader: { x: number; y: number } | null;
}

const labelHeight = 13;
/** About the width of a text of 11 px in a sans-serif font. */
export const textWidth = (text: string): number => Math.ceil(text.length * 6.1) + 2;

export function overlaps(a: Box, b: Box): boolean {
  return a.x < b.x + b.width && b.x < a.x + a.width && a.y < b.y + b.height && b.y < a.y + a.height;
}

const boxOf = ({ x, y, r }: Mark): Box => ({ x: x - r, y: y - r, width: 2 * r, height: 2 * r });

/**
 * Names marks without any overlap, the first marks first: each text takes the nearest free place around its mark inside the frame,
 * clear of all marks, obstacles, earlier texts and the lines that lead to them. Marks for which there is none stay without a name.
 */
export function placeLabels(
  named: readonly Mark[],
  options: { frame: Box; marks: readonly Mark[]; obstacles: readonly Box[] },
): Label[] {
  const { frame, marks, obstacles } = options;
  const solid: Box[] = [...obstacles, ...marks.map(boxOf)];
  const lines: Box[] = [];
  const labels: Label[] = [];
  const inside = (box: Box): boolean =>
    box.x >= frame.x &&
    box.y >= frame.y &&
    box.x + box.width <= frame.x + frame.width &&
    box.y + box.height <= frame.y + frame.height;
  const free = (box: Box, line: readonly Box[]): boolean =>
    inside(box) &&
    ![...solid, ...lines].some((other) => overlaps(box, other)) &&
    !labels.some((label) => overlaps(box, label.box) || line.some((piece) => overlaps(piece, label.box)));
  for (const mark of named) {
    for (const { box, far } of places(mark)) {
      const leader = far ? { x: within(mark.x, box.x, box.width), y: within(mark.y, box.y, box.height) } : null;
      const line = leader ? pieces(mark, leader) : [];
      if (!free(box, line)) continue;
      lines.push(...line);
      labels.push({ mark, box, leader });
      break;
    }
  }
  return labels;
}

const within = (value: number, low: number, size: number): number => Math.min(low + size, Math.max(low, value));

/** A line as small boxes along it. */
function pieces(from: { x: number; y: number }, to: { x: number; y: number }): Box[] {
  const count = Math.ceil(Math.hypot(to.x - from.x, to.y - from.y) / 3);
  return Array.from({ length: count }, (_, i) => ({
    x: from.x + ((to.x - from.x) * i) / count - 1,
    y: from.y + ((to.y - from.y) * i) / count - 1,
    ...{ width: 2, height: 2 },
  }));
}

/** Boxes around a mark, nearest first: right and left before above and below. */
function* places({ x, y, r, text }: Mark): Generator<{ box: Box; far: boolean }> {
  const [width, height] = [textWidth(text), labelHeight];
  for (let gap = 3; gap <= 120; gap += 9) {
    const far = gap > 3;
    const reach = r + gap;
    for (const angle of [0, 180, -25, 25, 155, -155, -50, 50, 130, -130, -90, 90]) {
      const [dx, dy] = [Math.cos((angle * Math.PI) / 180), Math.sin((angle * Math.PI) / 180)];
      // The text's near edge lies on the circle of the reach.
      const left = Math.abs(dx) < 0.01 ? x - width / 2 : dx > 0 ? x + dx * reach : x + dx * reach - width;
      const middle = y + dy * (Math.abs(dx) < 0.01 ? reach + height / 2 : reach);
      yield { box: { x: left, y: middle - height / 2, width, height }, far };
    }
  }
}
