import { fail } from "../util/errors.ts";
import type { Graph } from "./graph.ts";
import type { LossSpec } from "./types.ts";

type OutputKind = Graph["outputKind"];

/** Sums over batch and space, one entry per class; the whole loss follows from them. */
export interface LossSums {
  /** sum p, sum g, sum p g. */
  p: Float64Array;
  g: Float64Array;
  pg: Float64Array;
  /** Unweighted cross-entropy, smoothing included: softmax, of voxels whose truth is c; sigmoid, binary cross-entropy of region c. */
  crossEntropy: Float64Array;
  /** Without smoothing, and with the factor (1 - p_t)^gamma. */
  focal: Float64Array;
  /** Cross-entropy against the teacher at the loss's temperature, over classes too. */
  distil: number;
  /** N D H W. */
  voxels: number;
}

/** What the gradient at one voxel needs; per class. The overlap terms give dL/dp_c = constant_c + slope_c g_c. */
export interface LossCoefficients {
  constant: Float64Array;
  slope: Float64Array;
  crossEntropy: Float64Array;
  focal: Float64Array;
  gamma: number;
  smoothing: number;
  /** 0 where the loss does not distil. */
  distil: number;
  temperature: number;
}

/** What of a loss decides a voxel's share of the sums. */
export type VoxelTerms = Pick<LossCoefficients, "gamma" | "smoothing" | "temperature">;

export function voxelTerms(spec: LossSpec): VoxelTerms {
  return {
    gamma: spec.focal?.gamma ?? 0,
    smoothing: spec.labelSmoothing ?? 0,
    temperature: spec.distil?.temperature ?? 1,
  };
}

/** Whether batches must have a teacher's probabilities. */
export function distils(spec: LossSpec): boolean {
  return Boolean(spec.distil?.weight);
}

/** What a voxel's cross-entropy against the teacher counts in the loss: weight T^2 / terms of the mean. */
export function distilShare(spec: LossSpec, kind: OutputKind, voxels: number, classes: number): number {
  const { weight, temperature } = spec.distil ?? { weight: 0, temperature: 1 };
  return (weight * temperature ** 2) / (kind === "softmax" ? voxels : voxels * classes);
}

export interface LossValue {
  loss: number;
  /** (2 sum(p g) + eps) / (sum p + sum g + eps) of every class, background too. */
  dice: number[];
  coefficients: LossCoefficients;
}

export function createSums(classes: number): LossSums {
  const zeros = (): Float64Array => new Float64Array(classes);
  return { p: zeros(), g: zeros(), pg: zeros(), crossEntropy: zeros(), focal: zeros(), distil: 0, voxels: 0 };
}

/**
 * One voxel: its K logits to K probabilities (written to `probabilities`), and its share of the sums. `truth` is a class index
 * (softmax) or a bit mask of regions (sigmoid), `soft` the teacher's probabilities. Throws a UserError where the truth names a class the
 * net does not have.
 */
export function accumulateVoxel(
  kind: OutputKind,
  logits: ArrayLike<number>,
  truth: number,
  { gamma, smoothing, temperature }: VoxelTerms,
  probabilities: Float64Array,
  sums: LossSums,
  soft?: ArrayLike<number>,
): void {
  const classes = probabilities.length;
  sums.voxels++;
  if (soft) sums.distil += softEntropy(kind, logits, soft, temperature);
  if (kind === "softmax") {
    if (truth >= classes) fail(`Expected target classes 0 to ${classes - 1}, but a voxel has class ${truth}.`);
    let top = logits[0];
    for (let c = 1; c < classes; c++) if (logits[c] > top) top = logits[c];
    let total = 0;
    let mean = 0;
    for (let c = 0; c < classes; c++) {
      probabilities[c] = Math.exp(logits[c] - top);
      total += probabilities[c];
      mean += logits[c] / classes;
    }
    for (let c = 0; c < classes; c++) {
      probabilities[c] /= total;
      sums.p[c] += probabilities[c];
    }
    const p = probabilities[truth];
    const entropy = Math.log(total) - (logits[truth] - top);
    sums.g[truth]++;
    sums.pg[truth] += p;
    sums.crossEntropy[truth] += entropy + smoothing * (logits[truth] - mean);
    sums.focal[truth] += (1 - p) ** gamma * entropy;
    return;
  }
  if (truth >>> classes !== 0) fail(`Expected target masks of ${classes} regions, but a voxel has mask ${truth}.`);
  for (let c = 0; c < classes; c++) {
    const g = (truth >>> c) & 1;
    const z = logits[c];
    // Both forms stay exact far from 0, where 1 - p would round to 0.
    const small = Math.exp(-Math.abs(z));
    const p = z >= 0 ? 1 / (1 + small) : small / (1 + small);
    const entropy = Math.log1p(small) + (g === 1 ? Math.max(-z, 0) : Math.max(z, 0));
    probabilities[c] = p;
    sums.p[c] += p;
    sums.g[c] += g;
    sums.pg[c] += p * g;
    // The other outcome has the entropy of this one, and z more or less.
    sums.crossEntropy[c] += entropy + (smoothing / 2) * (g === 1 ? z : -z);
    sums.focal[c] += (g === 1 ? 1 - p : p) ** gamma * entropy;
  }
}

/** Cross-entropy of a voxel's logits [K] over the temperature against a teacher's probabilities; sigmoid: the sum over classes. */
export function softEntropy(
  kind: OutputKind,
  logits: ArrayLike<number>,
  soft: ArrayLike<number>,
  temperature: number,
): number {
  const classes = soft.length;
  if (kind === "sigmoid") {
    let sum = 0;
    for (let c = 0; c < classes; c++) {
      const z = logits[c] / temperature;
      sum += Math.log1p(Math.exp(-Math.abs(z))) + Math.max(z, 0) - soft[c] * z;
    }
    return sum;
  }
  let top = logits[0];
  for (let c = 1; c < classes; c++) if (logits[c] > top) top = logits[c];
  let total = 0;
  let dot = 0;
  for (let c = 0; c < classes; c++) {
    total += Math.exp((logits[c] - top) / temperature);
    dot += soft[c] * logits[c];
  }
  return Math.log(total) + (top - dot) / temperature;
}

/** Adds the distillation term's part to a voxel's gradient by the logits: w T (p(T) - q) / terms of the mean. */
function addSoftGradient(
  kind: OutputKind,
  { distil, temperature }: Pick<LossCoefficients, "distil" | "temperature">,
  probabilities: ArrayLike<number>,
  soft: ArrayLike<number>,
  out: Float64Array | Float32Array,
): void {
  const scale = distil / temperature;
  // p(T) from p at 1: the logits are log p but for a constant, or log p / (1 - p).
  const power = (p: number): number => p ** (1 / temperature);
  let total = 0;
  for (let c = 0; c < out.length; c++) total += power(probabilities[c]);
  for (let c = 0; c < out.length; c++) {
    const p = power(probabilities[c]);
    const all = kind === "softmax" ? total : p + power(1 - probabilities[c]);
    out[c] += scale * (p / all - soft[c]);
  }
}

/** The loss of {@link LossSpec}, the soft Dice of every class, and the coefficients of the gradient. */
export function lossFromSums(spec: LossSpec, kind: OutputKind, sums: LossSums): LossValue {
  const classes = sums.p.length;
  const { eps } = spec;
  const zeros = (): Float64Array => new Float64Array(classes);
  const distil = distilShare(spec, kind, sums.voxels, classes);
  const terms = { ...voxelTerms(spec), distil };
  const coefficients = { constant: zeros(), slope: zeros(), crossEntropy: zeros(), focal: zeros(), ...terms };
  const dice: number[] = [];
  for (let c = 0; c < classes; c++) dice.push((2 * sums.pg[c] + eps) / (sums.p[c] + sums.g[c] + eps));

  // A softmax over one class has nothing but background: keep it, so that the mean is over something.
  const first = kind === "softmax" && !spec.includeBackground && classes > 1 ? 1 : 0;
  const count = classes - first;
  let loss = distil * sums.distil;
  if (spec.dice) {
    loss += spec.dice;
    const share = spec.dice / count;
    for (let c = first; c < classes; c++) {
      const below = sums.p[c] + sums.g[c] + eps;
      loss -= share * dice[c];
      coefficients.constant[c] += (share * dice[c]) / below;
      coefficients.slope[c] -= (share * 2) / below;
    }
  }
  if (spec.tversky?.weight) {
    const { weight, alpha, beta } = spec.tversky;
    loss += weight;
    const share = weight / count;
    for (let c = first; c < classes; c++) {
      const both = sums.pg[c];
      const below = both + alpha * (sums.p[c] - both) + beta * (sums.g[c] - both) + eps;
      const index = (both + eps) / below;
      loss -= share * index;
      coefficients.constant[c] += (share * index * alpha) / below;
      coefficients.slope[c] += (share * (index * (1 - alpha - beta) - 1)) / below;
    }
  }
  const mean = 1 / (kind === "softmax" ? sums.voxels : sums.voxels * classes);
  for (let c = 0; c < classes; c++) {
    const weight = mean * (spec.classWeights?.[c] ?? 1);
    coefficients.crossEntropy[c] = weight * (spec.crossEntropy ?? 0);
    coefficients.focal[c] = weight * (spec.focal?.weight ?? 0);
    loss += coefficients.crossEntropy[c] * sums.crossEntropy[c] + coefficients.focal[c] * sums.focal[c];
  }
  return { loss, dice, coefficients };
}

/**
 * dL/dlogits of one voxel into `out` [K], from its probabilities. Cross-entropy and focal terms share one form,
 * scale (p - g), with scale = w_ce + w_focal ((1-q)^gamma - gamma q (1-q)^(gamma-1) log q), q the probability of the truth;
 * smoothing s adds w_ce s (g - 1/K), for sigmoid w_ce s (g - 1/2). `soft` are the teacher's probabilities, where the loss distils.
 */
export function logitGradient(
  kind: OutputKind,
  coefficients: LossCoefficients,
  probabilities: ArrayLike<number>,
  truth: number,
  out: Float64Array | Float32Array,
  soft?: ArrayLike<number>,
): void {
  hardGradient(kind, coefficients, probabilities, truth, out);
  if (soft && coefficients.distil > 0) addSoftGradient(kind, coefficients, probabilities, soft, out);
}

/** Of all terms but distillation. */
function hardGradient(
  kind: OutputKind,
  coefficients: LossCoefficients,
  probabilities: ArrayLike<number>,
  truth: number,
  out: Float64Array | Float32Array,
): void {
  const { constant, slope, crossEntropy, focal, gamma, smoothing } = coefficients;
  const classes = out.length;
  if (kind === "softmax") {
    const q = probabilities[truth];
    let mean = slope[truth] * q;
    for (let c = 0; c < classes; c++) mean += constant[c] * probabilities[c];
    let scale = crossEntropy[truth];
    if (focal[truth] !== 0) scale += focal[truth] * focalScale(q, gamma);
    const even = (crossEntropy[truth] * smoothing) / classes;
    for (let c = 0; c < classes; c++) out[c] = probabilities[c] * (constant[c] - mean + scale) - even;
    out[truth] += slope[truth] * q - scale + crossEntropy[truth] * smoothing;
    return;
  }
  for (let c = 0; c < classes; c++) {
    const g = (truth >>> c) & 1;
    const p = probabilities[c];
    let scale = crossEntropy[c];
    if (focal[c] !== 0) scale += focal[c] * focalScale(g === 1 ? p : 1 - p, gamma);
    out[c] = (constant[c] + slope[c] * g) * p * (1 - p) + scale * (p - g) + crossEntropy[c] * smoothing * (g - 0.5);
  }
}

/** (1-q)^gamma - gamma q (1-q)^(gamma-1) log q with its limits: 1 at q = 0 (or gamma = 0), 0 at q = 1. */
function focalScale(q: number, gamma: number): number {
  if (gamma === 0 || q <= 0) return 1;
  const rest = 1 - q;
  return rest <= 0 ? 0 : rest ** gamma - gamma * q * rest ** (gamma - 1) * Math.log(q);
}
