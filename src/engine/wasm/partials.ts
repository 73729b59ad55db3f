import type { Task } from "./program.ts";

/** Memory for per-slab weight gradients; weights whose slabs need more are split by output channels instead. */
export const PARTIAL_BYTES = 8 << 20;

/** Tasks that make a weight gradient, and those that merge the slabs' parts in a later stage. */
export interface WeightGradientWork {
  tasks: Task[];
  merge: Task[];
}
