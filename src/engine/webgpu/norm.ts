import type { Kernel, Params } from "./kernel.ts";
import { type ReduceKernel, walk, walkParams, walkStart } from "./reduce.ts";
import { formula } from "./source.ts";

/**
 * Moments of what a norm sees, act(u, inner), for each chunk of an item and group: count, mean, and sum of squared differences from that
 * mean, which a second pass over the chunk makes (a sum of squares would lose digits where the mean is large).
 */
export const momentsKernel: Kernel = {
  label: "moments",
  workgroup: [64, 1, 1],
  params: { ...walkParams, inner: "f32", uAt: "u32" },
  bindings: { u: { type: "array<vec4f>" }, partial: { type: "array<vec4f>", write: true } },
  declarations: `${formula}
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
${walk("sum += act(u[i - P.uAt], P.inner);")}
let count = f32(last - first);
let mean = total(sum, li) / count;
var squares = vec4f();
${walk("let difference = act(u[i - P.uAt], P.inner) - mean; squares += difference * difference;")}
let all = total(squares, li);
if (li == 0u) {
  partial[row * 3u] = vec4f(count);
  partial[row * 3u + 1u] = mean;
  partial[row * 3u + 2u] = all;
}`,
};

/**
 * From the moments of chunks to those of all that is normalised together (Chan, Golub & LeVeque 1979): `items` items at a time, all with batch
 * norm, 1 with instance norm. Makes for each item and group A and B of the unit (with its dropout factors, if `dropout` is 1) and
 * `statistics` (mean, 1 / sd); and for each group `fresh` (mean and unbiased variance: what running statistics take up).
 */
export const normKernel: Kernel = {
  label: "norm",
  workgroup: [64, 1, 1],
  params: { G: "u32", items: "u32", chunks: "u32", dropout: "u32", eps: "f32" },
  bindings: {
    partial: { type: "array<vec4f>" },
    vectors: { type: "array<vec4f>" },
    factors: { type: "array<vec4f>" },
    affine: { type: "array<vec4f>", write: true },
    statistics: { type: "array<vec4f>", write: true },
    fresh: { type: "array<vec4f>", write: true },
  },
  declarations: `struct Moments { count: f32, mean: vec4f, squares: vec4f }
var<workgroup> red: array<Moments, 64>;
fn merged(a: Moments, b: Moments) -> Moments {
  if (b.count == 0.0) { return a; }
  let count = a.count + b.count;
  let gap = b.mean - a.mean;
  let share = b.count / count;
  return Moments(count, a.mean + gap * share, a.squares + b.squares + gap * gap * (a.count * share));
}`,
  body: `let g = wg.x % P.G;
let n0 = wg.x / P.G;
var mine = Moments(0.0, vec4f(), vec4f());
for (var c = li; c < P.items * P.chunks; c += 64u) {
  let row = 3u * (((n0 + c / P.chunks) * P.G + g) * P.chunks + c % P.chunks);
  mine = merged(mine, Moments(partial[row].x, partial[row + 1u], partial[row + 2u]));
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
let scale = vectors[2u * g] * inverse;
let shift = vectors[2u * g + 1u] - all.mean * scale;
for (var n = n0; n < n0 + P.items; n++) {
  let at = n * P.G + g;
  let factor = factors[P.dropout * at];
  affine[2u * at] = scale * factor;
  affine[2u * at + 1u] = shift * factor;
  statistics[2u * at] = all.mean;
  statistics[2u * at + 1u] = inverse;
}
fresh[2u * g] = all.mean;
fresh[2u * g + 1u] = all.squares / max(1.0, all.count - 1.0);`,
};

/** A and B of a unit without norm: its dropout factors, and 0. */
export const dropoutKernel: Omit<Kernel, "workgroup"> = {
  label: "dropout",
  params: {},
  bindings: { factors: { type: "array<vec4f>" }, affine: { type: "array<vec4f>", write: true } },
  body: "affine[2u * e] = factors[e]; affine[2u * e + 1u] = vec4f();",
};

const unitParams: Params = { inner: "f32", outer: "f32", uAt: "u32", dyAt: "u32" };
const unitBindings = {
  u: { type: "array<vec4f>" },
  factors: { type: "array<vec4f>" },
  affine: { type: "array<vec4f>" },
};

/** Sums of a norm's backward pass: of the gradient d by its output, and of d times the normalised value. */
export const normSums: ReduceKernel = {
  label: "sums of a norm's gradient",
  params: unitParams,
  bindings: { ...unitBindings, statistics: { type: "array<vec4f>" }, dy: { type: "array<vec4f>" } },
  declarations: formula,
  setup: `let at = n * P.G + g;
let factor = factors[at];
let a = affine[2u * at];
let b = affine[2u * at + 1u];
let mean = statistics[2u * at];
let inverse = statistics[2u * at + 1u];`,
  value: `let seen = act(u[i - P.uAt], P.inner);
let d = factor * dy[i - P.dyAt] * slopeAt(a * seen + b, P.outer);
t0 += d;
t1 += d * ((seen - mean) * inverse);`,
  sums: 2,
};

/**
 * From the sums of each item and group: gradients of scale and shift, and what the gradient by the norm's input is made of, for each item and
 * group: scale / sd, mean of d, mean of d times the normalised value. One invocation a channel group.
 */
export const normBackKernel: Omit<Kernel, "workgroup"> = {
  label: "gradient of a norm",
  params: { N: "u32", G: "u32", batch: "u32", channels: "u32", voxels: "f32", scaleAt: "u32", shiftAt: "u32" },
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
let all = P.voxels * f32(P.N);
for (var n = 0u; n < P.N; n++) {
  let at = n * P.G + e;
  back[3u * at] = vectors[2u * e] * statistics[2u * at + 1u];
  back[3u * at + 1u] = select(total[2u * at] / P.voxels, sum / all, P.batch != 0u);
  back[3u * at + 2u] = select(total[2u * at + 1u] / P.voxels, product / all, P.batch != 0u);
}
for (var k = 0u; k < 4u && 4u * e + k < P.channels; k++) {
  gradients[P.scaleAt + 4u * e + k] = product[k];
  gradients[P.shiftAt + 4u * e + k] = sum[k];
}`,
};

/** The gradient by a convolution's output u, in place of that by its unit's output. */
export function unitBackKernel(normed: boolean): Omit<Kernel, "workgroup"> {
  return {
    label: "gradient of a unit",
    params: { first: "u32", D: "u32", G: "u32", HW: "u32", ...unitParams },
    bindings: {
      ...unitBindings,
      ...(normed ? { statistics: { type: "array<vec4f>" }, back: { type: "array<vec4f>" } } : {}),
      dy: { type: "array<vec4f>", write: true },
    },
    declarations: formula,
    body: `let i = P.first + e;
let row = i / P.HW;
let at = row / (P.G * P.D) * P.G + row % P.G;
let value = u[i - P.uAt];
let seen = act(value, P.inner);
var d = factors[at] * dy[i - P.dyAt] * slopeAt(affine[2u * at] * seen + affine[2u * at + 1u], P.outer);
${
  normed
    ? "d = back[3u * at] * (d - back[3u * at + 1u] - (seen - statistics[2u * at]) * statistics[2u * at + 1u] * back[3u * at + 2u]);"
    : ""
}
dy[i - P.dyAt] = d * slopeAt(value, P.inner);`,
  };
}
