import { distils, type LossSums, lossFromSums } from "../loss.ts";
import { applyAverage, applyUpdate, clipFactor, sumOfSquares, usesSecondMoment } from "../optimiser.ts";
import type { LossSpec, OptimiserSpec } from "../types.ts";
import { CONTROL, type OpContext } from "./control.ts";
import { type GatherRows, gatherRows } from "./layout.ts";
import { type LossSlab, lossBackward, lossForward } from "./loss-rows.ts";
import { type NormBackwardPlan, type NormPlan, normBackward, normForward } from "./norm-steps.ts";
import { type PackedUpconv, type TransposePlan, transposeConv, transposeUpconv } from "./packing.ts";

/**
 * The steps of a program that plain TypeScript does well enough: small per-channel arithmetic, merging, weight packing, losses and
 * the optimiser. Each is data, so that it travels to the worker threads; addresses are bytes in the shared memory.
 */
export type Op =
  | { op: "zero"; address: number; bytes: number }
  | ({ op: "normForward" } & NormPlan)
  | ({ op: "normBackward" } & NormBackwardPlan)
  | { op: "mergeSums"; from: number; slabs: number; stride: number; channels: number; to: number }
  | { op: "transposeConv"; from: number; to: number; plan: TransposePlan }
  | { op: "transposeUpconv"; from: number; to: number; packed: PackedUpconv; gradient: { vectors: number; V: number } }
  | { op: "repeatBias"; from: number; to: number; padded: number; times: number }
  | ({ op: "gather" } & GatherRows)
  | ({ op: "lossForward" } & LossSlab)
  | ({ op: "lossBackward" } & LossSlab)
  | LossTotal
  | { op: "squares"; address: number; floats: number; to: number }
  | { op: "clip"; from: number; count: number; limit: number }
  | UpdateOp;

/** Sums of slabs: double [p, g, pg, crossEntropy, focal][K][lanes], then [distil][lanes]; with 4 lanes there is no focal. */
export interface LossTotal {
  op: "lossTotal";
  spec: LossSpec;
  kind: "softmax" | "sigmoid";
  classes: number;
  voxels: number;
  sums: number[];
  lanes: 1 | 4;
  /** Of the outputs: it sets the loss and the Dice values, the others add to the loss. */
  first: boolean;
  /** 1 lane: double [constant, slope, crossEntropy, focal][K]; 4: float [K][constant, slope, crossEntropy][4]. */
  coefficients: number;
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

/** Adds an output's slabs' sums in order and leaves the loss, the Dice values and the gradient's coefficients. */
function lossTotal(ctx: OpContext, op: LossTotal): void {
  const { classes: K, lanes } = op;
  const total: LossSums = {
    p: new Float64Array(K),
    g: new Float64Array(K),
    pg: new Float64Array(K),
    crossEntropy: new Float64Array(K),
    focal: new Float64Array(K),
    distil: 0,
    voxels: op.voxels,
  };
  const fields = [total.p, total.g, total.pg, total.crossEntropy];
  if (lanes === 1) fields.push(total.focal);
  for (const address of op.sums) {
    fields.forEach((field, i) => {
      for (let c = 0; c < K; c++) {
        const at = address / 8 + (i * K + c) * lanes;
        for (let lane = 0; lane < lanes; lane++) field[c] += ctx.f64[at + lane];
      }
    });
    const at = address / 8 + fields.length * K * lanes;
    if (distils(op.spec)) for (let lane = 0; lane < lanes; lane++) total.distil += ctx.f64[at + lane];
  }
  const { loss, dice, coefficients } = lossFromSums(op.spec, op.kind, total);
  const control = ctx.control / 8;
  if (op.first) {
    ctx.f64[control + CONTROL.loss] = loss;
    dice.forEach((value, c) => {
      ctx.f64[control + CONTROL.dice + c] = value;
    });
  } else ctx.f64[control + CONTROL.loss] += loss;
  const { constant, slope, crossEntropy, focal } = coefficients;
  if (lanes === 4) {
    const at = op.coefficients / 4;
    [constant, slope, crossEntropy].forEach((values, i) => {
      for (let c = 0; c < K; c++) ctx.f32.fill(values[c], at + (c * 3 + i) * 4, at + (c * 3 + i + 1) * 4);
    });
    return;
  }
  [constant, slope, crossEntropy, focal].forEach((values, i) => {
    ctx.f64.set(values, op.coefficients / 8 + i * K);
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
