import { type LossSums, lossFromSums } from "../loss.ts";
import { applyAverage, applyUpdate, clipFactor, sumOfSquares, usesSecondMoment } from "../optimiser.ts";
import type { LossSpec, OptimiserSpec } from "../types.ts";
import { type GatherRows, gatherRows } from "./layout.ts";
import { type LossSlab, lossBackward, lossForward } from "./loss-rows.ts";
import { type PackedUpconv, type TransposePlan, transposeConv, transposeUpconv } from "./packing.ts";

/**
 * The steps of a program that plain TypeScript does well enough: small per-channel arithmetic, merging, weight packing, losses and
 * the optimiser. Each is data, so that it travels to the worker threads; addresses are bytes in the shared memory.
 */
export type Op =
  | { op: "zero"; address: number; bytes: number }
  | ({ op: "normForward" } & NormPlan)
  | ({ op: "normBackward" } & NormPlan & {
        sums: number;
        gradCoefficients: number;
        scaleGrad: number;
        shiftGrad: number;
      })
  | { op: "mergeSums"; from: number; slabs: number; stride: number; channels: number; to: number }
  | { op: "transposeConv"; from: number; to: number; plan: TransposePlan }
  | { op: "transposeUpconv"; from: number; to: number; packed: PackedUpconv; gradient: { vectors: number; V: number } }
  | { op: "repeatBias"; from: number; to: number; padded: number; times: number }
  | ({ op: "gather" } & GatherRows)
  | ({ op: "lossForward" } & LossSlab)
  | ({ op: "lossBackward" } & LossSlab)
  | {
      op: "lossTotal";
      spec: LossSpec;
      kind: "softmax" | "sigmoid";
      classes: number;
      sums: number[];
      coefficients: number;
    }
  | { op: "squares"; address: number; floats: number; to: number }
  | { op: "clip"; from: number; count: number; limit: number }
  | UpdateOp;

/** Forward and backward of one unit's norm, dropout factor included. All per channel of the padded width. */
export interface NormPlan {
  norm: "batch" | "instance" | "none";
  batch: number;
  slabsPerSample: number;
  /** Double sums of each slab: [2][padded]; `stride` bytes apart. */
  stats: number;
  stride: number;
  channels: number;
  padded: number;
  /** D H W. */
  voxels: number;
  eps: number;
  momentum: number;
  /** The sums are of (z - act(bias)): address of the bias, slope of an activation before the norm (null: none). */
  bias: number;
  slope: number | null;
  scale: number;
  shift: number;
  runningMean: number;
  runningVariance: number;
  /** float [N][padded] dropout factors. */
  dropout: number;
  /** float [N][vector][a, b]. */
  coefficients: number;
  /** double [N][2][padded]: mean and 1 / sd kept for the backward pass. */
  saved: number;
}

interface UpdateOp {
  op: "update";
  optimiser: OptimiserSpec;
  ema: number;
  decay: boolean;
  param: number;
  grad: number;
  m: number;
  v: number;
  average: number;
  floats: number;
  /** Running statistics are averaged but not trained. */
  trained: boolean;
}

/** Doubles in the control area at byte address 0 of the area: set by the caller or read by it. */
export const CONTROL = {
  learningRate: 0,
  step: 1,
  gradientScale: 2,
  updateRunning: 3,
  loss: 4,
  gradientNorm: 5,
  /** Then the soft Dice of each class. */
  dice: 6,
} as const;

/** What every thread needs to run ops. */
export interface OpContext {
  f32: Float32Array;
  f64: Float64Array;
  u8: Uint8Array;
  /** Byte address of the control doubles. */
  control: number;
}

export function runOp(ctx: OpContext, op: Op): void {
  const { f32, f64 } = ctx;
  const view = (address: number, floats: number): Float32Array => f32.subarray(address / 4, address / 4 + floats);
  switch (op.op) {
    case "zero":
      f32.fill(0, op.address / 4, (op.address + op.bytes) / 4);
      break;
    case "normForward":
      normForward(ctx, op);
      break;
    case "normBackward":
      normBackward(ctx, op);
      break;
    case "mergeSums":
      for (let c = 0; c < op.channels; c++) {
        let sum = 0;
        for (let s = 0; s < op.slabs; s++) sum += f64[(op.from + s * op.stride) / 8 + c];
        f32[op.to / 4 + c] = sum;
      }
      break;
    case "transposeConv":
      transposeConv(f32.subarray(op.from / 4), f32.subarray(op.to / 4), op.plan);
      break;
    case "transposeUpconv":
      transposeUpconv(f32.subarray(op.from / 4), f32.subarray(op.to / 4), op.packed, op.gradient);
      break;
    case "repeatBias":
      for (let k = 0; k < op.times; k++) view(op.to + k * op.padded * 4, op.padded).set(view(op.from, op.padded));
      break;
    case "gather":
      gatherRows(f32, op);
      break;
    case "lossForward":
      lossForward(ctx, op);
      break;
    case "lossBackward":
      lossBackward(ctx, op);
      break;
    case "lossTotal":
      lossTotal(ctx, op);
      break;
    case "squares":
      f64[op.to / 8] = sumOfSquares(f32, op.address / 4, op.address / 4 + op.floats);
      break;
    case "clip": {
      let sum = 0;
      for (let i = 0; i < op.count; i++) sum += f64[op.from / 8 + i];
      const norm = Math.sqrt(sum);
      f64[ctx.control / 8 + CONTROL.gradientNorm] = norm;
      f64[ctx.control / 8 + CONTROL.gradientScale] = clipFactor(norm, op.limit);
      break;
    }
    case "update":
      update(ctx, op);
      break;
  }
}

/** Mean and variance from the slabs' sums; then y = a z + b, a = scale / sd * factor, b = (shift - mean scale / sd) * factor. */
function normForward(ctx: OpContext, plan: NormPlan): void {
  const { f32, f64 } = ctx;
  const { padded, batch, slabsPerSample } = plan;
  const updateRunning = f64[ctx.control / 8 + CONTROL.updateRunning] !== 0;
  for (let c = 0; c < padded; c++) {
    let sum = 0;
    let squares = 0;
    for (let n = 0; n < batch; n++) {
      if (plan.norm === "instance") {
        sum = 0;
        squares = 0;
      }
      for (let s = 0; s < slabsPerSample; s++) {
        const at = (plan.stats + (n * slabsPerSample + s) * plan.stride) / 8 + c;
        sum += f64[at];
        squares += f64[at + padded];
      }
      if (plan.norm === "instance") keepMoments(ctx, plan, n, c, sum, squares, plan.voxels);
    }
    if (plan.norm === "batch") {
      const count = batch * plan.voxels;
      for (let n = 0; n < batch; n++) keepMoments(ctx, plan, n, c, sum, squares, count);
      if (updateRunning && c < plan.channels) {
        const mean = shiftOf(ctx, plan, c) + sum / count;
        // Unbiased variance in the running statistics, as PyTorch.
        const variance = varianceOf(sum, squares, count) * (count / Math.max(1, count - 1));
        const [m, v] = [plan.runningMean / 4 + c, plan.runningVariance / 4 + c];
        f32[m] = (1 - plan.momentum) * f32[m] + plan.momentum * mean;
        f32[v] = (1 - plan.momentum) * f32[v] + plan.momentum * variance;
      }
    }
    for (let n = 0; n < batch; n++) {
      const factor = f32[plan.dropout / 4 + n * padded + c];
      let a = 1;
      let b = 0;
      if (plan.norm !== "none") {
        const saved = plan.saved / 8 + n * 2 * padded + c;
        a = f32[plan.scale / 4 + c] * f64[saved + padded];
        b = f32[plan.shift / 4 + c] - f64[saved] * a;
      }
      const at = plan.coefficients / 4 + n * padded * 2 + Math.floor(c / 4) * 8 + (c % 4);
      f32[at] = a * factor;
      f32[at + 4] = b * factor;
    }
  }
}

/** What the convolution's kernel took off before summing, in float as there. */
function shiftOf(ctx: OpContext, plan: NormPlan, c: number): number {
  const bias = ctx.f32[plan.bias / 4 + c];
  return plan.slope === null ? bias : Math.max(bias, Math.fround(Math.fround(plan.slope) * bias));
}

function varianceOf(sum: number, squares: number, count: number): number {
  return Math.max(0, squares / count - (sum / count) ** 2);
}

function keepMoments(
  ctx: OpContext,
  plan: NormPlan,
  n: number,
  c: number,
  sum: number,
  squares: number,
  count: number,
): void {
  const mean = shiftOf(ctx, plan, c) + sum / count;
  const variance = varianceOf(sum, squares, count);
  const at = plan.saved / 8 + n * 2 * plan.padded + c;
  ctx.f64[at] = mean;
  ctx.f64[at + plan.padded] = 1 / Math.sqrt(variance + plan.eps);
}

/**
 * With r = 1 / sd, x = (z - mean) r, M voxels in the statistics: dz = scale r (dy - sum(dy) / M - x sum(dy x) / M), written as
 * A dy + B z + C; the dropout factor belongs to dy.
 */
function normBackward(ctx: OpContext, plan: Extract<Op, { op: "normBackward" }>): void {
  const { f32, f64 } = ctx;
  const { padded, batch, slabsPerSample } = plan;
  const factorOf = (n: number, c: number): number => f32[plan.dropout / 4 + n * padded + c];
  for (let c = 0; c < padded; c++) {
    const gradients: [number, number][] = [];
    for (let n = 0; n < batch; n++) {
      let dy = 0;
      let dyz = 0;
      for (let s = 0; s < slabsPerSample; s++) {
        const at = (plan.sums + (n * slabsPerSample + s) * plan.stride) / 8 + c;
        dy += f64[at];
        dyz += f64[at + padded];
      }
      gradients.push([dy * factorOf(n, c), dyz * factorOf(n, c)]);
    }
    const put = (n: number, A: number, B: number, C: number): void => {
      const at = plan.gradCoefficients / 4 + n * padded * 3 + Math.floor(c / 4) * 12 + (c % 4);
      f32[at] = A;
      f32[at + 4] = B;
      f32[at + 8] = C;
    };
    if (plan.norm === "none") {
      for (let n = 0; n < batch; n++) put(n, factorOf(n, c), 0, 0);
      continue;
    }
    const groups = plan.norm === "batch" ? [gradients.map((_, n) => n)] : gradients.map((_, n) => [n]);
    let shiftGrad = 0;
    let scaleGrad = 0;
    const scale = f32[plan.scale / 4 + c];
    for (const group of groups) {
      const saved = plan.saved / 8 + group[0] * 2 * padded + c;
      const [mean, r] = [f64[saved], f64[saved + padded]];
      let dy = 0;
      let dyz = 0;
      for (const n of group) {
        dy += gradients[n][0];
        dyz += gradients[n][1];
      }
      const dyx = (dyz - mean * dy) * r;
      shiftGrad += dy;
      scaleGrad += dyx;
      const M = group.length * plan.voxels;
      const B = (-scale * r * r * dyx) / M;
      const C = (-scale * r * dy) / M - B * mean;
      for (const n of group) put(n, scale * r * factorOf(n, c), B, C);
    }
    f32[plan.shiftGrad / 4 + c] = shiftGrad;
    f32[plan.scaleGrad / 4 + c] = scaleGrad;
  }
}

/** Adds the slabs' sums in order and leaves the loss, the Dice values and the gradient's coefficients. */
function lossTotal(ctx: OpContext, op: Extract<Op, { op: "lossTotal" }>): void {
  const K = op.classes;
  const total: LossSums = {
    p: new Float64Array(K),
    g: new Float64Array(K),
    pg: new Float64Array(K),
    crossEntropy: new Float64Array(K),
    focal: new Float64Array(K),
    voxels: 0,
  };
  const fields = [total.p, total.g, total.pg, total.crossEntropy, total.focal];
  for (const address of op.sums) {
    fields.forEach((field, i) => {
      for (let c = 0; c < K; c++) field[c] += ctx.f64[address / 8 + i * K + c];
    });
    total.voxels += ctx.f64[address / 8 + 5 * K];
  }
  const { loss, dice, coefficients } = lossFromSums(op.spec, op.kind, total);
  const control = ctx.control / 8;
  ctx.f64[control + CONTROL.loss] = loss;
  dice.forEach((value, c) => {
    ctx.f64[control + CONTROL.dice + c] = value;
  });
  const at = op.coefficients / 8;
  [coefficients.constant, coefficients.slope, coefficients.crossEntropy, coefficients.focal].forEach((values, i) => {
    ctx.f64.set(values, at + i * K);
  });
}

function update(ctx: OpContext, op: UpdateOp): void {
  const control = ctx.control / 8;
  const view = (address: number): Float32Array => ctx.f32.subarray(address / 4, address / 4 + op.floats);
  const param = view(op.param);
  if (op.trained) {
    const second = usesSecondMoment(op.optimiser) ? view(op.v) : null;
    applyUpdate(op.optimiser, param, view(op.grad), view(op.m), second, 0, op.floats, {
      learningRate: ctx.f64[control + CONTROL.learningRate],
      step: ctx.f64[control + CONTROL.step],
      gradientScale: ctx.f64[control + CONTROL.gradientScale],
      decay: op.decay,
    });
  }
  if (op.ema > 0) applyAverage(view(op.average), param, 0, op.floats, op.ema);
}
