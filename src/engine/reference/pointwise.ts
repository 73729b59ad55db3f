/** Leaky ReLU: x where x > 0, else slope x (slope 0 is ReLU). */
export function activationForward(x: Float64Array, slope: number): Float64Array {
  return x.map((value) => (value > 0 ? value : slope * value));
}

/** The slope counts at exactly 0, so ReLU passes no gradient there. */
export function activationBackward(dy: Float64Array, x: Float64Array, slope: number): Float64Array {
  return dy.map((value, i) => (x[i] > 0 ? value : slope * value));
}

/** Channel dropout: every plane (n, c) times its factor. Linear, so backward is the same on dy. */
export function scalePlanes(x: Float64Array, factors: ArrayLike<number>): Float64Array {
  const voxels = x.length / factors.length;
  return x.map((value, i) => value * factors[Math.floor(i / voxels)]);
}
