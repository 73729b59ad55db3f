import type { Kernel, Params } from "./kernel.ts";
import { affineCode, formula, sourceBindings, sourceParams, valueCode } from "./source.ts";

/** Sizes of the coarse grid and the factors. */
const params: Params = {
  ...{ first: "u32", D: "u32", H: "u32", W: "u32", xGroups: "u32", yGroups: "u32", yAt: "u32" },
  ...{ fd: "u32", fh: "u32", fw: "u32" },
};

/** Item, plane, row and column of coarse voxel number `e` of a part. */
const coarse = `let voxel = P.first + e;
let w = voxel % P.W;
let h = (voxel / P.W) % P.H;
let p = voxel / (P.W * P.H);
let n = p / P.D;
let r = h * P.W + w;`;

/** Index of the finest voxel at tap 0 in group `g` of the fine tensor, and of a tap from there. */
const start = (g: string): string =>
  `((p * P.fd * P.yGroups + ${g}) * P.H * P.fh + h * P.fh) * P.W * P.fw + w * P.fw - P.yAt`;
const tapCode = `fn tapAt(t: u32) -> u32 {
  let row = P.W * P.fw;
  return t / (P.fh * P.fw) * P.yGroups * P.H * P.fh * row + (t / P.fw) % P.fh * row + t % P.fw;
}`;
const range = (count: number): number[] => Array.from({ length: count }, (_, i) => i);

/** Transposed convolution: one invocation makes all taps of a coarse voxel for one group of output channels (`wg.z`). */
export function upconvKernel(taps: number): Omit<Kernel, "workgroup"> {
  return {
    label: "transposed convolution",
    params: { ...params, ...sourceParams("x") },
    bindings: {
      ...sourceBindings("x"),
      packed: { type: "array<mat4x4f>" },
      vectors: { type: "array<vec4f>" },
      y: { type: "array<vec4f>", write: true },
    },
    declarations: `${formula}${tapCode}`,
    body: `${coarse}
let og = wg.z;
let bias = vectors[3u * og];
${range(taps)
  .map((t) => `var acc${t} = bias;`)
  .join(" ")}
for (var g = 0u; g < P.xGroups; g++) {
  ${affineCode("x", "P.xGroups")}
  let i = (p * P.xGroups + g) * P.H * P.W + r;
  let v = ${valueCode("x", "i")};
  let at = (og * P.xGroups + g) * ${taps}u;
  ${range(taps)
    .map((t) => `acc${t} += packed[at + ${t}u] * v;`)
    .join("\n  ")}
}
let corner = ${start("og")};
${range(taps)
  .map((t) => `y[corner + tapAt(${t}u)] = acc${t};`)
  .join("\n")}`,
  };
}

/** Its gradient by the input: one invocation a coarse voxel and group of input channels (`wg.z`). */
export const upconvBackKernel: Omit<Kernel, "workgroup"> = {
  label: "transposed convolution, gradient",
  params: { ...params, add: "u32", dxAt: "u32" },
  bindings: {
    y: { type: "array<vec4f>" },
    packed: { type: "array<mat4x4f>" },
    dx: { type: "array<vec4f>", write: true },
  },
  declarations: tapCode,
  body: `${coarse}
let taps = P.fd * P.fh * P.fw;
var sum = vec4f();
for (var g = 0u; g < P.yGroups; g++) {
  let at = (wg.z * P.yGroups + g) * taps;
  let corner = ${start("g")};
  for (var t = 0u; t < taps; t++) { sum += packed[at + t] * y[corner + tapAt(t)]; }
}
let i = (p * P.xGroups + wg.z) * P.H * P.W + r - P.dxAt;
if (P.add != 0u) { sum += dx[i]; }
dx[i] = sum;`,
};

/**
 * Its gradient by the weights: a workgroup adds up a run of `P.run` coarse voxels for one group of output (`wg.z`) and of input channels
 * (`wg.y`); an invocation has one tap and every so-manieth voxel. Partial sums as in convWeightsKernel.
 */
export const upconvWeightsKernel: Kernel = {
  label: "transposed convolution, gradient of weights",
  workgroup: [64, 1, 1],
  params: { ...params, count: "u32", run: "u32", chunk0: "u32", splits: "u32", ...sourceParams("x") },
  bindings: {
    ...sourceBindings("x"),
    y: { type: "array<vec4f>" },
    partial: { type: "array<vec4f>", write: true },
  },
  declarations: `${formula}${tapCode}
var<workgroup> red: array<vec4f, 256>;`,
  body: `let og = wg.z;
let g = wg.y;
let taps = P.fd * P.fh * P.fw;
let tap = tapAt(li % taps);
let split = li / taps;
var acc = mat4x4f();
if (split < P.splits) {
  for (var e = wg.x * P.run + split; e < min(P.count, (wg.x + 1u) * P.run); e += P.splits) {
    ${coarse}
    ${affineCode("x", "P.xGroups")}
    let i = (p * P.xGroups + g) * P.H * P.W + r;
    let v = ${valueCode("x", "i")};
    let dy = y[${start("og")} + tap];
    acc += mat4x4f(dy * v.x, dy * v.y, dy * v.z, dy * v.w);
  }
}
red[li * 4u] = acc[0]; red[li * 4u + 1u] = acc[1]; red[li * 4u + 2u] = acc[2]; red[li * 4u + 3u] = acc[3];
workgroupBarrier();
for (var j = li; j < taps * 4u; j += 64u) {
  var sum = vec4f();
  for (var s = 0u; s < P.splits; s++) { sum += red[s * taps * 4u + j]; }
  partial[(((P.chunk0 + wg.x) * P.yGroups + og) * P.xGroups + g) * taps * 4u + j] = sum;
}`,
};
