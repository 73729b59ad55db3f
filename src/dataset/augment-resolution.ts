import type { Vec3 } from "../volume/volume.ts";

// Both functions change one channel of a patch in place, one axis after the other. Along an axis a patch is `outer` slabs of `n`
// rows of `inner` voxels; rows of a copy are combined, so that the inner loops run over neighbours.

let scratch = new Float32Array(0);

/** A copy that is good until the next call. */
function copyOf(x: Float32Array): Float32Array {
  if (scratch.length < x.length) scratch = new Float32Array(x.length);
  scratch.set(x);
  return scratch;
}

interface Slabs {
  outer: number;
  n: number;
  inner: number;
}

function slabsAlong(shape: Vec3, axis: number): Slabs {
  const count = (from: number, to: number): number => shape.slice(from, to).reduce((product, n) => product * n, 1);
  return { outer: count(0, axis), n: shape[axis], inner: count(axis + 1, 3) };
}

/** Taps on each side: the next one of a Gaussian of 1 voxel would have 0.03 % of the middle's weight. */
const reach = 3;

/** Gaussian blur with a standard deviation of at most 1 voxel for each axis, edges repeated; axes of one voxel stay as they are. */
export function blur(x: Float32Array, shape: Vec3, sigmas: Vec3): void {
  for (let axis = 0; axis < 3; axis++) {
    if (shape[axis] === 1) continue;
    const weights = Array.from({ length: reach + 1 }, (_, k) => Math.exp((-k * k) / (2 * sigmas[axis] ** 2)));
    const total = 2 * weights.reduce((sum, w) => sum + w, 0) - 1;
    const taps = weights.map((w) => w / total);
    const slabs = slabsAlong(shape, axis);
    if (slabs.inner === 1) blurLines(x, slabs, taps);
    else blurRows(x, slabs, taps);
  }
}

function blurLines(x: Float32Array, { outer, n }: Slabs, [t0, t1, t2, t3]: number[]): void {
  const line = new Float32Array(n + 2 * reach);
  for (let start = 0; start < outer * n; start += n) {
    for (let i = 0; i < n; i++) line[i + reach] = x[start + i];
    for (let i = 0; i < reach; i++) {
      line[i] = line[reach];
      line[n + reach + i] = line[n + reach - 1];
    }
    for (let i = 0; i < n; i++) {
      x[start + i] =
        t0 * line[i + 3] +
        t1 * (line[i + 2] + line[i + 4]) +
        t2 * (line[i + 1] + line[i + 5]) +
        t3 * (line[i] + line[i + 6]);
    }
  }
}

function blurRows(x: Float32Array, { outer, n, inner }: Slabs, [t0, t1, t2, t3]: number[]): void {
  const from = copyOf(x);
  for (let o = 0, out = 0; o < outer; o++) {
    for (let i = 0; i < n; i++) {
      const row = (offset: number): number => (o * n + Math.min(n - 1, Math.max(0, i + offset))) * inner;
      const a1 = row(-1);
      const a2 = row(-2);
      const a3 = row(-3);
      const b1 = row(1);
      const b2 = row(2);
      const b3 = row(3);
      for (let j = 0; j < inner; j++, out++) {
        x[out] =
          t0 * from[out] +
          t1 * (from[a1 + j] + from[b1 + j]) +
          t2 * (from[a2 + j] + from[b2 + j]) +
          t3 * (from[a3 + j] + from[b3 + j]);
      }
    }
  }
}

/**
 * Simulates a coarser scan: along each axis keeps the share `zooms` of the voxels (the nearest to each coarse one's centre) and
 * goes linearly from one to the next. A zoom of 1 leaves its axis as it is.
 */
export function lowerResolution(x: Float32Array, shape: Vec3, zooms: Vec3): void {
  for (let axis = 0; axis < 3; axis++) {
    const n = shape[axis];
    const small = Math.max(1, Math.round(n * zooms[axis]));
    if (small === n) continue;
    // Coarse voxel s has its centre at (s + 0.5) n / small - 0.5, and the value of the voxel that holds this place.
    const kept = (s: number): number => Math.floor(((s + 0.5) * n) / small);
    const lower = new Int32Array(n);
    const upper = new Int32Array(n);
    const share = new Float64Array(n);
    for (let i = 0; i < n; i++) {
      const at = Math.min(small - 1, Math.max(0, ((i + 0.5) * small) / n - 0.5));
      const s = Math.floor(at);
      lower[i] = kept(s);
      upper[i] = kept(Math.min(small - 1, s + 1));
      share[i] = at - s;
    }
    const slabs = slabsAlong(shape, axis);
    if (slabs.inner === 1) mixLines(x, slabs, lower, upper, share);
    else mixRows(x, slabs, lower, upper, share);
  }
}

function mixLines(
  x: Float32Array,
  { outer, n }: Slabs,
  lower: Int32Array,
  upper: Int32Array,
  share: Float64Array,
): void {
  const from = copyOf(x);
  for (let start = 0; start < outer * n; start += n) {
    for (let i = 0; i < n; i++) {
      const a = from[start + lower[i]];
      x[start + i] = a + share[i] * (from[start + upper[i]] - a);
    }
  }
}

function mixRows(
  x: Float32Array,
  { outer, n, inner }: Slabs,
  lower: Int32Array,
  upper: Int32Array,
  share: Float64Array,
): void {
  const from = copyOf(x);
  for (let o = 0, out = 0; o < outer; o++) {
    for (let i = 0; i < n; i++) {
      const a = (o * n + lower[i]) * inner;
      const b = (o * n + upper[i]) * inner;
      const part = share[i];
      for (let j = 0; j < inner; j++, out++) x[out] = from[a + j] + part * (from[b + j] - from[a + j]);
    }
  }
}
