import type { UnitTail } from "../graph.ts";
import { activation, type Kernel } from "./kernel.ts";
import { type ReduceKernel, walk, walkParams, walkStart } from "./reduce.ts";

type Tail = Pick<UnitTail, "order" | "norm">;

/** What the norm sees of a convolution's output u. */
const seen = ({ order }: Pick<Tail, "order">, u: string): string =>
  order === "conv-act-norm" ? `act(${u}, P.slope)` : u;

/**
 * Moments of what the norm sees, for each chunk of an item and group: count, mean, and sum of squared differences from that mean, which a second pass
 * over the chunk makes (a sum of squares would lose digits where the mean is large).
 */
export function momentsKernel(order: Tail["order"]): Kernel {
  const value = seen({ order }, "u[i - P.uAt]");
  return {
    label: "moments",
    workgroup: [64, 1, 1],
    params: { ...walkParams, slope: "f32", uAt: "u32" },
    bindings: { u: { type: "array<vec4f>" }, partial: { type: "array<vec4f>", write: true } },
    declarations: `${activation}
var<workgroup> red: array<vec4f, 64>;
fn total(t: vec4f, li: u32) -> vec4f {
  workgroupBarrier();
  red[li] = t;
  workgroupBarrier();
  for (var s = 32u; s > 0u; s = s / 2u) {
    if (li < s) { red[li] += red[li + s]; }
    workgroupBarrier();
  }
  return red[0];
}`,
    body: `${walkStart}
var sum = vec4f();
${walk(`sum += ${value};`)}
let count = f32(last - first);
let mean = total(sum, li) / count;
var squares = vec4f();
${walk(`let difference = ${value} - mean; squares += difference * difference;`)}
let all = total(squares, li);
if (li == 0u) {
  partial[row * 3u] = vec4f(count);
  partial[row * 3u + 1u] = mean;
  partial[row * 3u + 2u] = all;
}`,
  };
}

/**
 * From the moments of chunks to those of all that is normalised together (Chan, Golub & LeVeque 1979), to `statistics` (mean, 1 / sd for each item
 * and group), to A and B of the unit (with dropout), and for batch norm to `fresh` (mean and unbiased variance a group). One workgroup for each
 * group (batch norm) or item and group (instance norm).
 */
export function normKernel(norm: "batch" | "instance", dropout: boolean): Kernel {
  const batch = norm === "batch";
  return {
    label: `${norm} norm`,
    workgroup: [64, 1, 1],
    params: { N: "u32", G: "u32", chunks: "u32", eps: "f32" },
    bindings: {
      partial: { type: "array<vec4f>" },
      vectors: { type: "array<vec4f>" },
      ...(dropout ? { factors: { type: "array<vec4f>" } } : {}),
      affine: { type: "array<vec4f>", write: true },
      statistics: { type: "array<vec4f>", write: true },
      ...(batch ? { fresh: { type: "array<vec4f>", write: true } } : {}),
    },
    declarations: `struct Moments { count: f32, mean: vec4f, squares: vec4f }
var<workgroup> red: array<Moments, 64>;
fn merged(a: Moments, b: Moments) -> Moments {
  let count = a.count + b.count;
  if (b.count == 0.0) { return a; }
  let gap = b.mean - a.mean;
  let share = b.count / count;
  return Moments(count, a.mean + gap * share, a.squares + b.squares + gap * gap * (a.count * share));
}`,
    body: `let g = wg.x % P.G;
let n0 = ${batch ? "0u" : "wg.x / P.G"};
let items = ${batch ? "P.N" : "1u"};
var mine = Moments(0.0, vec4f(), vec4f());
for (var c = li; c < items * P.chunks; c += 64u) {
  let row = ((n0 + c / P.chunks) * P.G + g) * P.chunks + c % P.chunks;
  mine = merged(mine, Moments(partial[row * 3u].x, partial[row * 3u + 1u], partial[row * 3u + 2u]));
}
red[li] = mine;
workgroupBarrier();
for (var s = 32u; s > 0u; s = s / 2u) {
  if (li < s) { red[li] = merged(red[li], red[li + s]); }
  workgroupBarrier();
}
if (li > 0u) { return; }
let all = red[0];
let inverse = 1.0 / sqrt(all.squares / all.count + P.eps);
let scale = vectors[g] * inverse;
let shift = vectors[P.G + g] - all.mean * scale;
for (var n = n0; n < n0 + items; n++) {
  let at = n * P.G + g;
  let factor = ${dropout ? "factors[at]" : "1.0"};
  affine[2u * at] = scale * factor;
  affine[2u * at + 1u] = shift * factor;
  statistics[2u * at] = all.mean;
  statistics[2u * at + 1u] = inverse;
}
${batch ? "fresh[g] = all.mean; fresh[P.G + g] = all.squares / max(1.0, all.count - 1.0);" : ""}`,
  };
}

/** A and B of a unit without norm: its dropout factors, and 0. */
export const dropoutKernel = {
  label: "dropout",
  params: {},
  bindings: { factors: { type: "array<vec4f>" }, affine: { type: "array<vec4f>", write: true } },
  body: "affine[2u * e] = factors[e]; affine[2u * e + 1u] = vec4f();",
};

/** The gradient by the norm's output from that by the unit's, `dy`: through dropout, and through an activation behind the norm. */
function inner(order: Tail["order"]): string {
  return order === "conv-act-norm" ? "factor * dy[i - P.dyAt]" : "factor * dy[i - P.dyAt] * slopeAt(a * u[i - P.uAt] + b, P.slope)";
}

const backBindings = {
  u: { type: "array<vec4f>" },
  factors: { type: "array<vec4f>" },
  affine: { type: "array<vec4f>" },
};

const backSetup = `let at = n * P.G + g;
let factor = factors[at];
let a = affine[2u * at];
let b = affine[2u * at + 1u];`;

/** Sums of a norm's backward pass: of the gradient d by its output, and of d times the normalised value. */
export function normSums(order: Tail["order"]): ReduceKernel {
  return {
    label: "sums of a norm's gradient",
    params: { slope: "f32", uAt: "u32", dyAt: "u32" },
    bindings: { ...backBindings, statistics: { type: "array<vec4f>" }, dy: { type: "array<vec4f>" } },
    declarations: activation,
    setup: `${backSetup}
let mean = statistics[2u * at];
let inverse = statistics[2u * at + 1u];`,
    value: `let d = ${inner(order)};
t0 += d;
t1 += d * ((${seen({ order }, "u[i - P.uAt]")} - mean) * inverse);`,
    sums: 2,
  };
}

/**
 * From the sums of each item and group: gradients of scale and shift, and what the gradient by the norm's input is made of, for each item and group:
 * scale / sd, mean of d, mean of d times the normalised value. One invocation a channel group.
 */
export function normBackKernel(norm: "batch" | "instance") {
  const batch = norm === "batch";
  return {
    label: `gradient of ${norm} norm`,
    params: { N: "u32", G: "u32", channels: "u32", voxels: "f32", scaleAt: "u32", shiftAt: "u32" } as const,
    bindings: {
      total: { type: "array<vec4f>" },
      vectors: { type: "array<vec4f>" },
      statistics: { type: "array<vec4f>" },
      back: { type: "array<vec4f>", write: true },
      gradients: { type: "array<f32>", write: true },
    },
    body: `var sum = vec4f();
var product = vec4f();
for (var n = 0u; n < P.N; n++) {
  let at = n * P.G + e;
  sum += total[2u * at];
  product += total[2u * at + 1u];
}
for (var n = 0u; n < P.N; n++) {
  let at = n * P.G + e;
  back[3u * at] = vectors[e] * statistics[2u * at + 1u];
  back[3u * at + 1u] = ${batch ? "sum / (P.voxels * f32(P.N))" : "total[2u * at] / P.voxels"};
  back[3u * at + 2u] = ${batch ? "product / (P.voxels * f32(P.N))" : "total[2u * at + 1u] / P.voxels"};
}
for (var k = 0u; k < 4u && 4u * e + k < P.channels; k++) {
  gradients[P.scaleAt + 4u * e + k] = product[k];
  gradients[P.shiftAt + 4u * e + k] = sum[k];
}`,
  };
}

/** The gradient by a convolution's output u, in place of that by its unit's output. */
export function unitBackKernel({ order, norm }: Tail) {
  const normed = norm !== "none";
  const gradient = normed
    ? `back[3u * at] * (d - back[3u * at + 1u] - (${seen({ order }, "value")} - statistics[2u * at]) * statistics[2u * at + 1u] * back[3u * at + 2u])`
    : "d";
  const d =
    order === "conv-act-norm" ? "factor * dy[i]" : "factor * dy[i] * slopeAt(a * value + b, P.slope)";
  return {
    label: "gradient of a unit",
    params: { first: "u32", D: "u32", G: "u32", HW: "u32", slope: "f32", uAt: "u32", dyAt: "u32" } as const,
    bindings: {
      ...backBindings,
      ...(normed ? { statistics: { type: "array<vec4f>" }, back: { type: "array<vec4f>" } } : {}),
      dy: { type: "array<vec4f>", write: true },
    },
    declarations: activation,
    body: `let at0 = P.first + e;
let row = at0 / P.HW;
let at = (row / P.G / P.D) * P.G + row % P.G;
let i = at0 - P.dyAt;
let value = u[at0 - P.uAt];
let factor = factors[at];
let a = affine[2u * at];
let b = affine[2u * at + 1u];
let d = ${d};
let du = ${gradient};
dy[i] = ${order === "conv-act-norm" ? "du * slopeAt(value, P.slope)" : "du"};`,
  };
}
