/** Tensors by name, of either precision. */
export type Numbers = ReadonlyMap<string, Float32Array | Float64Array>;

function largest(values: ArrayLike<number>): number {
  let top = 0;
  for (let i = 0; i < values.length; i++) top = Math.max(top, Math.abs(values[i]));
  return top;
}

const minus = (a: ArrayLike<number>, b: ArrayLike<number>): Float64Array =>
  Float64Array.from(a, (value, i) => value - b[i]);

/** a - b, name by name. */
export function changes(a: Numbers, b: Numbers): Map<string, Float64Array> {
  return new Map([...a].map(([name, data]) => [name, minus(data, b.get(name)!)]));
}

export function sameBits(a: Numbers, b: Numbers): boolean {
  return (
    a.size === b.size &&
    [...a].every(([name, data]) => {
      const other = b.get(name);
      return other?.length === data.length && data.every((value: number, i: number) => Object.is(value, other[i]));
    })
  );
}

/**
 * Worst relative error over tensors: relative to the largest entry of that tensor in `scale`, or to `share` of the largest of all
 * its entries.
 */
export function worst(
  found: Numbers,
  truth: Numbers,
  share: number,
  scale: Numbers = truth,
): { error: number; name: string } {
  const scales = new Map([...scale].map(([name, data]) => [name, largest(data)]));
  const floor = Math.max(share * Math.max(...scales.values()), 1e-12);
  let result = { error: 0, name: "" };
  for (const [name, data] of truth) {
    const other = found.get(name);
    const gap = other?.length === data.length ? largest(minus(other, data)) : Number.POSITIVE_INFINITY;
    const error = gap / Math.max(scales.get(name)!, floor);
    // Written so that NaN counts as worst.
    if (!(error <= result.error)) result = { error: Number.isNaN(error) ? Number.POSITIVE_INFINITY : error, name };
  }
  return result;
}
