import type { OptimiserSpec } from "./types.ts";

/** What an update needs besides the tensors. */
export interface UpdateHyper {
  learningRate: number;
  /** Number of this step, from 1 (bias correction of Adam). */
  step: number;
  /** Multiplies every gradient first: {@link clipFactor}. */
  gradientScale: number;
  /** Weight decay applies to this parameter (role "weight" only). */
  decay: boolean;
}

/** True if the optimiser keeps a second moment `v`. All keep `m` (momentum buffer or first moment). */
export function usesSecondMoment(spec: OptimiserSpec): boolean {
  return spec.kind !== "sgd";
}

/**
 * Updates entries [from, to) of one parameter in place. Element by element, float32 in memory and float64 in between, so any
 * split of the range gives the same bits. `v` is read only where {@link usesSecondMoment}.
 * sgd: PyTorch's momentum, buffer m = momentum m + g (dampening 0), Nesterov g + momentum m; L2 in the gradient.
 * adam: Kingma & Ba 2015, algorithm 1, L2 in the gradient. adamw: Loshchilov & Hutter 2019, algorithm 2, decay before the update.
 */
export function applyUpdate(
  spec: OptimiserSpec,
  param: Float32Array,
  grad: Float32Array,
  m: Float32Array,
  v: Float32Array | null,
  from: number,
  to: number,
  hyper: UpdateHyper,
): void {
  const { learningRate, gradientScale } = hyper;
  const decay = hyper.decay ? spec.weightDecay : 0;
  if (spec.kind === "sgd") {
    const { momentum, nesterov } = spec;
    for (let i = from; i < to; i++) {
      const g = grad[i] * gradientScale + decay * param[i];
      const buffer = momentum * m[i] + g;
      m[i] = buffer;
      param[i] -= learningRate * (nesterov ? g + momentum * buffer : buffer);
    }
    return;
  }
  const { beta1, beta2, eps } = spec;
  const l2 = spec.kind === "adam" ? decay : 0;
  const keep = spec.kind === "adamw" ? 1 - learningRate * decay : 1;
  const rate = learningRate / (1 - beta1 ** hyper.step);
  const root = Math.sqrt(1 - beta2 ** hyper.step);
  const second = v!;
  for (let i = from; i < to; i++) {
    const g = grad[i] * gradientScale + l2 * param[i];
    const mean = beta1 * m[i] + (1 - beta1) * g;
    const square = beta2 * second[i] + (1 - beta2) * g * g;
    m[i] = mean;
    second[i] = square;
    param[i] = keep * param[i] - (rate * mean) / (Math.sqrt(square) / root + eps);
  }
}

/** Sum of squares of entries [from, to), in float64 and in index order: add partial sums in a fixed order for equal bits. */
export function sumOfSquares(values: Float32Array, from = 0, to = values.length): number {
  let sum = 0;
  for (let i = from; i < to; i++) sum += values[i] * values[i];
  return sum;
}

/** Factor on all gradients so that their global norm stays within `clip` (0 = no limit); PyTorch's clip_grad_norm_ with its 1e-6. */
export function clipFactor(norm: number, clip: number): number {
  return clip > 0 ? Math.min(1, clip / (norm + 1e-6)) : 1;
}

/** Moving average in place over [from, to): average = decay average + (1 - decay) value. */
export function applyAverage(
  average: Float32Array,
  value: Float32Array,
  from: number,
  to: number,
  decay: number,
): void {
  for (let i = from; i < to; i++) average[i] = decay * average[i] + (1 - decay) * value[i];
}

/** Running statistics in place, as PyTorch: running = (1 - momentum) running + momentum fresh. */
export function applyRunning(running: Float32Array, fresh: ArrayLike<number>, momentum: number): void {
  for (let i = 0; i < running.length; i++) running[i] = (1 - momentum) * running[i] + momentum * fresh[i];
}
