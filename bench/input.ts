import { random } from "../src/util/random.ts";
import { voxelCount } from "../src/volume/volume.ts";
import { type Job, shapeOf } from "./cases.ts";

/** The same normal noise for every runner: [N, 1, D, H, W]. */
export function sampleInput(job: Job): Float32Array {
  const generator = random(42);
  return Float32Array.from({ length: job.batch * voxelCount(shapeOf(job)) }, () => generator.normal());
}

/** A cheap fingerprint of an output [1, K, D, H, W]: every 1009th voxel (a prime) of class 0. */
export function meanOfFirstClass(probabilities: Float32Array, job: Job): number {
  let [sum, count] = [0, 0];
  for (let i = 0; i < voxelCount(shapeOf(job)); i += 1009, count++) sum += probabilities[i];
  return sum / count;
}
