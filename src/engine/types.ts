import type { Graph } from "./graph.ts";

/** A GPU can only be read later; engines on the processor have their results at once. */
export type Awaitable<T> = T | Promise<T>;

/** A program or trainer whose results are there at once. */
export type Immediate<T> = {
  [K in keyof T]: T[K] extends (...args: infer A) => infer R ? (...args: A) => Exclude<R, Promise<unknown>> : T[K];
};

/** Named flat tensors in the layout that Graph.params states (PyTorch's order). */
export type TensorMap = Map<string, Float32Array>;

/**
 * A sum of weighted terms (a weight of 0 or an absent field leaves the term out). With g the one-hot truth and p the
 * probabilities of class c, sums over batch and space:
 * dice      1 - mean_c (2 sum(p g) + eps) / (sum p + sum g + eps)
 * tversky   1 - mean_c (sum(p g) + eps) / (sum(p g) + alpha sum(p (1-g)) + beta sum((1-p) g) + eps)
 * crossEntropy  softmax: mean over voxels of -w_g log p_g;  sigmoid: mean over voxels and classes of binary cross-entropy
 * focal     as crossEntropy with the factor (1 - p_t)^gamma
 * With label smoothing s (Szegedy et al. 2016, section 7) crossEntropy is taken against (1 - s) g + s / K instead of g, for sigmoid
 * against (1 - s) g + s / 2 in each region; w stays that of the true class. The other terms keep the hard truth.
 * distil    knowledge distillation (Hinton et al. 2015, section 2) with q the teacher's probabilities, softened by the same
 *           temperature T, and p(T) = softmax(logits / T): T^2 times the mean over voxels of -sum_c q_c log p_c(T); sigmoid: T^2 times the
 *           mean over voxels and classes of the binary cross-entropy of sigmoid(logit / T) against q. T^2 keeps the size of its gradient.
 * Dice and Tversky leave class 0 out when `includeBackground` is false (softmax only).
 */
export interface LossSpec {
  dice?: number;
  crossEntropy?: number;
  focal?: { weight: number; gamma: number };
  tversky?: { weight: number; alpha: number; beta: number };
  /** Needs {@link Batch.soft}. The temperature is above 0. */
  distil?: { weight: number; temperature: number };
  eps: number;
  includeBackground: boolean;
  /** s, from 0 (none, the default) to below 1. */
  labelSmoothing?: number;
  /** One weight per class for crossEntropy and focal; absent means all 1. */
  classWeights?: number[];
}

export type OptimiserSpec =
  | { kind: "sgd"; momentum: number; nesterov: boolean; weightDecay: number }
  | { kind: "adam"; beta1: number; beta2: number; eps: number; weightDecay: number }
  /** Decoupled weight decay, on parameters of role "weight" only. */
  | { kind: "adamw"; beta1: number; beta2: number; eps: number; weightDecay: number };

export interface TrainSpec {
  loss: LossSpec;
  optimiser: OptimiserSpec;
  /** Global gradient norm limit (0 = none). */
  clip: number;
  /** Decay of the exponential moving average of the parameters (0 = none). */
  ema: number;
  /** Less memory for more time: drops activations that are cheap to make and makes them again for the backward pass. Same bits. */
  recompute?: boolean;
}

/** `input` [N, C, D, H, W]; `target` [N, D, H, W]: a class index per voxel (softmax) or a bit mask of regions (sigmoid). */
export interface Batch {
  input: Float32Array;
  target: Uint8Array;
  /**
   * [N, K, D, H, W], where the loss distils: a teacher's probabilities, softened by the loss's temperature (softmax or sigmoid of its logits
   * / T). Those of a softmax add up to 1.
   */
  soft?: Float32Array;
}

export interface StepOptions {
  learningRate: number;
  /** Channel dropout: per conv node name, [N * Cout] factors (0 or 1 / (1 - p)); a missing node means all 1. */
  dropout?: TensorMap;
}

export interface StepResult {
  loss: number;
  /** Soft Dice of each class (index = class or region) on this batch. */
  dice: number[];
  /** Global gradient norm before clipping. */
  gradientNorm: number;
}

/** Compiled for inference: norm uses running statistics (batch) or the input's own (instance). */
export interface Inference {
  readonly graph: Graph;
  /** Bytes of tensors and parameters this program holds. */
  readonly bytes: number;
  setParameters(values: TensorMap): void;
  /** [N, C, D, H, W] -> logits [N, K, D, H, W] (a fresh array). */
  logits(input: Float32Array): Awaitable<Float32Array>;
  close(): void;
}

/** Compiled for training. One call at a time: await each before the next. */
export interface Trainer {
  readonly graph: Graph;
  readonly bytes: number;
  /** All of graph.params, by name. */
  setParameters(values: TensorMap): void;
  getParameters(): Awaitable<TensorMap>;
  /** The moving average where TrainSpec.ema > 0, else the parameters themselves (running statistics included). */
  getAverage(): Awaitable<TensorMap>;
  /** Optimiser moments and moving average, for checkpoints: names `m.NAME`, `v.NAME`, `ema.NAME`, and `step` [1]. */
  getState(): Awaitable<TensorMap>;
  setState(state: TensorMap): void;
  /** Forward, loss, backward, clip, update. */
  step(batch: Batch, options: StepOptions): Awaitable<StepResult>;
  /** Forward and backward only, nothing updated (running statistics neither): gradients by parameter name. */
  gradients(batch: Batch, options?: Partial<StepOptions>): Awaitable<{ loss: number; gradients: TensorMap }>;
  close(): void;
}

/**
 * Sums over space of one convolution's output u (with its bias, before activation and norm) in each item of a batch, index
 * n * channels + c. g is the loss's gradient with respect to u.
 */
export interface ChannelSums {
  /** Voxels a sum goes over: D H W of the output. */
  voxels: number;
  batch: number;
  channels: number;
  /** sum |u| */
  l1: Float64Array;
  /** sum u^2 */
  l2: Float64Array;
  /**
   * sum u g: how fast the loss changes as the channel is scaled (the first-order Taylor term of its removal, negated). A norm takes
   * the scale out again: over the voxels that share its statistics (all items with batch norm, one with instance norm) the
   * true sum is nearly 0, and float32 leaves noise of about 1e-6 of sum |u g|.
   */
  taylor: Float64Array;
}

/** Compiled for measuring channels: a training step's passes (norm by the batch's own statistics), nothing updated. */
export interface ChannelMeter {
  readonly graph: Graph;
  readonly bytes: number;
  /** All of graph.params, by name. */
  setParameters(values: TensorMap): void;
  /** Sums of every convolution with a tail and every transposed convolution, by node name; fresh arrays. */
  measure(
    batch: Batch,
    options?: Partial<StepOptions>,
  ): Awaitable<{ loss: number; channels: Map<string, ChannelSums> }>;
  close(): void;
}

export interface Backend {
  readonly name: string;
  inference(graph: Graph): Promise<Inference>;
  trainer(graph: Graph, spec: TrainSpec): Promise<Trainer>;
  /** `recompute` as {@link TrainSpec.recompute}: less memory, more time, the same bits. */
  meter(graph: Graph, loss: LossSpec, recompute?: boolean): Promise<ChannelMeter>;
  close(): Promise<void>;
}

/** A backend on the processor: compiling may wait, its programs do not. */
export interface ImmediateBackend extends Backend {
  inference(graph: Graph): Promise<Immediate<Inference>>;
  trainer(graph: Graph, spec: TrainSpec): Promise<Immediate<Trainer>>;
  meter(graph: Graph, loss: LossSpec, recompute?: boolean): Promise<Immediate<ChannelMeter>>;
}
