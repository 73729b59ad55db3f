import { createBackend } from "../engine/backend.ts";
import { isFlatOnnx, type OnnxOptions } from "../model/onnx.ts";
import { roundWeights } from "../model/onnx-weights.ts";
import type { Model } from "../model/types.ts";
import { buildGraph } from "../net/build.ts";
import { classProbabilities } from "../predict/probabilities.ts";
import { fail } from "../util/errors.ts";
import { random } from "../util/random.ts";
import { type Vec3, voxelCount } from "../volume/volume.ts";

/** Largest difference that passes, as a share of the largest value where that is above 1: float32 keeps 7 digits, not 4 after the point. */
const tolerance = 1e-4;

export interface OnnxCheck {
  /** D, H, W of the random input. */
  shape: Vec3;
  /** Largest difference between onnxruntime and lunet's engine, over all outputs. */
  difference: number;
  /** Largest absolute output of the engine. */
  largest: number;
}

/** What is used of onnxruntime-node. */
export interface OnnxRuntime {
  InferenceSession: { create(bytes: Uint8Array): Promise<OnnxSession> };
  Tensor: new (type: "float32", data: Float32Array, dims: readonly number[]) => unknown;
}

interface OnnxSession {
  outputNames: readonly string[];
  run(feeds: Record<string, unknown>): Promise<Record<string, { data: unknown }>>;
  release(): Promise<void>;
}

/** onnxruntime-node, or a sentence on why there is none. It is an optional peer: whoever wants the check installs it. */
export async function findOnnxRuntime(
  load: (name: string) => Promise<unknown> = (name) => import(name),
): Promise<OnnxRuntime | string> {
  try {
    const { default: runtime } = (await load("onnxruntime-node")) as { default: OnnxRuntime };
    return runtime;
  } catch (error) {
    const { code, message } = error as NodeJS.ErrnoException;
    return code === "ERR_MODULE_NOT_FOUND" || code === "MODULE_NOT_FOUND"
      ? "onnxruntime-node is not installed; with it (npm install onnxruntime-node) the file is compared with lunet's engine before it is written."
      : `onnxruntime-node is installed but does not load on this machine (${message.split("\n")[0]}).`;
  }
}

/**
 * Runs an exported file and lunet's engine, with weights rounded as the file has them, on one random input of the file's or the plan's
 * size. Throws UserError where they differ by more than 1e-4 (of the largest output, where that is above 1).
 */
export async function checkOnnx(
  runtime: OnnxRuntime,
  bytes: Uint8Array,
  model: Model,
  options: OnnxOptions,
): Promise<OnnxCheck> {
  const { net, plan } = model;
  const { batch = 1, shape = plan.patch } = options;
  const generator = random(1);
  const size = batch * net.inputChannels * voxelCount(shape);
  const input = Float32Array.from({ length: size }, () => generator.normal());
  const expected = await engineOutput(model, input, { ...options, shape, batch });
  const session = await runtime.InferenceSession.create(bytes);
  let got: Float32Array;
  try {
    const dims = [batch, net.inputChannels, ...(isFlatOnnx(net, options) ? shape.slice(1) : shape)];
    const feeds = { image: new runtime.Tensor("float32", input, dims) };
    got = (await session.run(feeds))[session.outputNames[0]].data as Float32Array;
  } finally {
    await session.release();
  }
  let [difference, largest] = [0, 0];
  for (let i = 0; i < expected.length; i++) {
    // NaN stays NaN in Math.max, and passes no comparison.
    difference = Math.max(difference, Math.abs(got[i] - expected[i]));
    largest = Math.max(largest, Math.abs(expected[i]));
  }
  if (got.length !== expected.length || !(difference <= tolerance * Math.max(1, largest))) {
    fail(
      `Expected onnxruntime to give what lunet gives within ${tolerance}, but on a random input of ${shape.join(" x ")} voxels outputs differ ` +
        `by ${difference.toExponential(1)} (largest output ${largest.toPrecision(3)}); nothing was written. Please report this; --no-check writes the file all the same.`,
    );
  }
  return { shape, difference, largest };
}

/** The engine's logits, or the probabilities that the file ends with. */
async function engineOutput(
  { net, tensors, calibration }: Model,
  input: Float32Array,
  { batch, shape, weights = "float32", probabilities }: OnnxOptions & { batch: number; shape: Vec3 },
): Promise<Float32Array> {
  const backend = await createBackend();
  try {
    const graph = buildGraph(net, { batch, shape });
    const program = await backend.inference(graph);
    program.setParameters(roundWeights(graph, tensors, weights));
    const output = program.logits(input);
    if (!probabilities) return output;
    const item = output.length / batch;
    for (let n = 0; n < batch; n++) {
      const logits = output.slice(n * item, (n + 1) * item).map((value) => value / (calibration?.temperature ?? 1));
      // A list of regions, whatever is in it, asks for a sigmoid in each channel.
      output.set(classProbabilities(logits, net, net.output === "sigmoid" ? [] : undefined), n * item);
    }
    return output;
  } finally {
    await backend.close();
  }
}
