import { type Random, random } from "../util/random.ts";
import { type Vec3, voxelCount } from "../volume/volume.ts";
import { type ConvNode, type Graph, type GraphNode, paramsOf, type UnitTail } from "./graph.ts";
import type { Batch, LossSpec, OptimiserSpec, TensorMap, TrainSpec } from "./types.ts";

/** One program with data: every backend must agree with the reference on it. */
export interface ConformanceCase {
  name: string;
  graph: Graph;
  spec: TrainSpec;
  /** One batch a step. */
  batches: Batch[];
  /** Start values, running statistics included. */
  params: TensorMap;
  /** Dropout factors a step; absent means none. */
  dropout?: TensorMap[];
  learningRate: number;
}

/** A small U-Net: `widths[level]` are the encoder's convolutions, the last entry the bottleneck's. */
export interface SmallNet {
  batch: number;
  shape: Vec3;
  inputChannels: number;
  widths: number[][];
  /** Channels of the transposed convolution and of each convolution per decoder level. */
  decoder: { up: number; convs: number[] }[];
  kernels: Vec3[];
  pools: Vec3[];
  skips: boolean[];
  outputChannels: number;
  output: Graph["outputKind"];
  tail: UnitTail;
  /** Decoder levels with a head of their own, from fine to coarse. */
  heads?: number[];
}

/** Builds the graph of a {@link SmallNet}; without pools it is a chain of convolutions and a head. */
export function smallGraph(net: SmallNet): Graph {
  const tensors: Graph["tensors"] = [{ name: "input", channels: net.inputChannels, shape: net.shape }];
  const nodes: GraphNode[] = [];
  const add = (name: string, channels: number, shape: Vec3): number => tensors.push({ name, channels, shape }) - 1;
  const conv = (name: string, inputs: number[], channels: number, kernel: Vec3, tail: UnitTail | null): number => {
    const output = add(name, channels, tensors[inputs[0]].shape);
    nodes.push({ kind: "conv", name, inputs, output, kernel, tail });
    return output;
  };
  const block = (name: string, inputs: number[], widths: number[], kernel: Vec3): number => {
    let at = inputs;
    widths.forEach((width, i) => {
      at = [conv(`${name}.${i}`, at, width, kernel, net.tail)];
    });
    return at[0];
  };
  let at = 0;
  const kept: number[] = [];
  net.pools.forEach((factor, level) => {
    at = block(`encoder.${level}`, [at], net.widths[level], net.kernels[level]);
    kept.push(at);
    const { channels, shape } = tensors[at];
    const output = add(`pool.${level}`, channels, shape.map((n, axis) => n / factor[axis]) as Vec3);
    nodes.push({ kind: "maxpool", name: `pool.${level}`, inputs: [at], output, factor });
    at = output;
  });
  const depth = net.pools.length;
  const heads: number[] = [];
  at = block("bottleneck", [at], net.widths[depth], net.kernels[depth]);
  for (let level = depth - 1; level >= 0; level--) {
    const name = `decoder.${level}`;
    const output = add(`${name}.up`, net.decoder[level].up, tensors[kept[level]].shape);
    nodes.push({ kind: "upconv", name: `${name}.up`, inputs: [at], output, factor: net.pools[level] });
    const inputs = net.skips[level] ? [output, kept[level]] : [output];
    at = block(name, inputs, net.decoder[level].convs, net.kernels[level]);
    if (net.heads?.includes(level)) heads.unshift(conv(`head.${level}`, [at], net.outputChannels, [1, 1, 1], null));
  }
  const output = conv("head", [at], net.outputChannels, [1, 1, 1], null);
  const params = nodes.flatMap((node) => paramsOf({ tensors }, node));
  const auxiliary = net.heads ? { auxiliary: heads } : {};
  return { batch: net.batch, tensors, nodes, input: 0, output, ...auxiliary, outputKind: net.output, params };
}

/** Random start values: He-scaled weights, everything else near its usual value but not at it. */
export function randomParams(graph: Graph, generator: Random): TensorMap {
  const draw: Record<string, (fan: number) => number> = {
    weight: (fan) => generator.normal() * Math.sqrt(2 / fan),
    bias: () => generator.normal() * 0.2,
    scale: () => generator.uniform(0.5, 1.5),
    shift: () => generator.normal() * 0.2,
    mean: () => generator.normal() * 0.3,
    variance: () => generator.uniform(0.5, 1.5),
  };
  return new Map(
    graph.params.map(({ name, shape, role }) => {
      const size = voxelCount(shape);
      return [name, Float32Array.from({ length: size }, () => draw[role](size / shape[0]))];
    }),
  );
}

/** Random normal input and random target, blocky along W so that Dice is not the same everywhere. */
export function randomBatch(graph: Graph, generator: Random): Batch {
  const { channels, shape } = graph.tensors[graph.input];
  const voxels = graph.batch * voxelCount(shape);
  const classes = graph.tensors[graph.output].channels;
  const values = graph.outputKind === "softmax" ? classes : 1 << classes;
  let held = 0;
  const target = Uint8Array.from({ length: voxels }, () => {
    if (generator.chance(0.6)) held = generator.int(values);
    return held;
  });
  return { input: Float32Array.from({ length: voxels * channels }, () => generator.normal()), target };
}

/** A teacher's random probabilities [N, K, voxels], some close to 0 and 1. */
export function randomSoft(
  kind: Graph["outputKind"],
  { batch, classes, voxels }: { batch: number; classes: number; voxels: number },
  generator: Random,
): Float32Array {
  const out = new Float32Array(batch * classes * voxels);
  const odds = new Float64Array(classes);
  for (let n = 0; n < batch; n++) {
    for (let v = 0; v < voxels; v++) {
      for (let c = 0; c < classes; c++) odds[c] = Math.exp(4 * generator.normal());
      const total = odds.reduce((sum, x) => sum + x);
      for (let c = 0; c < classes; c++) {
        out[(n * classes + c) * voxels + v] = odds[c] / (kind === "softmax" ? total : 1 + odds[c]);
      }
    }
  }
  return out;
}

/** Inverted channel dropout at rate `p` for every convolution with a tail. */
export function randomDropout(graph: Graph, p: number, generator: Random): TensorMap {
  const units = graph.nodes.filter((node): node is ConvNode => node.kind === "conv" && node.tail !== null);
  return new Map(
    units.map(({ name, output }) => {
      const length = graph.batch * graph.tensors[output].channels;
      return [name, Float32Array.from({ length }, () => (generator.chance(p) ? 0 : 1 / (1 - p)))];
    }),
  );
}

/** One loss of every kind, used in turn. Class weights are cut to the number of classes. */
export const conformanceLosses: LossSpec[] = [
  { dice: 1, crossEntropy: 1, eps: 1e-5, includeBackground: false },
  { dice: 1, eps: 1e-7, includeBackground: true },
  { crossEntropy: 1, eps: 1e-5, includeBackground: true, classWeights: [0.5, 2, 1, 1.5, 0.7] },
  { dice: 0.5, focal: { weight: 2, gamma: 2 }, eps: 1, includeBackground: false, classWeights: [1, 3, 1, 2, 1] },
  { tversky: { weight: 1, alpha: 0.3, beta: 0.7 }, crossEntropy: 0.3, eps: 1e-3, includeBackground: true },
  { dice: 1, crossEntropy: 1, labelSmoothing: 0.1, eps: 1e-5, includeBackground: false },
  {
    crossEntropy: 0.7,
    focal: { weight: 0.5, gamma: 1.5 },
    labelSmoothing: 0.3,
    eps: 1e-5,
    includeBackground: true,
    classWeights: [0.5, 2, 1, 1.5, 0.7],
  },
  { dice: 1, crossEntropy: 1, distil: { weight: 0.5, temperature: 2 }, eps: 1e-5, includeBackground: false },
  {
    crossEntropy: 0.6,
    labelSmoothing: 0.05,
    distil: { weight: 0.7, temperature: 1 },
    eps: 1e-5,
    includeBackground: true,
  },
  {
    dice: 1,
    focal: { weight: 1, gamma: 2 },
    distil: { weight: 1, temperature: 3.5 },
    eps: 1e-3,
    includeBackground: true,
  },
  { distil: { weight: 1, temperature: 4 }, eps: 1e-5, includeBackground: false },
];

// The eps of Adam stands well above float32 noise: a bias before a norm has gradient 0, and Adam would blow the noise up.
const optimisers: OptimiserSpec[] = [
  { kind: "adamw", beta1: 0.9, beta2: 0.999, eps: 1e-3, weightDecay: 0.05 },
  { kind: "sgd", momentum: 0.9, nesterov: true, weightDecay: 1e-3 },
  { kind: "adam", beta1: 0.8, beta2: 0.99, eps: 1e-3, weightDecay: 1e-2 },
  { kind: "sgd", momentum: 0.5, nesterov: false, weightDecay: 0 },
];

const batchTail: UnitTail = { order: "conv-act-norm", norm: "batch", slope: 0, eps: 1e-5, momentum: 0.1 };
const cube: Vec3 = [3, 3, 3];

/** A chain of convolutions of the given widths, no pools. */
function chain(widths: number[], change: Partial<SmallNet> = {}): SmallNet {
  return {
    batch: 1,
    shape: [5, 6, 7],
    inputChannels: 1,
    widths: [widths],
    decoder: [],
    kernels: [cube],
    pools: [],
    skips: [],
    outputChannels: 2,
    output: "softmax",
    tail: batchTail,
    ...change,
  };
}

/** A U-Net with one convolution width a level. */
function unet(widths: number[], pools: Vec3[], change: Partial<SmallNet> = {}): SmallNet {
  const levels = widths.slice(0, pools.length);
  return chain([], {
    widths: widths.map((w) => [w, w]),
    decoder: levels.map((w) => ({ up: w, convs: [w] })),
    kernels: widths.map(() => cube),
    pools,
    skips: levels.map(() => true),
    shape: [4, 8, 12],
    outputChannels: 3,
    ...change,
  });
}

/** A net with everything drawn at random. */
function randomNet(generator: Random): SmallNet {
  const pick = <T>(values: T[]): T => values[generator.int(values.length)];
  const width = (): number => pick([1, 2, 3, 4, 5, 7, 8, 11]);
  const depth = 1 + generator.int(2);
  const pools = Array.from({ length: depth }, () => [pick([1, 2]), pick([1, 2]), 2] as Vec3);
  // The coarsest grid is 2-3 voxels along each axis: odd sizes, and enough voxels for stable statistics.
  const shape = [0, 1, 2].map((axis) => pools.reduce((n, pool) => n * pool[axis], 2 + generator.int(2))) as Vec3;
  const output = pick<Graph["outputKind"]>(["softmax", "softmax", "sigmoid"]);
  const widths = (): number[] => Array.from({ length: 1 + generator.int(2) }, width);
  return {
    batch: 1 + generator.int(3),
    shape,
    inputChannels: 1 + generator.int(3),
    widths: Array.from({ length: depth + 1 }, widths),
    decoder: pools.map(() => ({ up: width(), convs: widths() })),
    kernels: Array.from({ length: depth + 1 }, () => [pick([1, 3]), 3, pick([1, 3])] as Vec3),
    pools,
    skips: pools.map(() => generator.chance(0.8)),
    outputChannels: output === "softmax" ? 2 + generator.int(4) : 1 + generator.int(3),
    output,
    tail: {
      order: pick<UnitTail["order"]>(["conv-act-norm", "conv-norm-act"]),
      norm: pick<UnitTail["norm"]>(["batch", "batch", "instance", "none"]),
      slope: pick([0, 0.01]),
      eps: pick([1e-5, 1e-3]),
      momentum: pick([0.1, 0.02]),
    },
  };
}

/** The nets of the suite by name: what each is meant to show stands in its name. */
function conformanceNets(): [string, SmallNet][] {
  const nets: [string, SmallNet][] = [];
  for (const width of [1, 3, 4, 5, 8, 13, 16, 24]) nets.push([`width ${width}`, chain([width, width])]);
  nets.push(["width 64", chain([64, 64], { shape: [2, 3, 5] })]);
  nets.push(["width 24 then 64 then 1", chain([24, 64, 1], { shape: [3, 2, 5] })]);
  nets.push(["one voxel wide", chain([4, 3], { shape: [7, 5, 1] })]);
  for (const batch of [2, 3]) nets.push([`batch ${batch}`, chain([5, 4], { batch, inputChannels: 2 })]);
  for (const kernel of [
    [1, 3, 3],
    [3, 1, 3],
    [3, 3, 1],
    [1, 1, 3],
    [1, 1, 1],
  ] as Vec3[]) {
    nets.push([`kernel ${kernel.join("x")}`, chain([4, 6], { kernels: [kernel], inputChannels: 3 })]);
  }
  const flat = { shape: [1, 12, 20] as Vec3, kernels: [1, 2, 3].map(() => [1, 3, 3] as Vec3) };
  nets.push([
    "2D, 2 pools",
    unet(
      [3, 5, 8],
      [
        [1, 2, 2],
        [1, 2, 2],
      ],
      { ...flat, batch: 2 },
    ),
  ]);
  for (const pool of [
    [2, 2, 2],
    [1, 2, 2],
    [2, 1, 1],
    [2, 2, 1],
    [1, 1, 2],
  ] as Vec3[]) {
    nets.push([`pool ${pool.join("x")}`, unet([3, 4], [pool], { shape: [6, 4, 10] })]);
  }
  nets.push([
    "flat 8, 2 pools",
    unet(
      [8, 8, 8],
      [
        [2, 2, 2],
        [2, 2, 2],
      ],
      { batch: 2 },
    ),
  ]);
  nets.push([
    "doubling 4, 2 pools",
    unet(
      [4, 8, 16],
      [
        [2, 2, 2],
        [1, 2, 2],
      ],
    ),
  ]);
  nets.push(["two sources 3 + 5", unet([5, 4], [[2, 2, 2]], { decoder: [{ up: 3, convs: [7, 2] }], batch: 2 })]);
  nets.push(["two sources 13 + 1", unet([1, 4], [[2, 2, 2]], { decoder: [{ up: 13, convs: [6] }] })]);
  nets.push([
    "no skips",
    unet(
      [4, 6, 3],
      [
        [2, 2, 2],
        [1, 2, 2],
      ],
      { skips: [false, false] },
    ),
  ]);
  nets.push([
    "inner skip only",
    unet(
      [4, 6, 3],
      [
        [2, 2, 2],
        [1, 2, 2],
      ],
      { skips: [false, true] },
    ),
  ]);
  // Even planes of 8 and more: what a tile transform needs; one or several strips, one and two sources, uneven depths.
  for (const [d, h, w, widths] of [
    [3, 8, 8, [8, 4]],
    [2, 12, 10, [16, 24]],
    [9, 8, 16, [5, 8]],
    [2, 34, 8, [8, 8]],
  ] as [number, number, number, [number, number]][]) {
    nets.push([
      `plane ${d}x${h}x${w}`,
      unet(widths, [[1, 2, 2]], { shape: [d, h, w], batch: 2, decoder: [{ up: widths[1], convs: [widths[0], 8] }] }),
    ]);
  }
  const plane = { kernels: [1, 2].map(() => [1, 3, 3] as Vec3), shape: [1, 24, 16] as Vec3 };
  nets.push(["2D plane", unet([8, 16], [[1, 2, 2]], { ...plane, batch: 3 })]);
  for (const order of ["conv-act-norm", "conv-norm-act"] as const) {
    for (const norm of ["batch", "instance", "none"] as const) {
      for (const slope of [0, 0.01]) {
        const tail: UnitTail = { order, norm, slope, eps: 1e-4, momentum: 0.2 };
        nets.push([
          `${order}, ${norm}, slope ${slope}`,
          unet([4, 5], [[2, 2, 2]], { tail, batch: 2, shape: [4, 6, 6] }),
        ]);
        nets.push([
          `${order}, ${norm}, slope ${slope}, plane 8x12`,
          unet([8, 4], [[1, 2, 2]], { tail, batch: 2, shape: [2, 8, 12] }),
        ]);
      }
    }
  }
  for (const outputChannels of [2, 3, 4, 5]) nets.push([`softmax ${outputChannels}`, chain([6], { outputChannels })]);
  for (const outputChannels of [1, 2, 3, 5]) {
    nets.push([`sigmoid ${outputChannels}`, chain([6], { outputChannels, output: "sigmoid", batch: 2 })]);
  }
  const generator = random(20);
  for (let i = 0; i < 16; i++) nets.push([`random ${i}`, randomNet(generator)]);
  // An input is not padded to whole vectors, whatever its plane.
  nets.push(["5 input channels, plane 8x8", chain([8, 4], { inputChannels: 5, shape: [2, 8, 8], batch: 2 })]);
  nets.push([
    "input read by a pool and a skip",
    unet([2, 4], [[2, 2, 2]], { inputChannels: 3, widths: [[], [4]], decoder: [{ up: 5, convs: [4] }] }),
  ]);
  nets.push(["softmax 70", chain([4], { outputChannels: 70, shape: [2, 5, 9] })]);
  const three: Vec3[] = [
    [1, 2, 2],
    [2, 2, 2],
    [2, 2, 2],
  ];
  const heads: Partial<SmallNet> = { heads: [1, 2], shape: [4, 16, 16] };
  nets.push(["heads at 2 levels", unet([4, 5, 6, 3], three, heads)]);
  nets.push(["sigmoid 8", chain([4], { outputChannels: 8, output: "sigmoid" })]);
  nets.push(["heads at 2 levels, flat 8", unet([8, 8, 8, 8], three, { ...heads, batch: 2 })]);
  nets.push(["heads at 2 levels, regions", unet([3, 4, 4, 5], three, { ...heads, output: "sigmoid" })]);
  const late: UnitTail = { order: "conv-norm-act", norm: "instance", slope: 0.01, eps: 1e-4, momentum: 0.2 };
  nets.push([
    "a head at one level, norm before activation",
    unet([4, 8, 5], three.slice(1), { heads: [1], shape: [4, 8, 8], tail: late, batch: 3 }),
  ]);
  return nets;
}

/** Data for a net: loss, optimiser, clip, average and dropout go round with the index, so that all meet all kinds of nets. */
export function conformanceCase(name: string, net: SmallNet, index: number): ConformanceCase {
  const graph = smallGraph(net);
  const generator = random(7, index);
  const loss = conformanceLosses[index % conformanceLosses.length];
  const optimiser = optimisers[index % optimisers.length];
  const steps = [0, 1, 2];
  const softSize = { batch: net.batch, classes: net.outputChannels, voxels: voxelCount(net.shape) };
  return {
    name,
    graph,
    spec: {
      loss: { ...loss, classWeights: loss.classWeights?.slice(0, net.outputChannels) },
      optimiser,
      clip: index % 3 === 0 ? 0.3 : 0,
      ema: index % 2 === 0 ? 0.7 : 0,
    },
    params: randomParams(graph, generator),
    batches: steps.map(() => ({
      ...randomBatch(graph, generator),
      ...(loss.distil ? { soft: randomSoft(graph.outputKind, softSize, generator) } : {}),
    })),
    dropout: index % 3 === 1 ? steps.map(() => randomDropout(graph, 0.3, generator)) : undefined,
    learningRate: optimiser.kind === "sgd" ? 0.02 : 0.01,
  };
}

/** All cases; the same on every call. */
export function conformanceCases(): ConformanceCase[] {
  return conformanceNets().map(([name, net], index) => conformanceCase(name, net, index));
}
