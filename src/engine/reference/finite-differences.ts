import type { Random } from "../../util/random.ts";

/** Standard normal values. */
export function normals(length: number, generator: Random): Float64Array {
  return Float64Array.from({ length }, () => generator.normal());
}

/** sum a b: turns an operator's output into a scalar with gradient `b`. */
export function dot(a: ArrayLike<number>, b: ArrayLike<number>): number {
  let sum = 0;
  for (let i = 0; i < a.length; i++) sum += a[i] * b[i];
  return sum;
}

/**
 * Largest difference between `gradient` and central differences of `loss` in the entries of `values` (changed in place and put
 * back), relative to `scale` or the largest entry of the gradient. At most `entries` of them are tried, evenly spread.
 */
export function gradientError(
  loss: () => number,
  values: Float64Array,
  gradient: Float64Array,
  { step = 1e-5, entries = 40, scale = 0 } = {},
): number {
  const stride = Math.max(1, Math.floor(values.length / entries));
  let worst = 0;
  for (let i = 0; i < values.length; i += stride) {
    const kept = values[i];
    values[i] = kept + step;
    const above = loss();
    values[i] = kept - step;
    const below = loss();
    values[i] = kept;
    worst = Math.max(worst, Math.abs((above - below) / (2 * step) - gradient[i]));
  }
  return worst / Math.max(scale, ...gradient.map(Math.abs));
}
