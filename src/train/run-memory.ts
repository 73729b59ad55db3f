import { readHeader } from "../dataset/scan.ts";
import { softBytes } from "../dataset/soft.ts";
import { poolFactors } from "../dataset/topology.ts";
import { MEMORY_LIMIT } from "../engine/wasm/arena.ts";
import { planMemory, planMeterMemory } from "../engine/wasm/plan-memory.ts";
import type { Model } from "../model/types.ts";
import { buildGraph } from "../net/build.ts";
import { fail } from "../util/errors.ts";
import { spacingOf, type Vec3, voxelCount } from "../volume/volume.ts";
import { availableBytes, checkMemory, type MemoryNeed, type MemoryRoom, sizeText } from "./memory.ts";
import { trainSpecOf } from "./presets.ts";
import type { RunSetup } from "./setup.ts";

/** The process with its compiled code and workers: about what it holds beside the engine's programs and the cases. */
const processBytes = 200 * 2 ** 20;
/** Programs of different nets are kept for one case up to so many bytes (createPredictor). */
const mostKept = 2 ** 30;
/** Batches that wait for their step. */
const waitingBatches = 3;

/** What a run's memory depends on beside its setup. */
export interface RunPlace {
  /** Undefined where the caller has no such option. */
  lowMemory?: boolean;
  /** Compute threads, which have scratch memory of their own; default: all processors. */
  threads?: number;
  /** Channels are ranked by what they put out, between two phases of training. */
  ranks?: boolean;
}

/**
 * Refuses a run that does not fit the machine or the engine, from the scans' headers alone, and says what would fit. `teachers`: the models
 * that it learns from, which predict every case before training takes its memory.
 */
export async function checkRunMemory(
  setup: RunSetup,
  place: RunPlace,
  teachers: readonly Pick<Model, "net" | "plan">[] = [],
): Promise<void> {
  const room = { available: availableBytes(), engine: MEMORY_LIMIT };
  const need = await runNeed(setup, place);
  checkMemory(need, room);
  if (teachers.length > 0) checkTeacherMemory(need.casesBytes + processBytes, teachers, room, place.threads);
}

/** `held`: bytes of everything else. */
export function checkTeacherMemory(
  held: number,
  teachers: readonly Pick<Model, "net" | "plan">[],
  { available }: Pick<MemoryRoom, "available">,
  threads?: number,
): void {
  // A net that several teachers share is compiled once; windows larger than the patch stay within the trainer's memory.
  const programs = new Map<string, number>();
  for (const { net, plan } of teachers) {
    const graph = buildGraph(net, { batch: 1, shape: plan.patch });
    programs.set(JSON.stringify([net, plan.patch]), planMemory(graph, undefined, { threads }).total);
  }
  const sizes = [...programs.values()];
  const all = sizes.reduce((sum, bytes) => sum + bytes, 0);
  const bytes = Math.max(...sizes, Math.min(all, mostKept));
  if (held + bytes <= available) return;
  fail(
    `The ${teachers.length === 1 ? "model" : "models"} of --distil and the cases need about ${sizeText(held + bytes)} of memory, but only ` +
      `${sizeText(available)} are free; learn from a smaller model, or train on fewer cases.`,
  );
}

/** What a run takes, from the scans' headers alone. */
export async function runNeed(setup: RunSetup, place: RunPlace): Promise<MemoryNeed> {
  const { dataset, plan, net, settings } = setup;
  const used = new Set([...setup.trainingCases, ...setup.validationCases]);
  let voxels = 0;
  for (const { id, images } of dataset.training) {
    if (used.has(id)) voxels += preparedVoxels(await readHeader(images[0]), plan.spacing);
  }
  return memoryNeed({ plan, net, settings }, voxels, place);
}

/** What a run takes whose cases have `voxels` voxels in all once they are at the target spacing. */
export function memoryNeed(
  { plan, net, settings }: Pick<RunSetup, "plan" | "net" | "settings">,
  voxels: number,
  { lowMemory, threads, ranks }: RunPlace = {},
): MemoryNeed {
  const perVoxel = 4 * plan.channels.length + 1;
  const softPerVoxel = settings.distil ? softBytes(plan) : 0;
  const batchPerVoxel = perVoxel + (settings.distil ? 4 * net.outputChannels : 0);
  return {
    casesBytes: voxels * (perVoxel + softPerVoxel),
    fixedBytes:
      processBytes + planMemory(buildGraph(net, { batch: 1, shape: plan.patch }), undefined, { threads }).total,
    step: { batch: settings.batch, window: settings.window, lowMemory: lowMemory ?? false },
    canSave: lowMemory !== undefined,
    programBytes: (step) => {
      const { deepSupervision } = settings;
      const graph = buildGraph(net, { batch: step.batch, shape: step.window, deepSupervision });
      const spec = trainSpecOf(settings, step.lowMemory);
      const trainer = planMemory(graph, spec, { threads }).total;
      return ranks ? Math.max(trainer, planMeterMemory(graph, spec, { threads }).total) : trainer;
    },
    waitingBytes: ({ batch, window }) => waitingBatches * batch * voxelCount(window) * batchPerVoxel,
    divisor: poolFactors(plan.pools),
  };
}

/** Voxels of a scan once it is at the target spacing; what a crop saves is not known yet. */
function preparedVoxels({ shape, affine }: { shape: Vec3; affine: Float64Array }, target: Vec3): number {
  const cubicMm = (spacing: Vec3): number => spacing.reduce((product, mm) => product * mm, 1);
  // A picture has one slice: its thickness says nothing about how many voxels it will have.
  const factor = shape.includes(1) ? 1 : cubicMm(spacingOf({ affine })) / cubicMm(target);
  return voxelCount(shape) * factor;
}
