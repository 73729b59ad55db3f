import { canonicalView } from "../dataset/preprocess-view.ts";
import { readHeader } from "../dataset/scan.ts";
import { planMemory } from "../engine/wasm/plan-memory.ts";
import type { Model } from "../model/types.ts";
import { buildGraph } from "../net/build.ts";
import type { PredictInput } from "../predict/files.ts";
import { chooseWindow } from "../predict/window.ts";
import { availableBytes, sizeText } from "../train/memory.ts";
import { fail, UserError } from "../util/errors.ts";
import type { ScanHeader } from "../volume/files.ts";
import { type Vec3, voxelCount } from "../volume/volume.ts";
import { keepBytes } from "./case.ts";
import type { BatchOrder } from "./order.ts";
import { stateOfScan } from "./scan-state.ts";

/** The process itself, with its threads. */
const processBytes = 200 * 2 ** 20;
/** Folders of slices that are looked into to find a large scan; files are told by their bytes. */
const mostFolders = 20;

/** Refuses more processes than fit the memory, going by the largest file among the scans. */
export async function checkJobs(
  jobs: number,
  models: readonly Model[],
  inputs: readonly PredictInput[],
  order: BatchOrder,
): Promise<void> {
  const bytes = await jobBytes(models, inputs, order);
  const free = availableBytes();
  if (jobs * bytes <= free) return;
  const fit = Math.max(1, Math.floor(free / bytes));
  fail(
    `${jobs} processes need about ${sizeText(jobs * bytes)} of memory (${sizeText(bytes)} each, for the largest of the scans), but only ` +
      `${sizeText(free)} are free; --jobs ${fit} would fit.`,
  );
}

/** Bytes that a process takes at most, about, for the largest of the scans. */
export async function jobBytes(
  models: readonly Model[],
  inputs: readonly PredictInput[],
  order: BatchOrder,
): Promise<number> {
  for (const { images } of await largestFirst(inputs, order.out)) {
    try {
      const kept = inputs.length > 1 ? keepBytes : 0;
      return processBytes + kept + scanBytes(models, await readHeader(images[0]), order);
    } catch (error) {
      // A file that cannot be read needs no memory.
      if (!(error instanceof UserError)) throw error;
    }
  }
  return processBytes;
}

async function largestFirst(inputs: readonly PredictInput[], out: string): Promise<PredictInput[]> {
  const sized: { input: PredictInput; bytes: number }[] = [];
  let folders = 0;
  for (const input of inputs) {
    if (folders >= mostFolders) break;
    const state = await stateOfScan(input.images[0], out).catch(() => null);
    if (!state) continue;
    if (state.files > 2) folders++;
    sized.push({ input, bytes: state.bytes });
  }
  return sized.sort((a, b) => b.bytes - a.bytes).map(({ input }) => input);
}

function scanBytes(models: readonly Model[], { shape, affine, type }: ScanHeader, order: BatchOrder): number {
  const [{ plan }] = models;
  const channels = plan.channels.length;
  const { step, shifts, threads } = order;
  const view = canonicalView(shape, affine);
  const prepared = view.shape.map((n, axis) =>
    n === 1 ? 1 : Math.max(1, Math.round((n * view.spacing[axis]) / plan.spacing[axis])),
  ) as Vec3;
  const programs = new Map<string, number>();
  let planes = 0;
  for (const { net, plan: own } of models) {
    const window = order.window === "auto" ? chooseWindow(net, own.patch, prepared, { step, shifts }) : own.patch;
    const graph = buildGraph(net, { batch: 1, shape: window });
    programs.set(JSON.stringify([net, window]), planMemory(graph, undefined, { threads }).total);
    // Scores and prepared planes under a window, and what goes into and comes out of the engine.
    const values = net.inputChannels + net.outputChannels;
    planes += 4 * values * (Math.min(window[0], prepared[0]) * prepared[1] * prepared[2] + 2 * voxelCount(window));
  }
  const item = bytesOf[type] ?? 4;
  // The voxels as they come from the file and as they are read, and the label map with what is written of it.
  return voxelCount(shape) * (2 * item * channels + 2) + planes + [...programs.values()].reduce((a, b) => a + b, 0);
}

/** Of voxel types other than those of 4 bytes. */
const bytesOf: Partial<Record<string, number>> = { uint8: 1, int8: 1, int16: 2, uint16: 2, float64: 8 };
