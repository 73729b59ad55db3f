import { worldOf } from "./affine.ts";
import type { Vec3 } from "./volume.ts";

/** A triangle mesh, closed and with its triangles counter-clockwise seen from outside. */
export interface SurfaceMesh {
  /** x, y, z in mm of each vertex. */
  vertices: Float32Array;
  /** Three vertex indices a triangle. */
  triangles: Uint32Array;
}

export interface SurfaceNetsOptions {
  /** Relaxation steps; 0 leaves the stairs of the voxels. Default 20. */
  steps?: number;
}

/**
 * The surface of the voxels that hold `value`, by surface nets (Gibson 1998, Constrained Elastic Surface Nets): a vertex in every cell of
 * eight voxels that are not all alike, smoothed along the surface in several steps and never moved out of its cell, so
 * that the surface is smooth and still separates inside from outside. `data` [D, H, W]; `affine` takes (i, j, k) to mm. Empty where no voxel
 * holds the value.
 */
export function surfaceNets(
  data: ArrayLike<number>,
  shape: Vec3,
  value: number,
  affine: ArrayLike<number>,
  options: SurfaceNetsOptions = {},
): SurfaceMesh {
  const box = boxOf(data, shape, value);
  if (!box) return { vertices: new Float32Array(0), triangles: new Uint32Array(0) };
  const { inside, size } = cut(data, shape, value, box);
  const cells = findCells(inside, size);
  relax(cells, size, options.steps ?? 20);
  const vertices = new Float32Array(cells.places.length);
  for (let v = 0; v < vertices.length; v += 3) {
    // Voxel 0 of the cut lies one before the box.
    const [d, h, w] = [0, 1, 2].map((axis) => cells.places[v + axis] + box.start[axis] - 1);
    vertices.set(worldOf(affine, w, h, d), v);
  }
  const triangles = join(inside, size, cells.indices);
  // A mirroring affine turns the triangles' sides round.
  if (determinant(affine) < 0) for (let t = 0; t < triangles.length; t += 3) swap(triangles, t + 1, t + 2);
  return { vertices, triangles };
}

function swap(list: Uint32Array, a: number, b: number): void {
  [list[a], list[b]] = [list[b], list[a]];
}

function determinant(a: ArrayLike<number>): number {
  return a[0] * (a[5] * a[10] - a[6] * a[9]) - a[1] * (a[4] * a[10] - a[6] * a[8]) + a[2] * (a[4] * a[9] - a[5] * a[8]);
}

function boxOf(data: ArrayLike<number>, [D, H, W]: Vec3, value: number): { start: Vec3; end: Vec3 } | null {
  const start: Vec3 = [D, H, W];
  const end: Vec3 = [0, 0, 0];
  for (let d = 0, i = 0; d < D; d++) {
    for (let h = 0; h < H; h++) {
      for (let w = 0; w < W; w++, i++) {
        if (data[i] !== value) continue;
        for (const [axis, at] of [d, h, w].entries()) {
          if (at < start[axis]) start[axis] = at;
          if (at >= end[axis]) end[axis] = at + 1;
        }
      }
    }
  }
  return end[0] === 0 ? null : { start, end };
}

/** The voxels of the box as 0 and 1, with a border of 0 on every side, which closes the surface at the scan's edge. */
function cut(
  data: ArrayLike<number>,
  [, H, W]: Vec3,
  value: number,
  { start, end }: { start: Vec3; end: Vec3 },
): { inside: Uint8Array; size: Vec3 } {
  const size = [0, 1, 2].map((axis) => end[axis] - start[axis] + 2) as Vec3;
  const inside = new Uint8Array(size[0] * size[1] * size[2]);
  for (let d = start[0]; d < end[0]; d++) {
    for (let h = start[1]; h < end[1]; h++) {
      const row = (d * H + h) * W;
      const to = ((d - start[0] + 1) * size[1] + h - start[1] + 1) * size[2] + 1 - start[2];
      for (let w = start[2]; w < end[2]; w++) if (data[row + w] === value) inside[to + w] = 1;
    }
  }
  return { inside, size };
}

interface Cells {
  /** Vertex of each cell, -1 where all eight voxels are alike; a cell is named by its first voxel. */
  indices: Int32Array;
  /** Cells that have a vertex. */
  with: number[];
  /** d, h, w of each vertex, in voxels of the cut. */
  places: Float32Array;
}

/** A vertex per mixed cell, at the mean of the middles of its edges that cross the surface. */
function findCells(inside: Uint8Array, [D, H, W]: Vec3): Cells {
  const indices = new Int32Array(inside.length).fill(-1);
  const corners = Array.from({ length: 8 }, (_, c) => (((c >> 2) & 1) * H + ((c >> 1) & 1)) * W + (c & 1));
  const found: number[] = [];
  const places: number[] = [];
  for (let d = 0; d < D - 1; d++) {
    for (let h = 0; h < H - 1; h++) {
      for (let w = 0; w < W - 1; w++) {
        const cell = (d * H + h) * W + w;
        let mask = 0;
        for (let c = 0; c < 8; c++) mask |= inside[cell + corners[c]] << c;
        if (mask === 0 || mask === 255) continue;
        const sum = [0, 0, 0];
        let crossings = 0;
        for (let c = 0; c < 8; c++) {
          for (const bit of [1, 2, 4]) {
            if (c & bit || ((mask >> c) & 1) === ((mask >> (c | bit)) & 1)) continue;
            crossings++;
            for (const [axis, place] of [4, 2, 1].entries()) sum[axis] += bit === place ? 0.5 : c & place ? 1 : 0;
          }
        }
        indices[cell] = found.length;
        found.push(cell);
        places.push(d + sum[0] / crossings, h + sum[1] / crossings, w + sum[2] / crossings);
      }
    }
  }
  return { indices, with: found, places: Float32Array.from(places) };
}

/** Steps towards the mean and, a little larger, away from it in turn smooth without shrinking (Taubin 1995). */
const [INWARDS, OUTWARDS] = [0.5, -0.53];

/** Moves every vertex towards or away from the mean of its neighbours in the six cells around; it never leaves its own cell. */
function relax({ indices, with: cells, places }: Cells, [, H, W]: Vec3, steps: number): void {
  const strides = [H * W, W, 1];
  let from = places;
  for (let step = 0; step < steps; step++) {
    const to = new Float32Array(from.length);
    const share = step % 2 === 0 ? INWARDS : OUTWARDS;
    for (const [v, cell] of cells.entries()) {
      const sum = [0, 0, 0];
      let neighbours = 0;
      for (const stride of strides) {
        for (const other of [indices[cell - stride], indices[cell + stride]]) {
          if (!(other >= 0)) continue;
          neighbours++;
          for (let axis = 0; axis < 3; axis++) sum[axis] += from[3 * other + axis];
        }
      }
      const corner = [Math.floor(cell / strides[0]), Math.floor(cell / W) % H, cell % W];
      for (let axis = 0; axis < 3; axis++) {
        const own = from[3 * v + axis];
        const moved = neighbours > 0 ? own + share * (sum[axis] / neighbours - own) : own;
        to[3 * v + axis] = Math.min(corner[axis] + 1, Math.max(corner[axis], moved));
      }
    }
    from = to;
  }
  places.set(from);
}

/** Two triangles for every pair of neighbouring voxels of which one is inside: they join the four cells around the pair. */
function join(inside: Uint8Array, [D, H, W]: Vec3, indices: Int32Array): Uint32Array {
  const strides = [H * W, W, 1];
  const out: number[] = [];
  const at: Vec3 = [0, 0, 0];
  for (at[0] = 0; at[0] < D; at[0]++) {
    for (at[1] = 0; at[1] < H; at[1]++) {
      for (at[2] = 0; at[2] < W; at[2]++) {
        const voxel = (at[0] * H + at[1]) * W + at[2];
        for (let axis = 0; axis < 3; axis++) {
          if (at[axis] + 1 >= [D, H, W][axis] || inside[voxel] === inside[voxel + strides[axis]]) continue;
          const [u, v] = [strides[(axis + 1) % 3], strides[(axis + 2) % 3]];
          const quad = [voxel - u - v, voxel - v, voxel, voxel - u].map((cell) => indices[cell]);
          // d, h, w in this order make a left-handed system with x = w, y = h, z = d.
          if (inside[voxel]) quad.reverse();
          out.push(quad[0], quad[1], quad[2], quad[0], quad[2], quad[3]);
        }
      }
    }
  }
  return Uint32Array.from(out);
}
