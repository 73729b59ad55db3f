/** Points per leaf: below this a straight loop beats further splitting. */
const LEAF = 12;

/**
 * Exact nearest-neighbour search among points in space: a balanced k-d tree (Bentley 1975), split at the median of the
 * widest axis, in flat arrays, each node with its bounding box (the split planes alone prune badly when the query is far
 * from all points). `points` is [n, 3] with n > 0.
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
  // boxes[6 * node]: lowest x, y, z, then highest.
  const boxes = new Float64Array(12 * leaves);
  const starts = new Uint32Array(2 * leaves);
  const ends = new Uint32Array(2 * leaves);
  build(1, 0, n);
  const sorted = new Float64Array(points.length);
  for (let i = 0; i < n; i++) sorted.set(points.subarray(3 * order[i], 3 * order[i] + 3), 3 * i);

  function build(node: number, start: number, end: number): void {
    starts[node] = start;
    ends[node] = end;
    const axis = bound(node, start, end);
    if (node >= leaves) return;
    const middle = (start + end) >> 1;
    select(points, order, axis, start, end - 1, middle);
    build(2 * node, start, middle);
    build(2 * node + 1, middle, end);
  }

  /** Sets the node's box and returns its widest axis. */
  function bound(node: number, start: number, end: number): number {
    let widest = 0;
    for (let a = 0; a < 3; a++) {
      let low = Number.POSITIVE_INFINITY;
      let high = Number.NEGATIVE_INFINITY;
      for (let i = start; i < end; i++) {
        const value = points[3 * order[i] + a];
        if (value < low) low = value;
        if (value > high) high = value;
      }
      boxes[6 * node + a] = low;
      boxes[6 * node + 3 + a] = high;
      if (high - low > boxes[6 * node + 3 + widest] - boxes[6 * node + widest]) widest = a;
    }
    return widest;
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
    const left = squaredToBox(2 * node);
    const right = squaredToBox(2 * node + 1);
    const near = left <= right ? 2 * node : 2 * node + 1;
    if (Math.min(left, right) < best) search(near);
    if (Math.max(left, right) < best) search(near ^ 1);
  }

  function squaredToBox(node: number): number {
    let sum = 0;
    for (let a = 0; a < 3; a++) {
      const below = boxes[6 * node + a] - query[a];
      const above = query[a] - boxes[6 * node + 3 + a];
      const gap = Math.max(below, above, 0);
      sum += gap * gap;
    }
    return sum;
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
