import fc from "fast-check";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { createBackend } from "../engine/backend.ts";
import type { Graph } from "../engine/graph.ts";
import type { Backend, TensorMap, TrainSpec } from "../engine/types.ts";
import { random } from "../util/random.ts";
import { type Vec3, voxelCount } from "../volume/volume.ts";
import { buildGraph, initialise, strideOf } from "./build.ts";
import { countParameters } from "./count.ts";
import { doubling, flat } from "./make.ts";
import { prunableLayers, type Removal, removeChannels } from "./remove.ts";
import { defaultUnit, type NetSpec } from "./spec.ts";

let reference: Backend;
let wasm: Backend;
beforeAll(async () => {
  reference = await createBackend({ name: "reference" });
  wasm = await createBackend({ name: "wasm", threads: 1 });
});
afterAll(async () => {
  await reference.close();
  await wasm.close();
});

/** Free widths, 1 to 3 convolutions a block, any skips, pools and kernels per axis, 2D and 3D, any unit. */
const nets: fc.Arbitrary<NetSpec> = fc.integer({ min: 1, max: 3 }).chain((pools) => {
  const block = fc.array(fc.integer({ min: 1, max: 4 }), { minLength: 1, maxLength: 3 });
  const perLevel = <T>(one: fc.Arbitrary<T>, levels = pools) =>
    fc.array(one, { minLength: levels, maxLength: levels }) as fc.Arbitrary<T[]>;
  return fc.boolean().chain((flatPicture) => {
    const along = (...values: number[]) => fc.constantFrom(...values);
    const depth = (value: number) => (flatPicture ? fc.constant(1) : along(1, value));
    return fc.record({
      inputChannels: fc.integer({ min: 1, max: 3 }),
      outputChannels: fc.integer({ min: 1, max: 3 }),
      output: fc.constantFrom("softmax" as const, "sigmoid" as const),
      encoder: perLevel(block),
      bottleneck: block,
      decoder: perLevel(fc.record({ up: fc.integer({ min: 1, max: 4 }), convs: block })),
      kernels: perLevel(fc.tuple(depth(3), along(1, 3), along(1, 3)) as fc.Arbitrary<Vec3>, pools + 1),
      pools: perLevel(fc.tuple(depth(2), along(1, 2), along(1, 2)) as fc.Arbitrary<Vec3>),
      skips: perLevel(fc.boolean()),
      unit: fc.record({
        order: fc.constantFrom("conv-act-norm" as const, "conv-norm-act" as const),
        norm: fc.constantFrom("batch" as const, "instance" as const, "none" as const),
        slope: fc.constantFrom(0, 0.1),
        eps: fc.constant(1e-5),
        momentum: fc.constant(0.1),
      }),
    });
  });
});

/** Random removals, one list a step, and the channels of the whole net that are gone in the end. */
function randomSteps(net: NetSpec, seed: number): { steps: Removal[][]; gone: Map<string, number[]> } {
  const draw = random(seed, 5);
  const alive = new Map(
    prunableLayers(net).map(({ name, width }) => [name, Array.from({ length: width }, (_, c) => c)]),
  );
  const gone = new Map([...alive.keys()].map((name) => [name, [] as number[]]));
  const steps = Array.from({ length: 1 + draw.int(3) }, () =>
    [...alive].flatMap(([layer, left]) => {
      const channels = left.map((_, at) => at).filter(() => draw.chance(0.4));
      if (channels.length === left.length) channels.pop();
      gone.get(layer)!.push(...channels.map((at) => left[at]));
      alive.set(
        layer,
        left.filter((_, at) => !channels.includes(at)),
      );
      return { layer, channels: draw.shuffle(channels) };
    }),
  );
  return { steps, gone };
}

/** Random parameters of a graph, also where initialise has 0 and 1. */
function randomTensors(graph: Graph, seed: number): TensorMap {
  const draw = random(seed, 6);
  return new Map(
    [...initialise(graph, seed)].map(([name, data]) => {
      const positive = name.endsWith("running_var");
      return [name, data.map((v) => (positive ? 0.5 + draw.next() : v + draw.uniform(-0.3, 0.3)))];
    }),
  );
}

/** Optimiser state as Trainer.getState gives it after some steps. */
function randomState(graph: Graph, seed: number, step: number): TensorMap {
  const draw = random(seed, 7);
  const state: TensorMap = new Map([["step", Float32Array.of(step)]]);
  for (const { name, shape, trained } of graph.params) {
    const of = (value: () => number) => Float32Array.from({ length: voxelCount(shape) }, value);
    if (trained) {
      state.set(`m.${name}`, of(draw.normal));
      state.set(`v.${name}`, of(draw.next));
    }
    state.set(`ema.${name}`, of(draw.next));
  }
  return state;
}

/** The parameters with the outputs of the gone channels held at zero. */
function masked(graph: Graph, tensors: TensorMap, gone: ReadonlyMap<string, number[]>): TensorMap {
  const out = new Map([...tensors].map(([name, data]) => [name, data.slice()]));
  for (const node of graph.nodes) {
    for (const channel of gone.get(node.name) ?? []) {
      if (node.kind === "conv" && node.tail?.norm !== "none") {
        out.get(`${node.name}.norm.weight`)![channel] = 0;
        out.get(`${node.name}.norm.bias`)![channel] = 0;
        continue;
      }
      out.get(`${node.name}.bias`)![channel] = 0;
      const weight = out.get(`${node.name}.weight`)!;
      const [rows, columns, ...inner] = graph.params.find((p) => p.name === `${node.name}.weight`)!.shape;
      const run = voxelCount(inner);
      for (let i = 0; i < rows * columns; i++) {
        const own = node.kind === "conv" ? Math.floor(i / columns) : i % columns;
        if (own === channel) weight.fill(0, i * run, (i + 1) * run);
      }
    }
  }
  return out;
}

const batch = 2;

function sizeOf(net: NetSpec): Vec3 {
  // Twice the product of the pools where that is small, so that the deepest level has room as well.
  return strideOf(net).map((n) => (n < 8 ? 2 * n : n)) as Vec3;
}

function cases(net: NetSpec, seed: number) {
  const shape = sizeOf(net);
  const graph = buildGraph(net, { batch, shape });
  const { steps, gone } = randomSteps(net, seed);
  let pruned = net;
  const cuts: ((tensors: TensorMap) => TensorMap)[] = [];
  for (const step of steps) {
    const removed = removeChannels(pruned, step);
    pruned = removed.net;
    cuts.push(removed.apply);
  }
  const cut = (tensors: TensorMap): TensorMap => cuts.reduce((t, one) => one(t), tensors);
  const draw = random(seed, 8);
  const input = Float32Array.from({ length: batch * net.inputChannels * voxelCount(shape) }, draw.normal);
  const classes = net.output === "softmax" ? net.outputChannels : 2 ** net.outputChannels;
  const target = Uint8Array.from({ length: batch * voxelCount(shape) }, () => draw.int(classes));
  const full = masked(graph, randomTensors(graph, seed), gone);
  return { graph, small: buildGraph(pruned, { batch, shape }), pruned, gone, cut, full, input, target };
}

function largestDifference(a: TensorMap, b: TensorMap): number {
  expect([...a.keys()]).toEqual([...b.keys()]);
  let most = 0;
  for (const [name, values] of a) {
    const other = b.get(name)!;
    expect(values.length, name).toBe(other.length);
    values.forEach((v, i) => {
      most = Math.max(most, Math.abs(v - other[i]));
    });
  }
  return most;
}

async function logits(backend: Backend, graph: Graph, tensors: TensorMap, input: Float32Array): Promise<Float32Array> {
  const program = await backend.inference(graph);
  program.setParameters(tensors);
  const out = program.logits(input);
  program.close();
  return out;
}

const seeds = fc.integer({ min: 0, max: 1e6 });
const spec: TrainSpec = {
  loss: { dice: 1, crossEntropy: 1, eps: 1e-5, includeBackground: true },
  optimiser: { kind: "adamw", beta1: 0.9, beta2: 0.999, eps: 1e-8, weightDecay: 0.01 },
  // The norm of all gradients counts those of masked channels' scales and shifts, which a pruned net has not.
  clip: 0,
  ema: 0.9,
};

describe("a net without channels is the net with those channels held at zero", () => {
  test("in its logits, to the last bit on the reference (zeros add nothing)", async () => {
    await fc.assert(
      fc.asyncProperty(nets, seeds, async (net, seed) => {
        const { graph, small, pruned, gone, cut, full, input } = cases(net, seed);
        for (const { name, width } of prunableLayers(pruned)) {
          const before = prunableLayers(net).find((layer) => layer.name === name)!.width;
          expect(width).toBe(before - gone.get(name)!.length);
        }
        const whole = await logits(reference, graph, full, input);
        const less = await logits(reference, small, cut(full), input);
        expect(largestDifference(new Map([["", less]]), new Map([["", whole]]))).toBe(0);
      }),
      { numRuns: 60 },
    );
  });

  test("in a training step: loss, parameters, running statistics, moments and moving average", async () => {
    await fc.assert(
      fc.asyncProperty(nets, seeds, async (net, seed) => {
        const { graph, small, gone, cut, full, input, target } = cases(net, seed);
        const state = randomState(graph, seed, 3);
        const dropout: TensorMap = new Map();
        const less: TensorMap = new Map();
        const draw = random(seed, 9);
        for (const node of graph.nodes) {
          const width = graph.tensors[node.output].channels;
          if (node.kind !== "conv" || node.tail === null) continue;
          const factors = Float32Array.from({ length: batch * width }, () => (draw.chance(0.2) ? 0 : 1.25));
          dropout.set(node.name, factors);
          less.set(
            node.name,
            factors.filter((_, i) => !gone.get(node.name)!.includes(i % width)),
          );
        }
        const step = async (g: Graph, tensors: TensorMap, from: TensorMap, factors: TensorMap) => {
          const trainer = await reference.trainer(g, spec);
          trainer.setParameters(tensors);
          trainer.setState(from);
          const { loss } = await trainer.step({ input, target }, { learningRate: 0.01, dropout: factors });
          return { loss, parameters: await trainer.getParameters(), state: await trainer.getState() };
        };
        const whole = await step(graph, full, state, dropout);
        const part = await step(small, cut(full), cut(state), less);
        expect(part.loss).toBe(whole.loss);
        expect(part.state.get("step")![0]).toBe(4);
        expect(largestDifference(part.parameters, cut(whole.parameters))).toBe(0);
        expect(largestDifference(part.state, cut(whole.state))).toBe(0);
      }),
      { numRuns: 40 },
    );
  });

  test("on the wasm backend, within twice the 5e-5 that its conformance suite allows logits", async () => {
    await fc.assert(
      fc.asyncProperty(nets, seeds, async (net, seed) => {
        const { graph, small, cut, full, input } = cases(net, seed);
        const whole = await logits(wasm, graph, full, input);
        const less = await logits(wasm, small, cut(full), input);
        const scale = Math.max(1, ...whole.map(Math.abs));
        expect(largestDifference(new Map([["", less]]), new Map([["", whole]])) / scale).toBeLessThan(1e-4);
      }),
      { numRuns: 15 },
    );
  });
});

const options = { levels: 3, convs: 2, inputChannels: 1, outputChannels: 2 };

test("layers in the order of the forward pass, with level, width and parameters", () => {
  const layers = prunableLayers(doubling(2, options));
  expect(layers.map(({ name, level, width }) => `${name} ${level} ${width}`)).toEqual([
    ...["encoder.0.0 0 2", "encoder.0.1 0 2", "encoder.1.0 1 4", "encoder.1.1 1 4", "bottleneck.0 2 8"],
    ...["bottleneck.1 2 8", "decoder.1.up 1 4", "decoder.1.0 1 4", "decoder.1.1 1 4"],
    ...["decoder.0.up 0 2", "decoder.0.0 0 2", "decoder.0.1 0 2"],
  ]);
  // 27 weights an input and output pair, a bias, a scale and a shift
  expect(layers[0].parameters).toBe(2 * 27 + 3 * 2);
  // 8 weights a pair and a bias
  expect(layers[6]).toMatchObject({ kind: "upconv", parameters: 8 * 4 * 8 + 4 });
  const head = 2 * 2 + 2;
  expect(layers.reduce((sum, layer) => sum + layer.parameters, head)).toBe(
    countParameters(doubling(2, options)).parameters,
  );
});

test("a channel goes with its rows, its place after the concatenation and its state", () => {
  const net = flat(2, { ...options, levels: 2, convs: 1 });
  const graph = buildGraph(net, { batch: 1, shape: [2, 2, 2] });
  // Every value says where it lies: [first axis, second axis].
  const numbered: TensorMap = new Map(
    graph.params.map(({ name, shape }) => {
      const [rows, columns = 1] = shape;
      const run = voxelCount(shape) / (rows * columns);
      const data = Float32Array.from({ length: voxelCount(shape) }, (_, i) => {
        const at = Math.floor(i / run);
        return 10 * Math.floor(at / columns) + (at % columns);
      });
      return [name, data];
    }),
  );
  const distinct = (tensors: TensorMap, name: string): number[] => [...new Set(tensors.get(name))];
  const encoder = removeChannels(net, [{ layer: "encoder.0.0", channels: [0] }]);
  expect(encoder.net).toEqual({ ...net, encoder: [[1]] });
  const cut = encoder.apply(numbered);
  expect(distinct(cut, "encoder.0.0.weight")).toEqual([10]);
  expect(distinct(cut, "bottleneck.0.weight")).toEqual([1, 11]);
  // decoder.0.0 reads [up (0, 1), skip (2, 3)]: the skip's first channel goes.
  expect(distinct(cut, "decoder.0.0.weight")).toEqual([0, 1, 3, 10, 11, 13]);
  for (const part of ["bias", "norm.weight", "norm.bias", "norm.running_mean", "norm.running_var"]) {
    expect([...cut.get(`encoder.0.0.${part}`)!]).toEqual([10]);
  }
  const up = removeChannels(net, [{ layer: "decoder.0.up", channels: [1] }]);
  expect(distinct(up.apply(numbered), "decoder.0.up.weight")).toEqual([0, 10]);
  expect(distinct(up.apply(numbered), "decoder.0.0.weight")).toEqual([0, 2, 3, 10, 12, 13]);
  const last = removeChannels(net, [{ layer: "decoder.0.0", channels: [0] }]);
  expect(distinct(last.apply(numbered), "head.weight")).toEqual([1, 11]);
  const state: TensorMap = new Map([
    ["step", Float32Array.of(7)],
    ["m.encoder.0.0.bias", Float32Array.of(1, 2)],
    ["v.encoder.0.0.bias", Float32Array.of(3, 4)],
    ["ema.encoder.0.0.norm.running_var", Float32Array.of(5, 6)],
  ]);
  expect([...encoder.apply(state).values()].map((values) => [...values])).toEqual([[7], [2], [4], [6]]);
});

describe("refuses in words", () => {
  const net = flat(2, options);
  test.each([
    [[{ layer: "head", channels: [0] }], 'none named "head"'],
    [[{ layer: "input", channels: [0] }], 'none named "input"'],
    [[{ layer: "encoder.0.2", channels: [0] }], "did you mean encoder.0.0?"],
    [[{ layer: "bottleneck.0", channels: [2] }], "a channel from 0 to 1 of layer bottleneck.0 to remove, but got 2"],
    [[{ layer: "bottleneck.0", channels: [0.5] }], "but got 0.5"],
    [[{ layer: "bottleneck.0", channels: [0, 1] }], "has 2 channels and must keep one, but 2 were to be removed"],
    [[1, 1].map(() => ({ layer: "decoder.0.up", channels: [1] })), "channel 1 of layer decoder.0.up comes twice"],
  ])("%j", (removals, message) => {
    expect(() => removeChannels(net, removals)).toThrow(message);
  });

  test("tensors of another net", () => {
    const { apply } = removeChannels(net, [{ layer: "bottleneck.0", channels: [0] }]);
    expect(() => apply(new Map([["elsewhere", Float32Array.of(1)]]))).toThrow('there is one named "elsewhere"');
    expect(() => apply(new Map([["m.head.bias", Float32Array.of(1)]]))).toThrow(
      'Expected 2 values in tensor "m.head.bias", but got 1.',
    );
  });
});

test("keeps what is not a width", () => {
  const net: NetSpec = { ...flat(3, { ...options, skips: [true, false] }), unit: { ...defaultUnit, slope: 0.01 } };
  const less = removeChannels(net, [
    { layer: "decoder.1.0", channels: [2, 0] },
    { layer: "encoder.1.1", channels: [1] },
  ]).net;
  expect(less).toEqual({
    ...net,
    encoder: [
      [3, 3],
      [3, 2],
    ],
    decoder: [net.decoder[0], { up: 3, convs: [1, 3] }],
  });
});
