import { resample } from "../volume/resample.ts";
import { tapsFor } from "../volume/resample-taps.ts";
import type { Vec3 } from "../volume/volume.ts";

/**
 * Linear resampling of a volume that passes by plane by plane. The sums are those of resample() on the whole volume, to the last
 * bit: axes that shrink go first, and every axis rounds to float32.
 */
export interface PlaneResampler {
  /** The two source planes between which plane k of the result lies (twice the same where D stays). */
  sources(k: number): [number, number];
  /** A source plane [layers, H, W] after the axes that come before D. May be the plane itself. */
  enter(plane: Float32Array): Float32Array;
  /** Plane k of the result [layers, H, W] from its two entered planes. May be one of them. */
  leave(k: number, low: Float32Array, high: Float32Array): Float32Array;
}

/** `layers`: channels or classes that lie in one plane array; `shape` and `newShape` are D, H, W. */
export function createPlaneResampler(layers: number, shape: Vec3, newShape: Vec3): PlaneResampler {
  const growth = shape.map((n, axis) => newShape[axis] / n);
  const [D, ...inPlane] = shape;
  const along = newShape[0] === D ? null : tapsFor(D, newShape[0], "linear");
  // On equal growth D goes first, as the first axis.
  const early = [1, 2].map((axis) => along === null || growth[axis] < growth[0]);
  const before: Vec3 = [layers, ...(inPlane.map((n, i) => (early[i] ? newShape[i + 1] : n)) as [number, number])];
  const after: Vec3 = [layers, newShape[1], newShape[2]];
  return {
    sources: (k) => (along ? [along.positions[2 * k], along.positions[2 * k + 1]] : [k, k]),
    enter: (plane) => resample({ data: plane, shape: [layers, shape[1], shape[2]] }, before).data as Float32Array,
    leave(k, low, high) {
      const mixed = along ? mix(low, high, along.weights[2 * k], along.weights[2 * k + 1]) : low;
      return resample({ data: mixed, shape: before }, after).data as Float32Array;
    },
  };
}

function mix(low: Float32Array, high: Float32Array, a: number, b: number): Float32Array {
  const out = new Float32Array(low.length);
  for (let i = 0; i < out.length; i++) out[i] = a * low[i] + b * high[i];
  return out;
}
