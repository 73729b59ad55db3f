import type { Vec3 } from "../../src/volume/volume.ts";

/** A plane of a scan in RAS orientation; numbers are axes (0 D, 1 H, 2 W). */
export interface Plane {
  name: "Axial" | "Coronal" | "Sagittal";
  /** The axis that it cuts, that to the right, and that upwards. */
  axis: number;
  across: number;
  up: number;
  /** What lies to the left, to the right, and up. */
  letters: [string, string, string];
}

export const planes: readonly Plane[] = [
  { name: "Axial", axis: 0, across: 2, up: 1, letters: ["L", "R", "A"] },
  { name: "Coronal", axis: 1, across: 2, up: 0, letters: ["L", "R", "S"] },
  { name: "Sagittal", axis: 2, across: 1, up: 0, letters: ["P", "A", "S"] },
];

/** The voxels of a slice, row by row from the top of the picture: [rows, columns]. */
export function pickPlane(data: Uint8Array, shape: Vec3, { axis, across, up }: Plane, slice: number): Uint8Array {
  const strides = [shape[1] * shape[2], shape[2], 1];
  const [columns, rows] = [shape[across], shape[up]];
  const out = new Uint8Array(columns * rows);
  for (let row = 0; row < rows; row++) {
    let from = slice * strides[axis] + (rows - 1 - row) * strides[up];
    for (let i = row * columns; i < (row + 1) * columns; i++) {
      out[i] = data[from];
      from += strides[across];
    }
  }
  return out;
}

/** The edges of pixels between a value and others in a picture [rows, columns], as lines x0, y0, x1, y1; straight runs are one line. */
export function borderSegments(
  map: Uint8Array,
  columns: number,
  rows: number,
  value: number,
): [number, number, number, number][] {
  const inside = (x: number, y: number): boolean =>
    x >= 0 && y >= 0 && x < columns && y < rows && map[y * columns + x] === value;
  const segments: [number, number, number, number][] = [];
  for (let y = 0; y <= rows; y++) {
    for (let x = 0; x < columns; x++) {
      if (inside(x, y) === inside(x, y - 1)) continue;
      const from = x;
      while (x + 1 < columns && inside(x + 1, y) !== inside(x + 1, y - 1)) x++;
      segments.push([from, y, x + 1, y]);
    }
  }
  for (let x = 0; x <= columns; x++) {
    for (let y = 0; y < rows; y++) {
      if (inside(x, y) === inside(x - 1, y)) continue;
      const from = y;
      while (y + 1 < rows && inside(x, y + 1) !== inside(x - 1, y + 1)) y++;
      segments.push([x, from, x, y + 1]);
    }
  }
  return segments;
}
