import { planMemory } from "../engine/wasm/plan-memory.ts";
import { buildGraph, strideOf } from "../net/build.ts";
import type { NetSpec } from "../net/spec.ts";
import { type Vec3, voxelCount } from "../volume/volume.ts";
import { countWindows } from "./placement.ts";

export interface WindowOptions {
  step?: number;
  shifts?: number;
  /** Limit on the engine's memory for a whole-volume window in bytes; a volume beyond it is predicted patch by patch. */
  maxBytes?: number;
}

/**
 * The window in which to predict a volume of `shape`: the whole volume, padded to a multiple of the net's pools, where that
 * computes no more voxels than sliding the plan's `patch` would and the engine's memory for it fits `maxBytes` (1 GiB), else the patch.
 * Nets with instance norm keep the patch: their statistics are those of the window, as in training.
 */
export function chooseWindow(net: NetSpec, patch: Vec3, shape: Vec3, options: WindowOptions = {}): Vec3 {
  const { step = 0.5, shifts = 0, maxBytes = 2 ** 30 } = options;
  if (net.unit.norm === "instance") return patch;
  const stride = strideOf(net);
  // With shifts the volume needs one voxel of room to move.
  const room = shape.map((n) => (shifts > 0 && n > 1 ? n + 1 : n));
  const whole = room.map((n, axis) => Math.ceil(n / stride[axis]) * stride[axis]) as Vec3;
  const cost = (window: Vec3): number => countWindows(shape, window, step, shifts) * voxelCount(window);
  if (cost(whole) > cost(patch)) return patch;
  return planMemory(buildGraph(net, { batch: 1, shape: whole })).total <= maxBytes ? whole : patch;
}
