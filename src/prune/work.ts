import { countNet } from "../net/count.ts";
import type { NetSpec } from "../net/spec.ts";
import { type Vec3, voxelCount } from "../volume/volume.ts";

/**
 * Rough cost of a training step in ms on one thread of a 2024 server core (measured on nets from lean:2 to unet:16, within a
 * third): work per voxel, per multiply-accumulate and per activation. It says which nets are slow and scales with the machine.
 */
const perVoxel = 6 / 73728;
const perMac = 0.018 / 1e6;
const perActivation = 4.3 / 1e6;

/** ms of one training step, or about three times those of a prediction of the same voxels. */
export function stepWork(net: NetSpec, batch: number, window: Vec3): number {
  const { macs, layers } = countNet(net, { batch: 1, shape: window });
  const activations = layers.reduce((sum, { outputs, shape }) => sum + outputs * voxelCount(shape), 0);
  return batch * (perVoxel * voxelCount(window) + perMac * macs + perActivation * activations);
}
