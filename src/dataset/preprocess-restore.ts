import { fail } from "../util/errors.ts";
import { type Volume, voxelCount } from "../volume/volume.ts";
import type { Crop } from "./crop.ts";
import { createPlaneResampler } from "./preprocess-resample.ts";
import { canonicalView, writePlane } from "./preprocess-view.ts";
import { foundRegions, lookUp, netOutput, paintOfMasks } from "./regions.ts";
import type { Plan, PreparedCase } from "./types.ts";

export interface GridRestorer {
  /** Takes the class scores [K, H, W] of the next plane along D; the array is the restorer's from then on. */
  push(scores: Float32Array): void;
  /** The label map, once all planes are there. */
  finish(): Volume<Uint8Array>;
}

/**
 * Brings scores back to the file's own grid as they come, plane by plane of the prepared grid. Scores are resampled linearly. Those
 * of classes (logits or probabilities): the largest wins (ties: the first). Those of regions (probabilities): every region above
 * 0.5 is painted, later over earlier. Background lies outside the crop. The label map holds label values (not class indices)
 * and has the file's shape and affine. Memory: a byte a voxel of the file and a few planes of scores. Throws UserError for
 * another number of scores than the plan has classes or regions.
 */
export function createGridRestorer(
  prepared: Pick<PreparedCase, "id" | "shape" | "source">,
  plan: Pick<Plan, "labels" | "regions">,
): GridRestorer {
  const { id, shape, source } = prepared;
  const { labels, regions } = plan;
  const K = netOutput(plan).outputChannels;
  const values = Uint8Array.from(labels, ({ value }) => value);
  const paint = regions && paintOfMasks(regions);
  const data = new Uint8Array(voxelCount(source.shape)).fill(values[0]);
  const affine = Float64Array.from(source.affine);
  const view = canonicalView(source.shape, affine);
  const crop: Crop = { start: source.cropStart, shape: source.cropShape };
  const winners = new Uint8Array(crop.shape[1] * crop.shape[2]);
  const resampler = createPlaneResampler(K, shape, crop.shape);
  let before: Float32Array | undefined;
  let pushed = 0;
  let restored = 0;
  return {
    push(scores) {
      const size = shape[1] * shape[2];
      if (scores.length !== K * size) {
        fail(
          `Expected scores of ${K} ${regions ? "regions" : "classes"} on ${shape[1]} x ${shape[2]} voxels for case ${id}, but got ${scores.length / size}; use the plan the net was trained with.`,
        );
      }
      const entered = resampler.enter(scores);
      const latest = pushed++;
      while (restored < crop.shape[0]) {
        const [low, high] = resampler.sources(restored);
        if (high > latest) break;
        const plane = resampler.leave(restored, low === latest ? entered : before!, entered);
        if (paint) lookUp(foundRegions(plane, K, 0.5, winners), paint);
        else pickLargest(plane, values, winners);
        writePlane(data, view, crop, restored++, winners);
      }
      before = entered;
    },
    finish() {
      if (pushed !== shape[0]) fail(`Expected ${shape[0]} planes of scores for case ${id}, but got ${pushed}.`);
      return { data, shape: [...source.shape], affine };
    },
  };
}

/** The value of the class with the largest score at each place of [K, ...]; the first of equals. */
function pickLargest(scores: Float32Array, values: Uint8Array, out: Uint8Array): void {
  const n = out.length;
  for (let i = 0; i < n; i++) {
    let best = scores[i];
    let winner = 0;
    for (let k = 1, at = i + n; k < values.length; k++, at += n) {
      if (scores[at] > best) {
        best = scores[at];
        winner = k;
      }
    }
    out[i] = values[winner];
  }
}
