import type { Graph } from "../graph.ts";
import type { ChannelSums } from "../types.ts";
import type { Observer } from "./program.ts";

/** The sums of one convolution's output `u` and the gradient `g` with respect to it, both [N, C, voxels]. */
export function channelSums(
  u: Float64Array,
  g: Float64Array,
  { batch, channels }: { batch: number; channels: number },
): ChannelSums {
  const voxels = u.length / (batch * channels);
  const [l1, l2, taylor] = [0, 1, 2].map(() => new Float64Array(batch * channels));
  for (let plane = 0; plane < batch * channels; plane++) {
    for (let i = plane * voxels; i < (plane + 1) * voxels; i++) {
      l1[plane] += Math.abs(u[i]);
      l2[plane] += u[i] * u[i];
      taylor[plane] += u[i] * g[i];
    }
  }
  return { voxels, batch, channels, l1, l2, taylor };
}

/** Collects the sums of every convolution with a tail and every transposed convolution of a backward pass. */
export function collectSums(graph: Graph): { observe: Observer; channels: Map<string, ChannelSums> } {
  const channels = new Map<string, ChannelSums>();
  const observe: Observer = (node, u, g) => {
    if (node.kind === "conv" && !node.tail) return;
    const sizes = { batch: graph.batch, channels: graph.tensors[node.output].channels };
    channels.set(node.name, channelSums(u, g, sizes));
  };
  return { observe, channels };
}
