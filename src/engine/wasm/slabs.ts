import type { Layout } from "./layout.ts";

/** A range of positions in one sample that one task works on: whole rows. */
export interface Slab {
  n: number;
  d: number;
  planes: number;
  h: number;
  rows: number;
}

/** About this many tasks for a whole tensor: enough for 8 threads, few enough that merging costs nothing. */
const TASKS = 16;

/**
 * Cuts N x D planes (or, where D is 1, rows in multiples of `rowUnit`) into slabs. The cut depends on the shape alone, never
 * on the number of threads: sums merged in slab order have the same bits on any machine.
 */
export function slabsOf(shape: readonly [number, number, number], batch: number, rowUnit = 1): Slab[] {
  const [D, H] = shape;
  const perSample = Math.ceil(TASKS / batch);
  const slabs: Slab[] = [];
  for (let n = 0; n < batch; n++) {
    if (D > 1) {
      for (const [d, planes] of ranges(D, perSample)) slabs.push({ n, d, planes, h: 0, rows: H });
    } else {
      for (const [unit, units] of ranges(H / rowUnit, perSample)) {
        slabs.push({ n, d: 0, planes: 1, h: unit * rowUnit, rows: units * rowUnit });
      }
    }
  }
  return slabs;
}

/** [start, length] of at most `most` nearly equal parts. */
function ranges(total: number, most: number): [number, number][] {
  const parts = Math.min(total, most);
  return Array.from({ length: parts }, (_, i) => {
    const start = Math.floor((i * total) / parts);
    return [start, Math.floor(((i + 1) * total) / parts) - start];
  });
}

/** Byte distance from a tensor's start to the first interior voxel of a slab (scaled by `factor` for a finer tensor). */
export function slabStart(slab: Slab, layout: Layout, factor: readonly number[] = [1, 1, 1]): number {
  return (
    slab.n * layout.sampleBytes +
    layout.interior +
    slab.d * factor[0] * layout.planeBytes +
    slab.h * factor[1] * layout.rowBytes
  );
}
