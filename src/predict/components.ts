import type { Vec3 } from "../volume/volume.ts";

/** Neighbours of a voxel: those that share a face (4 in a slice), or also an edge or a corner (8 in a slice). */
export type Connectivity = 6 | 26;

/**
 * Keeps of the voxels that hold one of `values` in a map [D, H, W] only the largest connected component (of equals the one whose
 * first voxel comes first); the others become `background`. Works in place and gives the number of voxels removed.
 *
 * Union-find over the runs of such voxels along W, so memory and most of the time go by the structure, not by the volume.
 */
export function keepLargest(
  map: Uint8Array,
  [D, H, W]: Vec3,
  values: readonly number[],
  connectivity: Connectivity = 26,
  background = 0,
): number {
  const inside = new Uint8Array(256);
  for (const value of values) inside[value] = 1;
  const { rows, starts, ends } = runsOf(map, inside, D * H, W);
  const parents = Int32Array.from(starts, (_, run) => run);
  // Rows that come before row (d, h) and touch it.
  const before = connectivity === 26 ? [[0, -1], [-1, -1], [-1, 0], [-1, 1]] : [[0, -1], [-1, 0]]; // biome-ignore format: one line
  const reach = connectivity === 26 ? 1 : 0;
  for (let d = 0; d < D; d++) {
    for (let h = 0; h < H; h++) {
      const row = d * H + h;
      if (rows[row] === rows[row + 1]) continue;
      for (const [dd, dh] of before) {
        if (d + dd < 0 || h + dh < 0 || h + dh >= H) continue;
        const other = row + dd * H + dh;
        let a = rows[row];
        let b = rows[other];
        while (a < rows[row + 1] && b < rows[other + 1]) {
          if (starts[a] < ends[b] + reach && starts[b] < ends[a] + reach) join(parents, a, b);
          // The run that ends first meets no later one of the other row.
          if (ends[a] < ends[b]) a++;
          else b++;
        }
      }
    }
  }
  return clearOthers(map, { rows, starts, ends }, parents, W, background);
}

interface Runs {
  /** [D * H + 1]: number of the first run of each row. */
  rows: Int32Array;
  /** First place along W of each run, and the one after its last. */
  starts: Int32Array;
  ends: Int32Array;
}

function runsOf(map: Uint8Array, inside: Uint8Array, count: number, W: number): Runs {
  const rows = new Int32Array(count + 1);
  let runs = 0;
  for (let row = 0, i = 0; row < count; row++) {
    for (let w = 0, last = 0; w < W; w++, i++) {
      const now = inside[map[i]];
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
    for (let w = 0, i = row * W, last = 0; w < W; w++, i++) {
      const now = inside[map[i]];
      if (now > last) starts[run] = w;
      else if (now < last) ends[run++] = w;
      last = now;
    }
    if (run < rows[row + 1]) ends[run] = W;
  }
  return { rows, starts, ends };
}

/** The first run of the component, halving the way to it. */
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

function clearOthers(map: Uint8Array, runs: Runs, parents: Int32Array, W: number, background: number): number {
  const { rows, starts, ends } = runs;
  const sizes = new Float64Array(starts.length);
  for (let run = 0; run < starts.length; run++) sizes[rootOf(parents, run)] += ends[run] - starts[run];
  let largest = 0;
  for (let run = 1; run < sizes.length; run++) if (sizes[run] > sizes[largest]) largest = run;
  let removed = 0;
  for (let row = 0; row + 1 < rows.length; row++) {
    for (let run = rows[row]; run < rows[row + 1]; run++) {
      if (rootOf(parents, run) === largest) continue;
      map.fill(background, row * W + starts[run], row * W + ends[run]);
      removed += ends[run] - starts[run];
    }
  }
  return removed;
}
