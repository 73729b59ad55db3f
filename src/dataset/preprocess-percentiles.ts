/** Planes of float32 values, in order; every call starts a new pass. Planes may share one buffer. */
export type PlanePasses = () => Iterable<Float32Array>;

const BINS = 1 << 16;

/**
 * Percentiles as `percentiles` of statistics.ts gives them, to the last bit, of values that are only seen plane by plane: order
 * statistics are exact, since a float32 is a 32-bit key. One pass counts the upper halves of the keys, a second one the lower
 * halves among those with the upper half in question.
 */
export function planePercentiles(planes: PlanePasses, points: readonly number[]): number[] {
  const upper = new Uint32Array(BINS);
  let n = 0;
  for (const plane of planes()) {
    const bits = bitsOf(plane);
    for (let i = 0; i < bits.length; i++) upper[keyOf(bits[i]) >>> 16]++;
    n += plane.length;
  }
  if (n === 0) return points.map(() => Number.NaN);
  const places = points.map((point) => {
    const position = (point / 100) * (n - 1);
    const low = Math.floor(position);
    return { low: findRank(upper, low), high: findRank(upper, Math.min(n - 1, low + 1)), share: position - low };
  });
  // A table of counts for each upper half in question.
  const bins = [...new Set(places.flatMap(({ low, high }) => [low.bin, high.bin]))];
  const table = new Int32Array(BINS).fill(-1);
  for (const [t, bin] of bins.entries()) table[bin] = t * BINS;
  const lower = new Uint32Array(bins.length * BINS);
  for (const plane of planes()) {
    const bits = bitsOf(plane);
    for (let i = 0; i < bits.length; i++) {
      const key = keyOf(bits[i]);
      const at = table[key >>> 16];
      if (at >= 0) lower[at + (key & 0xffff)]++;
    }
  }
  const valueAt = ({ bin, rest }: Rank): number => {
    const counts = lower.subarray(table[bin], table[bin] + BINS);
    return valueOfKey(bin * BINS + findRank(counts, rest).bin);
  };
  return places.map(({ low, high, share }) => {
    const value = valueAt(low);
    return value + share * (valueAt(high) - value);
  });
}

interface Rank {
  bin: number;
  /** How many values of the bin come before. */
  rest: number;
}

function findRank(counts: Uint32Array, rank: number): Rank {
  let rest = rank;
  let bin = 0;
  while (rest >= counts[bin]) rest -= counts[bin++];
  return { bin, rest };
}

const bitsOf = ({ buffer, byteOffset, length }: Float32Array): Int32Array => new Int32Array(buffer, byteOffset, length);

/** Unsigned 32-bit keys in the order of the floats: negative numbers with all bits turned, others with the sign's. */
function keyOf(bits: number): number {
  return (bits ^ ((bits >> 31) | 0x80000000)) >>> 0;
}

function valueOfKey(key: number): number {
  return new Float32Array(Int32Array.of(key & 0x80000000 ? key ^ 0x80000000 : ~key).buffer)[0];
}
