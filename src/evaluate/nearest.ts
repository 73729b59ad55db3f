/** Points per leaf: below this a straight loop beats further splitting. */
const LEAF = 12;

/**
 * Exact nearest-neighbour search among points in space: a balanced k-d tree (Bentley 1975), split at the median of the
 * widest axis, kept as two flat arrays. `points` is [n, 3] with n > 0.
 *
 * Returns a function from queries [m, 3] to the m Euclidean distances. Each search starts from the previous query's answer
 * as its bound, so queries in scan order, as surfaces give them, are quick even where the two sets lie far apart.
 */
export function nearestDistances(points: Float64Array): (queries: Float64Array) => Float64Array {
  const n = points.length / 3;
  const order = new Uint32Array(n);
  for (let i = 0; i < n; i++) order[i] = i;
  let leaves = 1;
  while (n / leaves > LEAF) leaves *= 2;
  // Node k has children 2k and 2k + 1; nodes from `leaves` on are leaves.
  const axes = new Uint8Array(leaves);
  const splits = new Float64Array(leaves);
  const starts = new Uint32Array(2 * leaves);
  const ends = new Uint32Array(2 * leaves);
  build(1, 0, n);
  const sorted = new Float64Array(points.length);
  for (let i = 0; i < n; i++) sorted.set(points.subarray(3 * order[i], 3 * order[i] + 3), 3 * i);

  function build(node: number, start: number, end: number): void {
    starts[node] = start;
    ends[node] = end;
    if (node >= leaves) return;
    const axis = widestAxis(points, order, start, end);
    const middle = (start + end) >> 1;
    select(points, order, axis, start, end - 1, middle);
    axes[node] = axis;
    splits[node] = points[3 * order[middle] + axis];
    build(2 * node, start, middle);
    build(2 * node + 1, middle, end);
  }

  const query = new Float64Array(3);
  let best = 0;
  let bestIndex = 0;

  function search(node: number): void {
    if (node >= leaves) {
      for (let i = starts[node]; i < ends[node]; i++) {
        const squared = squaredTo(i);
        if (squared < best) {
          best = squared;
          bestIndex = i;
        }
      }
      return;
    }
    const gap = query[axes[node]] - splits[node];
    const near = gap < 0 ? 2 * node : 2 * node + 1;
    search(near);
    if (gap * gap < best) search(near ^ 1);
  }

  function squaredTo(i: number): number {
    const a = query[0] - sorted[3 * i];
    const b = query[1] - sorted[3 * i + 1];
    const c = query[2] - sorted[3 * i + 2];
    return a * a + b * b + c * c;
  }

  return (queries) => {
    const out = new Float64Array(queries.length / 3);
    for (let q = 0; q < out.length; q++) {
      query[0] = queries[3 * q];
      query[1] = queries[3 * q + 1];
      query[2] = queries[3 * q + 2];
      best = squaredTo(bestIndex);
      if (best > 0) search(1);
      out[q] = Math.sqrt(best);
    }
    return out;
  };
}

function widestAxis(points: Float64Array, order: Uint32Array, start: number, end: number): number {
  let axis = 0;
  let widest = -1;
  for (let a = 0; a < 3; a++) {
    let low = Number.POSITIVE_INFINITY;
    let high = Number.NEGATIVE_INFINITY;
    for (let i = start; i < end; i++) {
      const value = points[3 * order[i] + a];
      if (value < low) low = value;
      if (value > high) high = value;
    }
    if (high - low > widest) {
      widest = high - low;
      axis = a;
    }
  }
  return axis;
}

/** Hoare's quickselect: afterwards order[k] holds the k-th smallest along the axis, smaller ones before, larger after. */
function select(points: Float64Array, order: Uint32Array, axis: number, low: number, high: number, k: number): void {
  while (low < high) {
    const pivot = points[3 * order[(low + high) >> 1] + axis];
    let i = low;
    let j = high;
    while (i <= j) {
      while (points[3 * order[i] + axis] < pivot) i++;
      while (points[3 * order[j] + axis] > pivot) j--;
      if (i <= j) {
        const held = order[i];
        order[i++] = order[j];
        order[j--] = held;
      }
    }
    if (k <= j) high = j;
    else if (k >= i) low = i;
    else return;
  }
}
