/**
 * Percentiles (0-100) with linear interpolation between order statistics, numpy's default definition (Hyndman and Fan 1996,
 * type 7). Linear time on average; `values` is left as it is. Values must be finite; an empty list gives NaN.
 */
export function percentiles(values: ArrayLike<number>, points: readonly number[]): number[] {
  const n = values.length;
  const copy = Float32Array.from(values);
  return points.map((point) => {
    const position = (point / 100) * (n - 1);
    const k = Math.floor(position);
    if (n === 0) return Number.NaN;
    select(copy, k);
    if (k === n - 1) return copy[k];
    // After the selection everything right of k is at least copy[k]; its minimum is the next order statistic.
    let next = Number.POSITIVE_INFINITY;
    for (let i = k + 1; i < n; i++) if (copy[i] < next) next = copy[i];
    return copy[k] + (position - k) * (next - copy[k]);
  });
}

export function median(values: readonly number[]): number {
  return percentiles(values, [50])[0];
}

/** Hoare's quickselect, in place: afterwards a[k] is the k-th smallest, smaller ones left, larger ones right. */
function select(a: Float32Array, k: number): void {
  let low = 0;
  let high = a.length - 1;
  while (low < high) {
    const pivot = a[(low + high) >>> 1];
    let i = low;
    let j = high;
    while (i <= j) {
      while (a[i] < pivot) i++;
      while (a[j] > pivot) j--;
      if (i <= j) {
        const held = a[i];
        a[i++] = a[j];
        a[j--] = held;
      }
    }
    if (k <= j) high = j;
    else if (k >= i) low = i;
    else return;
  }
}

/** Mean and population standard deviation, two passes in float64. */
export function meanAndSd(values: ArrayLike<number>): { mean: number; sd: number } {
  let sum = 0;
  for (let i = 0; i < values.length; i++) sum += values[i];
  const mean = sum / values.length;
  let squares = 0;
  for (let i = 0; i < values.length; i++) squares += (values[i] - mean) ** 2;
  return { mean, sd: Math.sqrt(squares / values.length) };
}
