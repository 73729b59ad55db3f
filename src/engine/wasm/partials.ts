import { emitMerge } from "./elementwise.ts";
import type { Call, ProgramBuilder, Task } from "./program.ts";

/** Memory for per-slab weight gradients; weights whose slabs need more are split by output channels instead. */
export const PARTIAL_BYTES = 8 << 20;

/** Tasks that make a weight gradient, and those that merge the slabs' parts in a later stage. */
export interface WeightGradientWork {
  tasks: Task[];
  merge: Task[];
  /** Of the parts. */
  partialBytes: number;
}

/** Adds the slabs' parts at `from` in slab order into `to` (which may be the first part). Whole vectors: floats % 4 = 0. */
export function mergeCall(
  b: ProgramBuilder,
  part: { from: number; to: number; slabs: number; stride: number; floats: number },
): Call {
  const { slabs, stride } = part;
  const kernel = b.kernel(["merge", slabs, stride], 3, (f) => emitMerge(f, slabs, stride));
  return { kernel, args: [part.from, part.to, part.floats / 4] };
}
