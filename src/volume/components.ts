import type { Vec3 } from "./volume.ts";

/** Connected parts of a mask, the largest first (of equals, the one that begins first). */
export interface Components {
  /** Voxels of each part. */
  sizes: number[];
  /** The parts as runs along W: indices of the first voxel and of the one after the last, and the place in `sizes`. */
  runs: { start: number; end: number; component: number }[];
}

/**
 * The connected parts of the voxels that hold `value` in a map [D, H, W]; voxels that share a face, an edge or a corner are connected
 * (26 neighbours, 8 in a slice). Unites runs of voxels (Rosenfeld and Pfaltz 1966 on rows), so memory goes with the number of runs.
 */
export function findComponents(map: ArrayLike<number>, value: number, [D, H, W]: Vec3): Components {
  const starts: number[] = [];
  const ends: number[] = [];
  /** Index of the first run of every row. */
  const rows = new Uint32Array(D * H + 1);
  for (let row = 0; row < D * H; row++) {
    rows[row] = starts.length;
    const end = (row + 1) * W;
    for (let i = row * W; i < end; i++) {
      if (map[i] !== value) continue;
      starts.push(i);
      while (i < end && map[i] === value) i++;
      ends.push(i);
    }
  }
  rows[D * H] = starts.length;

  const parents = Uint32Array.from(starts, (_, run) => run);
  const rootOf = (run: number): number => {
    let root = run;
    while (parents[root] !== root) {
      parents[root] = parents[parents[root]];
      root = parents[root];
    }
    return root;
  };
  /** Unites the runs of two neighbouring rows that touch, corners included. */
  const unite = (row: number, before: number): void => {
    const shift = (row - before) * W;
    let a = rows[row];
    let b = rows[before];
    while (a < rows[row + 1] && b < rows[before + 1]) {
      if (starts[a] <= ends[b] + shift && starts[b] + shift <= ends[a]) {
        const [one, other] = [rootOf(a), rootOf(b)];
        parents[Math.max(one, other)] = Math.min(one, other);
      }
      if (ends[a] < ends[b] + shift) a++;
      else b++;
    }
  };
  for (let d = 0; d < D; d++) {
    for (let h = 0; h < H; h++) {
      const row = d * H + h;
      if (h > 0) unite(row, row - 1);
      if (d === 0) continue;
      for (let step = -1; step <= 1; step++) if (h + step >= 0 && h + step < H) unite(row, row - H + step);
    }
  }

  const voxels = new Map<number, number>();
  for (let run = 0; run < starts.length; run++) {
    const root = rootOf(run);
    voxels.set(root, (voxels.get(root) ?? 0) + ends[run] - starts[run]);
  }
  // A root is the first run of its part, so the map is in order of beginning; the sort keeps it among equals.
  const sorted = [...voxels].sort((a, b) => b[1] - a[1]);
  const places = new Map(sorted.map(([root], place) => [root, place]));
  return {
    sizes: sorted.map(([, size]) => size),
    runs: starts.map((start, run) => ({ start, end: ends[run], component: places.get(rootOf(run))! })),
  };
}
