import { median } from "../dataset/statistics.ts";
import type { TrainSpec } from "../engine/types.ts";
import type { WasmBackend } from "../engine/wasm/backend.ts";
import { formsOf, type StageForms } from "../engine/wasm/forms.ts";
import type { StageInfo } from "../engine/wasm/program.ts";
import type { Staged } from "../engine/wasm/runtime.ts";
import { buildGraph, initialise } from "../net/build.ts";
import { countNet } from "../net/count.ts";
import type { NetSpec } from "../net/spec.ts";
import { random } from "../util/random.ts";
import { type Vec3, voxelCount } from "../volume/volume.ts";

export type Mode = "infer" | "train";

/** The work that is timed in training, here and in bench/: soft Dice over all classes, and Adam. */
export const benchSpec: TrainSpec = {
  loss: { dice: 1, eps: 1e-5, includeBackground: true },
  optimiser: { kind: "adam", beta1: 0.9, beta2: 0.999, eps: 1e-8, weightDecay: 0 },
  clip: 0,
  ema: 0,
};

/** One layer's part of a pass. */
export interface LayerTime extends StageForms {
  pass: "forward" | "backward";
  /** Median, ms. NaN where nothing was timed. */
  ms: number;
  /**
   * Operations of direct convolution, 2 a multiply-accumulate: forward once; backward once for the weights' gradient and once
   * for the data's, which the net's first layer does not need.
   */
  flop: number;
  /** Every float32 the layer has to read and write, each once: inputs, output and weights, or their gradients too. */
  bytes: number;
}

export interface LayerProfile {
  name: string;
  kind: "conv" | "upconv" | "maxpool";
  inputs: number;
  outputs: number;
  /** D, H, W of the output. */
  shape: Vec3;
  times: LayerTime[];
}

/** Where the time of an inference or a training step goes. */
export interface NetProfile {
  mode: Mode;
  batch: number;
  patch: Vec3;
  /** Median of a whole call, ms. NaN where nothing was timed. */
  ms: number;
  /** Direct operations of the whole call by the usual count: a training step is three forward passes. */
  flop: number;
  /** Memory of the program. */
  bytes: number;
  layers: LayerProfile[];
  /** Median ms of what belongs to no layer: loss, update and preparing weights. */
  otherMs: number;
}

export interface ProfileOptions {
  mode: Mode;
  batch: number;
  patch: Vec3;
  /** Timed calls after 3 that warm the compiler up; 0 only compiles the net, for its forms. */
  reps: number;
}

/** Runs a net of random weights on noise and times its stages. */
export async function profileNet(backend: WasmBackend, net: NetSpec, options: ProfileOptions): Promise<NetProfile> {
  const { mode, batch, patch, reps } = options;
  const graph = buildGraph(net, { batch, shape: patch });
  const count = countNet(net, { batch, shape: patch });
  const generator = random(42);
  const input = Float32Array.from({ length: batch * net.inputChannels * voxelCount(patch) }, () => generator.normal());
  const program = await (mode === "train" ? backend.trainer(graph, benchSpec) : backend.inference(graph));
  program.setParameters(initialise(graph, 1));
  const target = new Uint8Array(batch * voxelCount(patch)).map((_, i) => (input[i] > 0 ? 1 : 0));
  const call = (): void => {
    if ("step" in program) program.step({ input, target }, { learningRate: 1e-3 });
    else program.logits(input);
  };
  const calls = timeCalls(program, call, reps);
  program.close();

  const floats = (id: number): number => batch * graph.tensors[id].channels * voxelCount(graph.tensors[id].shape);
  const layers = count.layers.map(({ name, kind, inputs, outputs, shape, macs, parameters }, i): LayerProfile => {
    const node = graph.nodes[i];
    const read = node.inputs.reduce((sum, id) => sum + floats(id), 0);
    const first = node.inputs.includes(graph.input);
    const work = {
      forward: { flop: 2 * macs, bytes: 4 * (read + floats(node.output) + parameters) },
      backward: {
        flop: 2 * macs * (first ? 1 : 2),
        bytes: 4 * (read * (first ? 1 : 2) + floats(node.output) + 2 * parameters),
      },
    };
    const passes = mode === "train" ? (["forward", "backward"] as const) : (["forward"] as const);
    const times = passes.map((pass): LayerTime => {
      const mine = (stage: StageInfo): boolean => stage.pass === pass && stage.layer === name;
      return { pass, ms: medianOf(program, calls, mine), ...work[pass], ...formsOf(kernelsOf(program, mine)) };
    });
    return { name, kind, inputs, outputs, shape, times };
  });
  return {
    ...{ mode, batch, patch, layers, bytes: program.bytes },
    ms: median(calls.map((times) => times.whole)),
    flop: 2 * count.macs * (mode === "train" ? 3 : 1),
    otherMs: medianOf(program, calls, (stage) => stage.layer === null),
  };
}

/** The time of a call, and of each of its stages. */
interface CallTimes {
  whole: number;
  stages: Float64Array;
}

function timeCalls(program: Staged, call: () => void, reps: number): CallTimes[] {
  if (reps > 0) for (let i = 0; i < 3; i++) call();
  return Array.from({ length: reps }, () => {
    const stages = program.timeStages();
    const start = performance.now();
    call();
    return { whole: performance.now() - start, stages };
  });
}

function medianOf({ stages }: Staged, calls: CallTimes[], which: (stage: StageInfo) => boolean): number {
  return median(calls.map((times) => times.stages.reduce((sum, ms, i) => (which(stages[i]) ? sum + ms : sum), 0)));
}

function kernelsOf({ stages }: Staged, which: (stage: StageInfo) => boolean): Pick<StageInfo, "kernels"> {
  return { kernels: [...new Set(stages.filter(which).flatMap((stage) => stage.kernels))] };
}
