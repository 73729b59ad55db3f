import { masksOfValues, netOutput, type Targets } from "../dataset/regions.ts";
import type { LossSpec } from "../engine/types.ts";
import { fail } from "../util/errors.ts";

/** Weights of the net's outputs in cross-entropy and focal loss. */
export interface ClassWeights {
  /** Whether `values` come from the voxels of the training cases; empty until those are counted. */
  auto: boolean;
  /** One per class, background first, or per region. */
  values: number[];
}

/** No class weighs more than this many times the most frequent one: a few voxels must not drown all others. */
const mostRatio = 10;

/** "auto", or numbers with commas between, as in "1,2,5". */
export function parseClassWeights(text: string): ClassWeights {
  if (text.trim() === "auto") return { auto: true, values: [] };
  const values = text.split(",").map((word) => (word.trim() === "" ? Number.NaN : Number(word)));
  if (values.some((value) => !(value >= 0 && value <= 1e6)) || values.every((value) => value === 0)) {
    fail(`Cannot read --class-weights "${text}": expected auto, or a number from 0 on for each class, as in 1,2,5.`);
  }
  return { auto: false, values };
}

/** Refuses weights of a loss that has no term for them. */
export function checkClassWeights(loss: LossSpec): void {
  if (loss.crossEntropy || loss.focal) return;
  fail(
    "Expected a loss with cross-entropy or focal terms for --class-weights, which act on those; add ce to --loss, as in dice+ce, or leave them out.",
  );
}

/** Refuses another number of weights than the net has outputs. */
export function checkWeightCount({ values }: ClassWeights, targets: Targets): void {
  const { outputChannels } = netOutput(targets);
  if (values.length === outputChannels) return;
  const { labels, regions } = targets;
  const names = (regions ?? labels).map(({ name }) => name).join(", ");
  fail(`Expected ${outputChannels} numbers in --class-weights (${names}), but got ${values.length}; mend the list.`);
}

/**
 * Weights from how many voxels each label has (in the order of `labels`). With f the share of a class in all voxels and m the
 * largest of them, r = min(10, sqrt(m / f)): the square root, because windows centred on foreground raise rare classes already.
 * Classes: w = r / sum(f r), so that the mean weight of a voxel is 1 and the loss keeps its size. Regions, whose weight is for
 * voxels inside and outside alike: w = r / mean(r). Four digits are kept.
 */
export function autoWeights(voxels: readonly number[], { labels, regions }: Targets): ClassWeights {
  const total = voxels.reduce((sum, n) => sum + n, 0);
  let shares = voxels.map((n) => n / total);
  if (regions) {
    const masks = masksOfValues(regions);
    shares = regions.map((_, r) => shares.reduce((sum, f, k) => sum + ((masks[labels[k].value] >> r) & 1) * f, 0));
  }
  const most = Math.max(...shares);
  // Without any voxel of a region nothing tells them apart.
  const raw = shares.map((f) => (most === 0 ? 1 : Math.min(mostRatio, Math.sqrt(most / f))));
  const mean = raw.reduce((sum, r, c) => sum + (regions ? r / raw.length : r * shares[c]), 0);
  return { auto: true, values: raw.map((r) => Number((r / mean).toPrecision(4))) };
}
