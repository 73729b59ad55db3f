import { layoutKey } from "../engine/wasm/layout.ts";
import { layoutsOf } from "../engine/wasm/lower-forward.ts";
import { buildGraph, strideOf } from "../net/build.ts";
import type { NetSpec } from "../net/spec.ts";
import { type Vec3, voxelCount } from "../volume/volume.ts";
import { countWindows } from "./placement.ts";

export interface WindowOptions {
  step?: number;
  shifts?: number;
  /** Limit on the engine's tensors for a whole-volume window in bytes; a volume beyond it is predicted patch by patch. */
  maxBytes?: number;
}

/**
 * The window in which to predict a volume of `shape`: the whole volume, padded to a multiple of the net's pools, where that
 * computes no more voxels than sliding the plan's `patch` would and its tensors fit `maxBytes` (1 GiB), else the patch.
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
  return windowBytes(net, whole) <= maxBytes ? whole : patch;
}

/**
 * Bytes of the tensors that the wasm engine holds to predict one window, weights not counted: channels padded, halos, buffers
 * reused among equal layouts only, and the logits once more in planar order.
 */
export function windowBytes(net: NetSpec, shape: Vec3): number {
  const graph = buildGraph(net, { batch: 1, shape });
  const layouts = layoutsOf(graph);
  const output = graph.tensors[graph.output];
  let bytes = layouts[graph.input].sampleBytes + 4 * output.channels * voxelCount(output.shape);
  const lastReader = new Map(graph.nodes.flatMap(({ inputs }, at) => inputs.map((id) => [id, at] as const)));
  const free = new Map<string, number>();
  for (const [at, node] of graph.nodes.entries()) {
    const key = layoutKey(layouts[node.output]);
    const spare = free.get(key) ?? 0;
    if (spare > 0) free.set(key, spare - 1);
    else bytes += layouts[node.output].sampleBytes;
    for (const id of new Set(node.inputs)) {
      if (lastReader.get(id) !== at || id === graph.input) continue;
      const done = layoutKey(layouts[id]);
      free.set(done, (free.get(done) ?? 0) + 1);
    }
  }
  return bytes;
}
