import { CONTROL, type OpContext } from "./control.ts";

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

/** What the backward pass adds: byte addresses of the slabs' sums, the coefficients and the gradients (0: none). */
export interface NormBackwardPlan extends NormPlan {
  sums: number;
  /** float [N][vector][A, B, C], with the forward pass's a, b behind them when the activation comes after the norm. */
  gradCoefficients: number;
  scaleGrad: number;
  shiftGrad: number;
}

/** Mean and variance from the slabs' sums; then y = a z + b, a = scale / sd * factor, b = (shift - mean scale / sd) * factor. */
export function normForward(ctx: OpContext, plan: NormPlan): void {
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

/** Coefficients of a channel in the backward pass. */
export function gradCoefficientsOf({ slope }: Pick<NormPlan, "slope">): 3 | 5 {
  return slope === null ? 5 : 3;
}

/**
 * With r = 1 / sd, x = (z - mean) r, M voxels in the statistics: dz = scale r (dy - sum(dy) / M - x sum(dy x) / M), written as
 * A dy + B z + C; the dropout factor belongs to dy.
 */
export function normBackward(ctx: OpContext, plan: NormBackwardPlan): void {
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
      const each = gradCoefficientsOf(plan);
      const vector = Math.floor(c / 4);
      const at = plan.gradCoefficients / 4 + n * padded * each + vector * 4 * each + (c % 4);
      f32[at] = A;
      f32[at + 4] = B;
      f32[at + 8] = C;
      if (each === 3) return;
      const forward = plan.coefficients / 4 + n * padded * 2 + vector * 8 + (c % 4);
      f32[at + 12] = f32[forward];
      f32[at + 16] = f32[forward + 4];
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
