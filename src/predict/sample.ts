import { masksOfClasses } from "../dataset/regions.ts";
import type { PreparedCase } from "../dataset/types.ts";
import type { Backend } from "../engine/types.ts";
import type { VoxelSample } from "../evaluate/calibration.ts";
import { nearForeground } from "../evaluate/calibration-region.ts";
import type { Model } from "../model/types.ts";
import { random } from "../util/random.ts";
import { planesOf } from "./planes.ts";
import { createPrograms } from "./programs.ts";
import { slidingPlanes } from "./sliding.ts";
import { chooseWindow } from "./window.ts";

export interface SampleOptions {
  /** At most so many voxels of a case, drawn evenly, so that large cases do not outweigh the others. */
  voxelsPerCase?: number;
  /** Same seed, same voxels. */
  seed?: number;
}

export interface LogitSample {
  sample: VoxelSample;
  cases: number;
  voxels: number;
}

/** Compiled programs kept from case to case. */
const keptBytes = 2 ** 29;

/**
 * Logits and truths of voxels of labelled cases, for calibration: of those near true foreground ({@link nearForeground}) and those
 * that the model takes for foreground, at random. The large rest of a scan is background that every net is sure of: counted, it
 * would hide all other errors. Logits are as the net gives them, at temperature 1.
 */
export async function sampleLogits(
  model: Model,
  cases: AsyncIterable<PreparedCase> | Iterable<PreparedCase>,
  backend: Backend,
  options: SampleOptions = {},
): Promise<LogitSample> {
  const { net, plan } = model;
  const { voxelsPerCase = 20_000, seed = 0 } = options;
  const channels = net.outputChannels;
  const programs = createPrograms(backend, keptBytes);
  const logits: Float32Array[] = [];
  const classes: Uint8Array[] = [];
  try {
    for await (const { image, shape, label } of cases) {
      const patch = chooseWindow(net, plan.patch, shape);
      const run = await programs.get(model, patch, 1);
      const planes = slidingPlanes({
        image: planesOf(image, shape),
        shape,
        channels: net.inputChannels,
        patch,
        classes: channels,
        run,
      });
      const near = nearForeground(label!, shape);
      const generator = random(seed, logits.length);
      const taken = new Float32Array(voxelsPerCase * channels);
      const truth = new Uint8Array(voxelsPerCase);
      const size = shape[1] * shape[2];
      let seen = 0;
      let first = 0;
      for await (const plane of planes) {
        for (let i = 0; i < size; i++) {
          if (near[first + i] === 0 && !takenForForeground(plane, i, size, net.output)) continue;
          // Reservoir sampling (Vitter's algorithm R): every voxel stays with the same chance.
          const place = seen < voxelsPerCase ? seen : generator.int(seen + 1);
          seen++;
          if (place >= voxelsPerCase) continue;
          for (let k = 0; k < channels; k++) taken[place * channels + k] = plane[k * size + i];
          truth[place] = label![first + i];
        }
        first += size;
      }
      const count = Math.min(seen, voxelsPerCase);
      logits.push(taken.slice(0, count * channels));
      classes.push(truth.slice(0, count));
    }
  } finally {
    programs.close();
  }
  const sample: VoxelSample = {
    classes: channels,
    logits: joined(logits, Float32Array),
    truth: joined(classes, Uint8Array),
  };
  return {
    sample: net.output === "softmax" ? sample : regionRows(sample, plan),
    cases: logits.length,
    voxels: sample.truth.length,
  };
}

/** Whether a class but the first has the largest logit, or a region a logit above 0. */
function takenForForeground(plane: Float32Array, i: number, size: number, output: Model["net"]["output"]): boolean {
  const rest = output === "softmax" ? plane[i] : 0;
  for (let at = output === "softmax" ? i + size : i; at < plane.length; at += size) if (plane[at] > rest) return true;
  return false;
}

/** A row of two classes, out or in, for every voxel and region. */
function regionRows({ classes: regions, logits, truth }: VoxelSample, plan: Model["plan"]): VoxelSample {
  // Without regions in the plan, each class but the background is one.
  const masks = plan.regions && masksOfClasses(plan.labels, plan.regions);
  const rows: VoxelSample = {
    classes: 2,
    logits: new Float32Array(2 * logits.length),
    truth: new Uint8Array(logits.length),
  };
  for (let i = 0; i < logits.length; i++) {
    const [voxel, region] = [Math.floor(i / regions), i % regions];
    const mask = masks ? masks[truth[voxel]] : (1 << truth[voxel]) >> 1;
    rows.logits[2 * i + 1] = logits[i];
    rows.truth[i] = (mask >> region) & 1;
  }
  return rows;
}

function joined<T extends Float32Array | Uint8Array>(parts: readonly T[], Type: new (length: number) => T): T {
  const out = new Type(parts.reduce((sum, part) => sum + part.length, 0));
  let at = 0;
  for (const part of parts) {
    out.set(part, at);
    at += part.length;
  }
  return out;
}
