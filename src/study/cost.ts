import { createBackend } from "../engine/backend.ts";
import { quantile } from "../evaluate/bootstrap.ts";
import { buildGraph, initialise, strideOf } from "../net/build.ts";
import { countNet } from "../net/count.ts";
import { flat } from "../net/make.ts";
import type { NetSpec } from "../net/spec.ts";
import { stepWork } from "../prune/work.ts";
import { presetSettings, type TrainSettings } from "../train/presets.ts";
import { type Vec3, voxelCount } from "../volume/volume.ts";
import type { RunConfigFile } from "./resolve.ts";

/** A step runs forward, data gradient and weight gradient. */
const trainPerPredict = 3;
/** Reading a case and measuring its surfaces. */
const perCase = 60;
/** Starting a process, reading and preparing the cases, compiling. */
const perRun = 4000;
/** Ranking the channels, making the smaller net, compiling it. */
const perRemoval = 1500;

/** ms of a whole run; `voxels` is what its test and validation cases hold together. */
export function runWork(
  config: Pick<RunConfigFile, "net" | "steps" | "pruning" | "cases" | "sizeEvery">,
  settings: Pick<TrainSettings, "batch" | "window">,
  voxels: number,
): number {
  const { net, pruning, cases } = config;
  const step = stepWork(net, settings.batch, settings.window);
  const predictAll = (step * voxels) / (settings.batch * voxelCount(settings.window)) / trainPerPredict;
  const judged = cases.validation.length + cases.test.length;
  // Checks while training take up to a tenth.
  if (!pruning) return perRun + 1.1 * config.steps * step + predictAll + judged * perCase;
  const removals = removalsOf(net, pruning);
  // Half of the whole net's step is about the mean over a curve that ends far below it.
  const curve = removals * (perRemoval + 0.5 * (pruning.recovery.steps * step + predictAll / 2));
  const sizes = removals / config.sizeEvery + 2;
  return perRun + 1.1 * pruning.warm.steps * step + curve + sizes * (0.5 * predictAll + judged * perCase);
}

/** About how often channels are removed until the limit is met. */
export function removalsOf(net: NetSpec, { until, remove }: NonNullable<RunConfigFile["pruning"]>): number {
  const layers = countNet(net, { batch: 1, shape: strideOf(net) }).layers.filter(
    ({ kind, name }) => kind !== "maxpool" && name !== "head",
  );
  const channels = layers.reduce((sum, { outputs }) => sum + outputs, 0);
  const share = (limit: number | string | undefined, of: number): number | undefined =>
    limit === undefined ? undefined : typeof limit === "string" ? Number.parseFloat(limit) / 100 : limit / of;
  const parameters = layers.reduce((sum, layer) => sum + layer.parameters, 0);
  // Parameters go with the square of the channels.
  const left = share(until.channels, channels) ?? Math.sqrt(share(until.parameters, parameters) ?? 0.1);
  const removed = share(until.removed, channels) ?? 1 - left;
  return Math.max(1, Math.ceil((channels * removed) / remove));
}

/** Shape of the probe, and how long it trains, in ms. */
const probeWindow: Vec3 = [32, 48, 32];
const probeTime = 1500;

/** How much slower this machine is than the estimates assume: trains a small net for a second or two. */
export async function probeRate(threads: number): Promise<number> {
  const net = flat(8, { levels: 4, convs: 2, inputChannels: 1, outputChannels: 3 });
  const graph = buildGraph(net, { batch: 1, shape: probeWindow });
  const settings = presetSettings("strong", { patch: probeWindow, pools: net.pools, dimensions: 3, batch: 1 });
  const backend = await createBackend({ threads });
  try {
    const trainer = await backend.trainer(graph, { ...settings });
    trainer.setParameters(initialise(graph, 0));
    const voxels = voxelCount(probeWindow);
    const batch = { input: new Float32Array(voxels), target: new Uint8Array(voxels) };
    const times: number[] = [];
    const start = performance.now();
    while (times.length < 5 || performance.now() - start < probeTime) {
      const before = performance.now();
      await trainer.step(batch, { learningRate: 0 });
      times.push(performance.now() - before);
    }
    trainer.close();
    return (
      quantile(
        times.sort((a, b) => a - b),
        0.5,
      ) / stepWork(net, 1, probeWindow)
    );
  } finally {
    await backend.close();
  }
}
