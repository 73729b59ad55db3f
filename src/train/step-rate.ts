import type { Plan } from "../dataset/types.ts";
import { createWasmBackend } from "../engine/wasm/backend.ts";
import { buildGraph, initialise } from "../net/build.ts";
import type { NetSpec } from "../net/spec.ts";
import { random } from "../util/random.ts";
import { type Vec3, voxelCount } from "../volume/volume.ts";
import { measureStep } from "./calibrate.ts";
import { presetSettings, trainSpecOf, windowOf } from "./presets.ts";
import { type StepShape, stepCost } from "./step-cost.ts";

/** How fast this machine trains, from one net timed on it. */
export interface StepRate {
  net: string;
  batch: number;
  window: Vec3;
  /** Measured, of this net on such a batch. */
  stepSeconds: number;
  /** Estimated seconds of a step of another net or size: the measured time by the ratio of their work ({@link stepCost}). */
  estimate(net: NetSpec, step: StepShape): number;
}

/** Voxels of the batch that is timed, at most: enough to keep the threads busy. */
const timedVoxels = 2 ** 17;
/** As for a run of one minute: a second of warming up and measuring, and one step of each at least. */
const runSeconds = 60;

/**
 * Times training steps of a net on noise, with the recipe `strong`, for about two seconds (compiling included). The time is
 * that of the machine as busy as it is now.
 */
export async function measureStepRate(name: string, net: NetSpec, plan: Plan, threads?: number): Promise<StepRate> {
  const settings = presetSettings("strong", plan);
  let { window } = settings;
  while (voxelCount(window) > timedVoxels) {
    const half = windowOf({ patch: window, pools: plan.pools });
    if (voxelCount(half) === voxelCount(window)) break;
    window = half;
  }
  const batch = Math.max(1, Math.min(settings.batch, Math.floor(timedVoxels / voxelCount(window))));
  const graph = buildGraph(net, { batch, shape: window });
  const backend = await createWasmBackend({ threads });
  try {
    const trainer = await backend.trainer(graph, trainSpecOf(settings));
    trainer.setParameters(initialise(graph, 0));
    const draw = random(0);
    const input = Float32Array.from({ length: batch * net.inputChannels * voxelCount(window) }, () => draw.normal());
    const noise = { input, target: new Uint8Array(batch * voxelCount(window)) };
    const stepSeconds = await measureStep({
      trainer,
      batches: { next: () => Promise.resolve(noise) },
      seconds: runSeconds,
      dropoutAt: () => undefined,
    });
    trainer.close();
    const perCost = stepSeconds / stepCost(net, { batch, window });
    return { net: name, batch, window, stepSeconds, estimate: (other, step) => perCost * stepCost(other, step) };
  } finally {
    await backend.close();
  }
}
