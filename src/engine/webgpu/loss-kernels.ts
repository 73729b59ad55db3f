import type { Graph } from "../graph.ts";
import type { Binding, Kernel, Params } from "./kernel.ts";
import type { ReduceKernel } from "./reduce.ts";

type OutputKind = Graph["outputKind"];

/** Sizes, what of the loss decides a voxel's share, and where each operand starts. `K` classes in `G` groups. */
function params(operands: string[]): Params {
  return {
    ...{ first: "u32", K: "u32", G: "u32", HW: "u32", gamma: "f32", smoothing: "f32", temperature: "f32" },
    ...Object.fromEntries(operands.map((name) => [`${name}At`, "u32" as const])),
  };
}

const helpers = `
fn byteOf(word: u32, at: u32) -> u32 { return (word >> (8u * (at & 3u))) & 255u; }
/** x^y for x >= 0, and 1 for y = 0. */
fn power(x: f32, y: f32) -> f32 {
  if (y == 0.0) { return 1.0; }
  return select(0.0, pow(x, y), x > 0.0);
}
fn softplus(z: f32) -> f32 { return log(1.0 + exp(-abs(z))) + max(z, 0.0); }
fn sigmoid(z: f32) -> f32 { let small = exp(-abs(z)); return select(small, 1.0, z >= 0.0) / (1.0 + small); }
`;

/** Voxel number, its plane and its place there; and the index of class `c`'s group. */
const voxel = `let voxel = P.first + e;
let p = voxel / P.HW;
let r = voxel % P.HW;
let t = voxel - P.truthsAt;
let truth = byteOf(truths[t / 4u], t);`;
const group = (c: string): string => `(p * P.G + ${c} / 4u) * P.HW + r`;
const logit = (c: string): string => `z[${group(c)} - P.zAt][${c} % 4u]`;
const soft = (c: string): string => `soft[(p * P.K + ${c}) * P.HW + r - P.softAt]`;

function bindings(distil: boolean, last: Record<string, Binding>): Record<string, Binding> {
  return {
    z: { type: "array<vec4f>" },
    truths: { type: "array<u32>" },
    ...(distil ? { soft: { type: "array<f32>" } } : {}),
    ...last,
  };
}

/** Largest logit, and the sum of exp(z - top) at temperature 1 and at the loss's. */
const totals = (distil: boolean): string => `var top = ${logit("0u")};
for (var c = 1u; c < P.K; c++) { top = max(top, ${logit("c")}); }
var total = 0.0;
var warm = 0.0;
for (var c = 0u; c < P.K; c++) {
  let gap = ${logit("c")} - top;
  total += exp(gap);
  ${distil ? "warm += exp(gap / P.temperature);" : ""}
}`;

/**
 * Probabilities `p` of a voxel's logits `z`, and the voxel's terms: softmax (cross-entropy with smoothing, focal, distillation, 0), sigmoid (0,
 * 0, distillation, 0), as accumulateVoxel of ../loss.ts.
 */
export function probabilitiesKernel(kind: OutputKind, distil: boolean): Omit<Kernel, "workgroup"> {
  const softmax = `${totals(distil)}
var mean = 0.0;
var dot = 0.0;
for (var c = 0u; c < P.K; c++) {
  mean += ${logit("c")} / f32(P.K);
  ${distil ? `dot += ${soft("c")} * (top - ${logit("c")});` : ""}
}
for (var g = 0u; g < P.G; g++) {
  var v = vec4f();
  for (var k = 0u; k < 4u && 4u * g + k < P.K; k++) { v[k] = exp(z[(p * P.G + g) * P.HW + r - P.zAt][k] - top) / total; }
  probabilities[(p * P.G + g) * P.HW + r - P.probabilitiesAt] = v;
}
let own = ${logit("truth")};
let entropy = log(total) - (own - top);
let rest = max(0.0, 1.0 - exp(own - top) / total);
terms[voxel - P.termsAt] = vec4f(
  entropy + P.smoothing * (own - mean),
  power(rest, P.gamma) * entropy,
  ${distil ? "log(warm) + dot / P.temperature" : "0.0"},
  0.0,
);`;
  const sigmoid = `var distilled = 0.0;
for (var g = 0u; g < P.G; g++) {
  var v = vec4f();
  for (var k = 0u; k < 4u && 4u * g + k < P.K; k++) {
    let x = z[(p * P.G + g) * P.HW + r - P.zAt][k];
    v[k] = sigmoid(x);
    ${distil ? `let cool = x / P.temperature; distilled += softplus(cool) - ${soft("(4u * g + k)")} * cool;` : ""}
  }
  probabilities[(p * P.G + g) * P.HW + r - P.probabilitiesAt] = v;
}
terms[voxel - P.termsAt] = vec4f(0.0, 0.0, distilled, 0.0);`;
  return {
    label: `${kind} and loss`,
    params: params(["z", "truths", ...(distil ? ["soft"] : []), "probabilities", "terms"]),
    bindings: bindings(distil, {
      probabilities: { type: "array<vec4f>", write: true },
      terms: { type: "array<vec4f>", write: true },
    }),
    declarations: helpers,
    body: `${voxel}
${kind === "softmax" ? softmax : sigmoid}`,
  };
}

/** Sums of a loss: of each class p, g, p g, cross-entropy, focal; and of the distillation term, in the last vec4's x of group 0. */
export const LOSS_SUMS = 6;

export function lossSums(kind: OutputKind): ReduceKernel {
  const softmax = `let term = terms[v - P.termsAt];
let own = select(vec4f(), vec4f(1.0), vec4u(truth) == classes);
t3 += own * term.x;
t4 += own * term.y;`;
  const sigmoid = `let own = vec4f((vec4u(truth) >> classes) & vec4u(1u));
let x = z[i - P.zAt];
let entropy = log(1.0 + exp(-abs(x))) + select(max(x, vec4f()), max(-x, vec4f()), own > vec4f());
let rest = select(pr, vec4f(1.0) - pr, own > vec4f());
t3 += entropy + 0.5 * P.smoothing * select(-x, x, own > vec4f());
t4 += entropy * vec4f(power(rest.x, P.gamma), power(rest.y, P.gamma), power(rest.z, P.gamma), power(rest.w, P.gamma));
let term = terms[v - P.termsAt];`;
  return {
    label: "sums of a loss",
    params: {
      ...{ gamma: "f32", smoothing: "f32" },
      ...{ zAt: "u32", probabilitiesAt: "u32", truthsAt: "u32", termsAt: "u32" },
    },
    bindings: {
      z: { type: "array<vec4f>" },
      probabilities: { type: "array<vec4f>" },
      truths: { type: "array<u32>" },
      terms: { type: "array<vec4f>" },
    },
    declarations: helpers,
    setup: `let classes = vec4u(4u * g) + vec4u(0u, 1u, 2u, 3u);
let firstGroup = select(0.0, 1.0, g == 0u);`,
    value: `let t = v - P.truthsAt;
let truth = byteOf(truths[t / 4u], t);
let pr = probabilities[i - P.probabilitiesAt];
${kind === "softmax" ? softmax : sigmoid}
t0 += pr;
t1 += own;
t2 += own * pr;
t5.x += firstGroup * term.z;`,
    sums: LOSS_SUMS,
  };
}

/**
 * Loss, Dice and the coefficients of the gradient (4 a class: constant, slope, cross-entropy, focal) from the sums, as lossFromSums
 * of ../loss.ts. One invocation. `result`: the loss, 3 places for others, then Dice of each class. `classWeights` are K numbers.
 */
export function lossKernel(finest: boolean): Kernel {
  return {
    label: "loss",
    workgroup: [1, 1, 1],
    params: {
      N: "u32",
      K: "u32",
      G: "u32",
      firstClass: "u32",
      eps: "f32",
      dice: "f32",
      tversky: "f32",
      alpha: "f32",
      beta: "f32",
      crossEntropy: "f32",
      focal: "f32",
      mean: "f32",
      distil: "f32",
    },
    bindings: {
      total: { type: "array<vec4f>" },
      classWeights: { type: "array<f32>" },
      coefficients: { type: "array<vec4f>", write: true },
      result: { type: "array<f32>", write: true },
    },
    declarations: `fn sumOf(c: u32, k: u32) -> f32 {
  var sum = 0.0;
  for (var n = 0u; n < P.N; n++) { sum += total[(n * P.G + c / 4u) * ${LOSS_SUMS}u + k][c % 4u]; }
  return sum;
}`,
    body: `var loss = P.distil * sumOf(0u, 5u) + P.dice + P.tversky;
let count = f32(P.K - P.firstClass);
for (var c = 0u; c < P.K; c++) {
  let p = sumOf(c, 0u);
  let g = sumOf(c, 1u);
  let both = sumOf(c, 2u);
  let below = p + g + P.eps;
  let dice = (2.0 * both + P.eps) / below;
  ${finest ? "result[4u + c] = dice;" : ""}
  var constant = 0.0;
  var slope = 0.0;
  if (c >= P.firstClass) {
    let share = P.dice / count;
    loss -= share * dice;
    constant += share * dice / below;
    slope -= share * 2.0 / below;
    let other = both + P.alpha * (p - both) + P.beta * (g - both) + P.eps;
    let index = (both + P.eps) / other;
    let part = P.tversky / count;
    loss -= part * index;
    constant += part * index * P.alpha / other;
    slope += part * (index * (1.0 - P.alpha - P.beta) - 1.0) / other;
  }
  let weight = P.mean * classWeights[c];
  loss += weight * (P.crossEntropy * sumOf(c, 3u) + P.focal * sumOf(c, 4u));
  coefficients[c] = vec4f(constant, slope, weight * P.crossEntropy, weight * P.focal);
}
${finest ? "result[0] = loss;" : "result[0] += loss;"}`,
  };
}

const focalScale = `
/** (1-q)^gamma - gamma q (1-q)^(gamma-1) log q with its limits: 1 at q = 0 (or gamma = 0), 0 at q = 1. */
fn focalScale(q: f32, gamma: f32) -> f32 {
  if (gamma == 0.0 || q <= 0.0) { return 1.0; }
  let rest = 1.0 - q;
  if (rest <= 0.0) { return 0.0; }
  return pow(rest, gamma) - gamma * q * pow(rest, gamma - 1.0) * log(q);
}
`;

/** Gradient by the logits in place of the probabilities, as logitGradient of ../loss.ts. `distil`: the term's share in the loss. */
export function lossGradientKernel(kind: OutputKind, distil: boolean): Omit<Kernel, "workgroup"> {
  const probability = (c: string): string => `probabilities[${group(c)} - P.probabilitiesAt][${c} % 4u]`;
  const softmax = `let q = ${probability("truth")};
let own = coefficients[truth];
var mean = own.y * q;
for (var c = 0u; c < P.K; c++) { mean += coefficients[c].x * ${probability("c")}; }
var scale = own.z;
if (own.w != 0.0) { scale += own.w * focalScale(q, P.gamma); }
let even = own.z * P.smoothing / f32(P.K);
${distil ? totals(true) : ""}
for (var g = 0u; g < P.G; g++) {
  let at = (p * P.G + g) * P.HW + r;
  let pr = probabilities[at - P.probabilitiesAt];
  var v = vec4f();
  for (var k = 0u; k < 4u && 4u * g + k < P.K; k++) {
    let c = 4u * g + k;
    v[k] = pr[k] * (coefficients[c].x - mean + scale) - even;
    if (c == truth) { v[k] += own.y * q - scale + own.z * P.smoothing; }
    ${distil ? `v[k] += P.distil / P.temperature * (exp((z[at - P.zAt][k] - top) / P.temperature) / warm - ${soft("c")});` : ""}
  }
  probabilities[at - P.probabilitiesAt] = v;
}`;
  const sigmoid = `for (var g = 0u; g < P.G; g++) {
  let at = (p * P.G + g) * P.HW + r;
  let pr = probabilities[at - P.probabilitiesAt];
  var v = vec4f();
  for (var k = 0u; k < 4u && 4u * g + k < P.K; k++) {
    let c = 4u * g + k;
    let own = f32((truth >> c) & 1u);
    let factors = coefficients[c];
    var scale = factors.z;
    if (factors.w != 0.0) { scale += factors.w * focalScale(select(1.0 - pr[k], pr[k], own > 0.0), P.gamma); }
    v[k] = (factors.x + factors.y * own) * pr[k] * (1.0 - pr[k]) + scale * (pr[k] - own) + factors.z * P.smoothing * (own - 0.5);
    ${distil ? `v[k] += P.distil / P.temperature * (sigmoid(z[at - P.zAt][k] / P.temperature) - ${soft("c")});` : ""}
  }
  probabilities[at - P.probabilitiesAt] = v;
}`;
  return {
    label: `gradient of ${kind} and loss`,
    params: { ...params(["z", "truths", ...(distil ? ["soft"] : []), "probabilities"]), distil: "f32" },
    bindings: bindings(distil, {
      coefficients: { type: "array<vec4f>" },
      probabilities: { type: "array<vec4f>", write: true },
    }),
    declarations: `${helpers}${focalScale}`,
    body: `${voxel}
${kind === "softmax" ? softmax : sigmoid}`,
  };
}
