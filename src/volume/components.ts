import type { Vec3 } from "./volume.ts";

/** Neighbours of a voxel: those that share a face (4 in a slice), or also an edge or a corner (8 in a slice). */
export type Connectivity = 6 | 26;

/** Connected parts of a mask, the largest first (of equals the one whose first voxel comes first). */
export interface Components {
  /** Voxels of each part. */
  sizes: number[];
  /** Runs of the mask's voxels along W: index of the first voxel, index after the last, and the place of their part in `sizes`. */
  starts: Int32Array;
  ends: Int32Array;
  places: Int32Array;
}

/**
 * The connected parts of the voxels that hold one of `values` (0 to 255) in a map [D, H, W]. Union-find over the runs of such voxels
 * along W, so memory and most of the time go by the structure, not by the volume.
 */
export function findComponents(
  map: ArrayLike<number>,
  values: readonly number[],
  shape: Vec3,
  connectivity: Connectivity = 26,
): Components {
  const [D, H, W] = shape;
  const inside = new Uint8Array(256);
  for (const value of values) inside[value] = 1;
  const { rows, starts, ends } = runsOf(map, inside, D * H, W);
  const parents = Int32Array.from(starts, (_, run) => run);
  const corners = connectivity === 26;
  const reach = corners ? 1 : 0;
  /** Unites the runs of a row with those of one before it that they touch. */
  const unite = (row: number, before: number): void => {
    const shift = (row - before) * W;
    let a = rows[row];
    let b = rows[before];
    while (a < rows[row + 1] && b < rows[before + 1]) {
      if (starts[a] < ends[b] + shift + reach && starts[b] + shift < ends[a] + reach) join(parents, a, b);
      // The run that ends first meets no later one of the other row.
      if (ends[a] < ends[b] + shift) a++;
      else b++;
    }
  };
  for (let d = 0; d < D; d++) {
    for (let h = 0; h < H; h++) {
      const row = d * H + h;
      if (rows[row] === rows[row + 1]) continue;
      if (h > 0) unite(row, row - 1);
      if (d === 0) continue;
      unite(row, row - H);
      if (corners && h > 0) unite(row, row - H - 1);
      if (corners && h < H - 1) unite(row, row - H + 1);
    }
  }
  return { ...sorted(starts, ends, parents), starts, ends };
}

/** Number of the first run of each row, and every run's first index and the one after its last. */
function runsOf(map: ArrayLike<number>, inside: Uint8Array, count: number, W: number) {
  const rows = new Int32Array(count + 1);
  let runs = 0;
  for (let row = 0, i = 0; row < count; row++) {
    for (let w = 0, last = 0; w < W; w++, i++) {
      // Values that are no whole number from 0 to 255 are outside.
      const now = inside[map[i]] | 0;
      runs += now & ~last;
      last = now;
    }
    rows[row + 1] = runs;
  }
  const starts = new Int32Array(runs);
  const ends = new Int32Array(runs);
  for (let row = 0; row < count; row++) {
    let run = rows[row];
    if (run === rows[row + 1]) continue;
    const end = (row + 1) * W;
    for (let i = row * W, last = 0; i < end; i++) {
      const now = inside[map[i]] | 0;
      if (now > last) starts[run] = i;
      else if (now < last) ends[run++] = i;
      last = now;
    }
    if (run < rows[row + 1]) ends[run] = end;
  }
  return { rows, starts, ends };
}

/** The first run of the part, halving the way to it. */
function rootOf(parents: Int32Array, run: number): number {
  let at = run;
  while (parents[at] !== at) {
    parents[at] = parents[parents[at]];
    at = parents[at];
  }
  return at;
}

function join(parents: Int32Array, a: number, b: number): void {
  const [x, y] = [rootOf(parents, a), rootOf(parents, b)];
  if (x < y) parents[y] = x;
  else parents[x] = y;
}

function sorted(starts: Int32Array, ends: Int32Array, parents: Int32Array): Pick<Components, "sizes" | "places"> {
  const sums = new Float64Array(starts.length);
  for (let run = 0; run < starts.length; run++) sums[rootOf(parents, run)] += ends[run] - starts[run];
  // A root is the first run of its part, so the list is in order of beginning; the sort keeps it among equals.
  const roots: number[] = [];
  for (let run = 0; run < sums.length; run++) if (sums[run] > 0) roots.push(run);
  roots.sort((a, b) => sums[b] - sums[a]);
  const placeOf = new Int32Array(starts.length);
  for (const [place, root] of roots.entries()) placeOf[root] = place;
  return { sizes: roots.map((root) => sums[root]), places: placeOf.map((_, run) => placeOf[rootOf(parents, run)]) };
}
