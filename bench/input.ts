import { random } from "../src/util/random.ts";
import type { Job } from "./cases.ts";

/** The same normal noise for every runner: [N, 1, size, size, size]. */
export function sampleInput(job: Pick<Job, "batch" | "size">): Float32Array {
  const generator = random(42);
  return Float32Array.from({ length: job.batch * job.size ** 3 }, () => generator.normal());
}

/** A cheap fingerprint of an output [1, K, size, size, size]: every 1009th voxel (a prime) of class 0. */
export function meanOfFirstClass(probabilities: Float32Array, job: Pick<Job, "size">): number {
  let [sum, count] = [0, 0];
  for (let i = 0; i < job.size ** 3; i += 1009, count++) sum += probabilities[i];
  return sum / count;
}
