import { type Vec3, voxelCount } from "../../volume/volume.ts";
import { activation, type Kernel, type Params } from "./kernel.ts";
import { type Form, sourceBindings, sourceCode, sourceParams } from "./source.ts";

/** Sizes of the coarse grid, and of the elements there. */
const params: Params = { first: "u32", D: "u32", H: "u32", W: "u32", xGroups: "u32", yGroups: "u32", yAt: "u32" };

/** Item, plane, row and column of coarse voxel number `e` of a part. */
const coarse = `let voxel = P.first + e;
let w = voxel % P.W;
let h = (voxel / P.W) % P.H;
let p = voxel / (P.W * P.H);
let n = p / P.D;
let HW = P.H * P.W;
let r = h * P.W + w;`;

/** Index of tap (a, b, c) of a coarse voxel in the fine tensor of `groups` groups, group `g`. */
function fineIndex([fd, fh, fw]: Vec3, groups: string, g: string, [a, b, c]: Vec3): string {
  return `((((p * ${fd}u + ${a}u) * ${groups} + ${g}) * P.H * ${fh}u + h * ${fh}u + ${b}u) * P.W * ${fw}u + w * ${fw}u + ${c}u - P.yAt)`;
}

/** Taps [a, b, c] in the weights' order. */
function tapsOf([fd, fh, fw]: Vec3): Vec3[] {
  return Array.from({ length: fd * fh * fw }, (_, i): Vec3 => [Math.floor(i / (fh * fw)), Math.floor(i / fw) % fh, i % fw]);
}

/** Transposed convolution: one invocation makes all taps of a coarse voxel for one group of output channels (`wg.z`). */
export function upconvKernel(form: Form, factor: Vec3): Omit<Kernel, "workgroup"> {
  const taps = tapsOf(factor);
  const source = sourceCode("x", form);
  return {
    label: `transposed convolution ${factor.join("x")}`,
    params: { ...params, ...sourceParams("x") },
    bindings: {
      ...sourceBindings("x", form),
      packed: { type: "array<mat4x4f>" },
      vectors: { type: "array<vec4f>" },
      y: { type: "array<vec4f>", write: true },
    },
    declarations: activation,
    body: `${coarse}
let og = wg.z;
${taps.map((_, t) => `var acc${t} = vectors[og];`).join(" ")}
for (var g = 0u; g < P.xGroups; g++) {
  ${source.affine("P.xGroups")}
  let i = (p * P.xGroups + g) * HW + r;
  let v = ${source.at("i")};
  let at = (og * P.xGroups + g) * ${taps.length}u;
  ${taps.map((_, t) => `acc${t} += packed[at + ${t}u] * v;`).join("\n  ")}
}
${taps.map((tap, t) => `y[${fineIndex(factor, "P.yGroups", "og", tap)}] = acc${t};`).join("\n")}`,
  };
}

/** Its gradient by the input: one invocation a coarse voxel and group of input channels (`wg.z`). */
export function upconvBackKernel(factor: Vec3, add: boolean): Omit<Kernel, "workgroup"> {
  const taps = tapsOf(factor);
  return {
    label: `transposed convolution ${factor.join("x")}, gradient`,
    params: { ...params, dxAt: "u32" },
    bindings: {
      y: { type: "array<vec4f>" },
      packed: { type: "array<mat4x4f>" },
      dx: { type: "array<vec4f>", write: true },
    },
    body: `${coarse}
var sum = vec4f();
for (var g = 0u; g < P.yGroups; g++) {
  let at = (wg.z * P.yGroups + g) * ${taps.length}u;
  ${taps.map((tap, t) => `sum += packed[at + ${t}u] * y[${fineIndex(factor, "P.yGroups", "g", tap)}];`).join("\n  ")}
}
let i = (p * P.xGroups + wg.z) * HW + r - P.dxAt;
dx[i] ${add ? "+=" : "="} sum;`,
  };
}

/**
 * Its gradient by the weights: a workgroup adds up a run of `P.run` coarse voxels for one group of output (`wg.z`) and of input channels
 * (`wg.y`); an invocation has one tap and every so-manieth voxel. Partial sums as in convWeightsKernel.
 */
export function upconvWeightsKernel(form: Form, factor: Vec3): Kernel {
  const taps = voxelCount(factor);
  const splits = Math.floor(64 / taps);
  const source = sourceCode("x", form);
  const [fd, fh, fw] = factor;
  return {
    label: `transposed convolution ${factor.join("x")}, gradient of weights`,
    workgroup: [64, 1, 1],
    params: { ...params, count: "u32", run: "u32", chunk0: "u32", ...sourceParams("x") },
    bindings: {
      ...sourceBindings("x", form),
      y: { type: "array<vec4f>" },
      partial: { type: "array<vec4f>", write: true },
    },
    declarations: `${activation}
var<workgroup> red: array<vec4f, ${taps * splits * 4}>;`,
    body: `let og = wg.z;
let g = wg.y;
let tap = li % ${taps}u;
let split = li / ${taps}u;
let ta = tap / ${fh * fw}u;
let tb = (tap / ${fw}u) % ${fh}u;
let tc = tap % ${fw}u;
var acc = mat4x4f();
if (split < ${splits}u) {
  for (var e = wg.x * P.run + split; e < min(P.count, (wg.x + 1u) * P.run); e += ${splits}u) {
    ${coarse}
    ${source.affine("P.xGroups")}
    let i = (p * P.xGroups + g) * HW + r;
    let v = ${source.at("i")};
    let dy = y[((((p * ${fd}u + ta) * P.yGroups + og) * P.H * ${fh}u + h * ${fh}u + tb) * P.W * ${fw}u + w * ${fw}u + tc - P.yAt)];
    acc += mat4x4f(dy * v.x, dy * v.y, dy * v.z, dy * v.w);
  }
  for (var k = 0u; k < 4u; k++) { red[li * 4u + k] = acc[k]; }
}
workgroupBarrier();
if (li < ${taps * 4}u) {
  let t = li / 4u;
  var sum = vec4f();
  for (var s = 0u; s < ${splits}u; s++) { sum += red[(s * ${taps}u + t) * 4u + li % 4u]; }
  partial[(((P.chunk0 + wg.x) * P.yGroups + og) * P.xGroups + g) * ${taps * 4}u + li] = sum;
}`,
  };
}
