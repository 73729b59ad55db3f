/** Which register tiles the kernels use; the probe chooses one, or the user forces one. */
export interface TileChoice {
  name: "merged-256" | "fma-128" | "mul-add-128";
  /** Relaxed-SIMD fused multiply-add. */
  fused: boolean;
  /** V8 joins neighbouring 128-bit vectors into 256-bit ones. */
  merged: boolean;
  /** Winograd convolution where inputs and output have at least this many channels (padded). */
  winogradFrom: number;
  /** Forces the size of Winograd's tiles where rows and columns allow; by default 4x4 unless its weights would be large. */
  winogradTile?: 2 | 4;
}

/** What a program's memory depends on besides its graph. */
export interface Placing {
  tiles: TileChoice;
  /** Each has scratch memory of its own. */
  threads: number;
}

/**
 * Transforming tiles pays off even at 4 channels, already with tiles of 2x2: measured on Zen 5, a training step of flat 8 / doubling 4 /
 * flat 16 takes 0.71 / 0.85 / 0.63 of the time with direct convolution.
 */
const WINOGRAD_FROM = 4;

export const tileChoices: Record<TileChoice["name"], TileChoice> = {
  // 12 accumulators of 256 bit + weights + one splat fit 16 registers; 128-bit code would spill and run at half speed.
  "merged-256": { name: "merged-256", fused: true, merged: true, winogradFrom: WINOGRAD_FROM },
  // 12 accumulators + 2 weights + 1 splat = 15 of the 16 registers.
  "fma-128": { name: "fma-128", fused: true, merged: false, winogradFrom: WINOGRAD_FROM },
  // The product needs a register of its own.
  "mul-add-128": { name: "mul-add-128", fused: false, merged: false, winogradFrom: WINOGRAD_FROM },
};

/** Vectors of output channels in one tile (V) for a tensor of `vectors` 128-bit vectors a pixel. */
export function blockVectors(vectors: number, tiles: TileChoice): number {
  if (tiles.merged && vectors % 4 === 0) return 4;
  return vectors % 2 === 0 ? 2 : 1;
}

/**
 * Accumulator rows beside V vectors: output positions in the convolution, weight rows in the weight gradient. Measured on Zen 5 and
 * V8 14: at least 8 independent sums hide the multiply-add's latency; past 8 x 2 merged vectors V8 starts to spill.
 */
export function tileRows(V: number, tiles: TileChoice, kernel: "conv" | "weightGradient"): number {
  if (tiles.merged) return V === 4 ? 6 : V === 2 || kernel === "conv" ? 8 : 12;
  if (tiles.fused) return V === 2 ? 6 : 12;
  return V === 2 ? 4 : 8;
}

/** Splits `total` into the fewest parts of at most `most`, sizes equal or one apart: [count, size] pairs, larger first. */
export function evenParts(total: number, most: number): { count: number; size: number }[] {
  const parts = Math.ceil(total / most);
  const size = Math.floor(total / parts);
  const larger = total - size * parts;
  const out: { count: number; size: number }[] = [];
  if (larger > 0) out.push({ count: larger, size: size + 1 });
  out.push({ count: parts - larger, size });
  return out;
}

/** Largest divisor of n that is at most `most` (at least 1). */
export function divisorUpTo(n: number, most: number): number {
  for (let d = Math.min(n, Math.max(1, Math.floor(most))); d > 1; d--) if (n % d === 0) return d;
  return 1;
}
