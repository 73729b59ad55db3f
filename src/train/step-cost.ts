import { padChannels } from "../engine/wasm/layout.ts";
import { buildGraph } from "../net/build.ts";
import { countParameters } from "../net/count.ts";
import type { NetSpec } from "../net/spec.ts";
import { type Vec3, voxelCount } from "../volume/volume.ts";

/**
 * Seconds of a training step per unit of work: voxels of the input (loss, softmax, what every net does), values of activations
 * (norm and activation, limited by memory), multiply-accumulates, and trained numbers (weight forms and update). Fitted to the
 * training cases of `npm run bench` on two cores of an AMD EPYC with 256-bit vectors (four in 3D, three in 2D): at
 * most 6 % off in 3D, 14 % in 2D. Multiply-accumulates alone would be up to 70 % off, since narrow nets move data more than they compute.
 */
const secondsPer = { voxel: 54e-9, value: 1.7e-9, mac: 8.1e-12, parameter: 18e-9 };

/** A training step: a batch of windows. */
export interface StepShape {
  batch: number;
  window: Vec3;
}

/**
 * Estimated seconds of a training step on the machine that the numbers above are from; on another one only ratios mean something.
 * Channels count as the engine pads them, to 4 or a multiple of 8: 12 cost what 16 do.
 */
export function stepCost(net: NetSpec, { batch, window }: StepShape): number {
  const graph = buildGraph(net, { batch, shape: window });
  const width = (id: number): number => {
    const { channels } = graph.tensors[id];
    return id === graph.input ? channels : padChannels(channels);
  };
  let values = 0;
  let macs = 0;
  for (const node of graph.nodes) {
    const out = batch * voxelCount(graph.tensors[node.output].shape) * width(node.output);
    const taps = node.kind === "conv" ? voxelCount(node.kernel) : node.kind === "upconv" ? 1 : 0;
    values += out;
    macs += out * taps * node.inputs.reduce((sum, id) => sum + width(id), 0);
  }
  const { voxel, value, mac, parameter } = secondsPer;
  return voxel * batch * voxelCount(window) + value * values + mac * macs + parameter * countParameters(net).parameters;
}
