import { type Vec3, voxelCount } from "../volume/volume.ts";
import type { Graph } from "./graph.ts";
import type { LossSpec } from "./types.ts";

/** Logits that count in the loss. */
export interface SupervisedOutput {
  /** Tensor id. */
  id: number;
  /** With the output's weight in every term. */
  loss: LossSpec;
}

/**
 * The outputs of a graph and the loss of each. Deep supervision (Lee et al. 2015) as in nnU-Net: weights 1, 1/2, 1/4, ... from fine to
 * coarse, scaled to add up to 1. Only the finest output learns from a teacher.
 */
export function supervisedOutputs(graph: Graph, loss: LossSpec): SupervisedOutput[] {
  const { auxiliary = [] } = graph;
  if (auxiliary.length === 0) return [{ id: graph.output, loss }];
  const ids = [graph.output, ...auxiliary];
  const total = ids.reduce((sum, _, i) => sum + 2 ** -i, 0);
  return ids.map((id, i) => {
    const { distil, ...hard } = loss;
    return { id, loss: scaled(i === 0 ? loss : hard, 2 ** -i / total) };
  });
}

function scaled(loss: LossSpec, by: number): LossSpec {
  const { dice, crossEntropy, focal, tversky, distil } = loss;
  return {
    ...loss,
    ...(dice && { dice: dice * by }),
    ...(crossEntropy && { crossEntropy: crossEntropy * by }),
    ...(focal && { focal: { ...focal, weight: focal.weight * by } }),
    ...(tversky && { tversky: { ...tversky, weight: tversky.weight * by } }),
    ...(distil && { distil: { ...distil, weight: distil.weight * by } }),
  };
}

/**
 * A target [N, D, H, W] on a coarser grid that divides it, by the nearest voxel to each coarse one's middle, of two the upper: the one at
 * floor((i + 1/2) factor).
 */
export function coarseTarget(target: Uint8Array, batch: number, fine: Vec3, coarse: Vec3): Uint8Array {
  const [fD, fH, fW] = fine.map((n, axis) => n / coarse[axis]);
  const [D, H, W] = coarse;
  const out = new Uint8Array(batch * voxelCount(coarse));
  let at = 0;
  for (let n = 0; n < batch; n++) {
    for (let d = 0; d < D; d++) {
      const plane = n * fine[0] + Math.floor((d + 0.5) * fD);
      for (let h = 0; h < H; h++) {
        const row = (plane * fine[1] + Math.floor((h + 0.5) * fH)) * fine[2];
        for (let w = 0; w < W; w++) out[at++] = target[row + Math.floor((w + 0.5) * fW)];
      }
    }
  }
  return out;
}
