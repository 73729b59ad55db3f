import { defaultTolerances, type Tolerances } from "../conformance.ts";

/**
 * A GPU in software makes half a GFLOP/s: all cases take minutes, so only these, every kind of kernel, unit, loss and optimiser among them,
 * are trained in every run of the tests; with LUNET_CONFORMANCE=all all are. Inference is checked on all cases always.
 */
export const chosenCases = [
  "width 3",
  "width 24 then 64 then 1",
  "one voxel wide",
  "batch 3",
  "kernel 1x3x3",
  "kernel 3x1x3",
  "kernel 3x3x1",
  "pool 2x2x2",
  "pool 1x2x2",
  "two sources 3 + 5",
  "inner skip only",
  "conv-act-norm, instance, slope 0.01",
  "conv-act-norm, none, slope 0",
  "conv-norm-act, batch, slope 0.01",
  "conv-norm-act, instance, slope 0",
  "conv-norm-act, none, slope 0.01",
  "sigmoid 1",
  "sigmoid 2",
  "random 13",
  "random 14",
  "input read by a pool and a skip",
  "softmax 70",
  "heads at 2 levels, regions",
];

/**
 * In the second step of "plane 9x8x16" one input of a ReLU is 2e-7, where the largest are 8.7: less than float32 tells from 0, so that
 * rounding decides whether a gradient flows through it, and the gradient's norm moves by 4e-4.
 */
export function tolerancesOf(name: string): Tolerances {
  return name === "plane 9x8x16" ? { ...defaultTolerances, loss: 1e-3 } : defaultTolerances;
}
