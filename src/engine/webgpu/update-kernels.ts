import type { OptimiserSpec } from "../types.ts";
import type { Kernel } from "./kernel.ts";

/** Numbers of one workgroup's partial sum of squares. */
export const SQUARES = 4096;

const tree = `red[li] = sum;
workgroupBarrier();
for (var s = 32u; s > 0u; s = s / 2u) {
  if (li < s) { red[li] += red[li + s]; }
  workgroupBarrier();
}`;

/** Sums of squares of runs of gradients. */
export const squaresKernel: Kernel = {
  label: "squares of gradients",
  workgroup: [64, 1, 1],
  params: { count: "u32" },
  bindings: { gradients: { type: "array<f32>" }, partial: { type: "array<f32>", write: true } },
  declarations: "var<workgroup> red: array<f32, 64>;",
  body: `let first = wg.x * ${SQUARES}u;
var sum = 0.0;
for (var i = first + li; i < min(first + ${SQUARES}u, P.count); i += 64u) { sum += gradients[i] * gradients[i]; }
${tree}
if (li == 0u) { partial[wg.x] = red[0]; }`,
};

/** From them the global norm and the factor that clips it, result[1] and [2]: PyTorch's clip_grad_norm_ with its 1e-6. */
export const clipKernel: Kernel = {
  label: "gradient norm",
  workgroup: [64, 1, 1],
  params: { count: "u32", clip: "f32" },
  bindings: { partial: { type: "array<f32>" }, result: { type: "array<f32>", write: true } },
  declarations: "var<workgroup> red: array<f32, 64>;",
  body: `var sum = 0.0;
for (var i = li; i < P.count; i += 64u) { sum += partial[i]; }
${tree}
if (li == 0u) {
  let norm = sqrt(red[0]);
  result[1] = norm;
  result[2] = select(1.0, min(1.0, P.clip / (norm + 1e-6)), P.clip > 0.0);
}`,
};

/** What changes from step to step: floats of `hyper`. */
export const HYPER = { learningRate: 0, rate: 1, root: 2, floats: 4 };

/** As applyUpdate of ../optimiser.ts, one invocation a parameter; weight decay is for the first `P.decayed` of them. */
export function updateKernel({ kind }: OptimiserSpec): Omit<Kernel, "workgroup"> {
  const sgd = `let g = gradients[e] * result[2] + decay * params[e];
let buffer = P.momentum * m[e] + g;
m[e] = buffer;
params[e] -= hyper[${HYPER.learningRate}] * select(buffer, g + P.momentum * buffer, P.nesterov != 0u);`;
  const adam = `let g = gradients[e] * result[2]${kind === "adam" ? " + decay * params[e]" : ""};
let mean = P.beta1 * m[e] + P.rest1 * g;
let square = P.beta2 * v[e] + P.rest2 * g * g;
m[e] = mean;
v[e] = square;
let kept = params[e]${kind === "adamw" ? ` * (1.0 - hyper[${HYPER.learningRate}] * decay)` : ""};
params[e] = kept - hyper[${HYPER.rate}] * mean / (sqrt(square) / hyper[${HYPER.root}] + P.eps);`;
  const isSgd = kind === "sgd";
  return {
    label: kind,
    params: {
      ...{ decayed: "u32", decay: "f32" },
      ...(isSgd
        ? { momentum: "f32", nesterov: "u32" }
        : { beta1: "f32", rest1: "f32", beta2: "f32", rest2: "f32", eps: "f32" }),
    },
    bindings: {
      gradients: { type: "array<f32>" },
      result: { type: "array<f32>" },
      hyper: { type: "array<f32>" },
      params: { type: "array<f32>", write: true },
      m: { type: "array<f32>", write: true },
      ...(isSgd ? {} : { v: { type: "array<f32>", write: true } }),
    },
    body: `let decay = select(0.0, P.decay, e < P.decayed);
${isSgd ? sgd : adam}`,
  };
}

/** Running statistics of a batch norm, one invocation a channel. */
export const runningKernel: Omit<Kernel, "workgroup"> = {
  label: "running statistics",
  params: { meanAt: "u32", varianceAt: "u32", momentum: "f32" },
  bindings: { fresh: { type: "array<vec4f>" }, params: { type: "array<f32>", write: true } },
  body: `let at = 2u * (e / 4u);
params[P.meanAt + e] = (1.0 - P.momentum) * params[P.meanAt + e] + P.momentum * fresh[at][e % 4u];
params[P.varianceAt + e] = (1.0 - P.momentum) * params[P.varianceAt + e] + P.momentum * fresh[at + 1u][e % 4u];`,
};

export const averageKernel: Omit<Kernel, "workgroup"> = {
  label: "moving average",
  params: { decay: "f32", rest: "f32" },
  bindings: { params: { type: "array<f32>" }, average: { type: "array<f32>", write: true } },
  body: "average[e] = P.decay * average[e] + P.rest * params[e];",
};

/** Parameters as the kernels read them: a gather by a table, where the two largest numbers stand for the constants 1 and 0. */
export const packKernel: Omit<Kernel, "workgroup"> = {
  label: "packing",
  params: {},
  bindings: {
    table: { type: "array<u32>" },
    params: { type: "array<f32>" },
    packed: { type: "array<f32>", write: true },
  },
  body: `let source = table[e];
if (source >= 0xfffffffeu) { packed[e] = select(0.0, 1.0, source == 0xfffffffeu); } else { packed[e] = params[source]; }`,
};
