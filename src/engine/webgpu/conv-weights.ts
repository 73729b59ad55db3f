import { stageCode } from "./conv.ts";
import type { Kernel } from "./kernel.ts";
import { formula, sourceBindings, sourceParams } from "./source.ts";

const columns = [0, 1, 2];

/**
 * A convolution's gradient by the weights of one source. A workgroup has one group of output (`wg.z`) and of input channels (`wg.y`) and
 * every `P.chunks`-th tile of voxels. An invocation has one (kD, kH) of the kernel and some rows of the tile: along a row it keeps the
 * last 3 inputs, so that an input and a gradient loaded serve 3 products of 4 x 4 channels (with a kernel of 1 along W the outer two are
 * for nothing: it is that of heads). Partial sums: vec4 of output channels at
 * (((chunk Gout + output group) Gin + input group) taps + tap) 4 + input channel, taps of a kernel of 3 along W.
 */
export const convWeightsKernel: Kernel = {
  label: "convolution, gradient of weights",
  workgroup: [64, 1, 1],
  params: {
    ...{ W: "u32", H: "u32", D: "u32", xGroups: "u32", yGroups: "u32", n0: "u32", d0: "u32", d1: "u32" },
    ...{ kh: "u32", rd: "u32", rh: "u32", rw: "u32", sx: "u32", sy: "u32", sz: "u32" },
    ...{ tw: "u32", th: "u32", td: "u32", tilesW: "u32", tilesH: "u32", tilesD: "u32", tiles: "u32" },
    ...{ rows: "u32", splits: "u32", chunks: "u32", chunk0: "u32", dyAt: "u32" },
    ...sourceParams("x"),
  },
  bindings: {
    ...sourceBindings("x"),
    dy: { type: "array<vec4f>" },
    partial: { type: "array<vec4f>", write: true },
  },
  declarations: `${formula}
var<workgroup> tile: array<vec4f, 600>;
var<workgroup> slopes: array<vec4f, 256>;`,
  body: `let og = wg.z;
let g = wg.y;
let row = li % P.rows;
let split = li / P.rows;
${columns.map((k) => `var acc${k} = mat4x4f();`).join(" ")}
for (var t = wg.x; t < P.tiles; t += P.chunks) {
  let w0 = i32((t % P.tilesW) * P.tw);
  let h0 = i32(((t / P.tilesW) % P.tilesH) * P.th);
  let slab = t / (P.tilesW * P.tilesH);
  let d0 = i32(P.d0 + (slab % P.tilesD) * P.td);
  let n = P.n0 + slab / P.tilesD;
  let a = xAffine[2u * (n * P.xGroups + g)];
  let b = xAffine[2u * (n * P.xGroups + g) + 1u];
  workgroupBarrier();
  ${stageCode((at) => `v = valueOf(x[${at} - P.xAt], a, b, P.xInner, P.xOuter);`, "P.xGroups", "g")}
  for (var i = li; i < P.tw * P.th * P.td; i += 64u) {
    let w = u32(w0) + i % P.tw;
    let h = u32(h0) + (i / P.tw) % P.th;
    let d = u32(d0) + i / (P.tw * P.th);
    var v = vec4f();
    if (w < P.W && h < P.H && d < P.d1) {
      v = dy[(((n * P.D + d) * P.yGroups + og) * P.H + h) * P.W + w - P.dyAt];
    }
    slopes[i] = v;
  }
  workgroupBarrier();
  if (split < P.splits) {
    for (var line = split; line < P.th * P.td; line += P.splits) {
      let at = ((line / P.th + row / P.kh) * P.sy + line % P.th + row % P.kh) * P.sx;
      ${columns
        .slice(0, -1)
        .map((k) => `var x${k} = tile[at + ${k}u];`)
        .join(" ")}
      for (var i = 0u; i < P.tw; i++) {
        let x2 = tile[at + i + 2u];
        let s = slopes[line * P.tw + i];
        ${columns.map((k) => `acc${k} += mat4x4f(s * x${k}.x, s * x${k}.y, s * x${k}.z, s * x${k}.w);`).join("\n        ")}
        ${columns
          .slice(0, -1)
          .map((k) => `x${k} = x${k + 1};`)
          .join(" ")}
      }
    }
  }
}
${columns
  .map(
    (k) => `workgroupBarrier();
if (split < P.splits) {
  let at = (split * P.rows + row) * 4u;
  tile[at] = acc${k}[0]; tile[at + 1u] = acc${k}[1]; tile[at + 2u] = acc${k}[2]; tile[at + 3u] = acc${k}[3];
}
workgroupBarrier();
if (li < P.rows * 4u) {
  var sum = vec4f();
  for (var s = 0u; s < P.splits; s++) { sum += tile[s * P.rows * 4u + li]; }
  let tap = (li / 4u) * 3u + ${k}u;
  partial[((((P.chunk0 + wg.x) * P.yGroups + og) * P.xGroups + g) * P.rows * 3u + tap) * 4u + li % 4u] = sum;
}`,
  )
  .join("\n")}`,
};

/**
 * Adds the partial sums of all chunks to the gradient in the parameters' own layout: element (output o, input i, tap t) goes to
 * base + o outputStride + i inputStride + t. Of the `stored` taps of the sums those at tap0 + t step count. One invocation an element.
 */
export const collectWeights: Omit<Kernel, "workgroup"> = {
  label: "sum of weight gradients",
  params: {
    ...{
      inputs: "u32",
      taps: "u32",
      stored: "u32",
      step: "u32",
      tap0: "u32",
      xGroups: "u32",
      yGroups: "u32",
      chunks: "u32",
    },
    ...{ base: "u32", outputStride: "u32", inputStride: "u32" },
  },
  bindings: { partial: { type: "array<f32>" }, gradients: { type: "array<f32>", write: true } },
  body: `let tap = e % P.taps;
let input = (e / P.taps) % P.inputs;
let output = e / (P.taps * P.inputs);
let at = (((output / 4u) * P.xGroups + input / 4u) * P.stored + P.tap0 + tap * P.step) * 16u + (input % 4u) * 4u + output % 4u;
let stride = P.yGroups * P.xGroups * P.stored * 16u;
var sum = 0.0;
for (var c = 0u; c < P.chunks; c++) { sum += partial[c * stride + at]; }
gradients[P.base + output * P.outputStride + input * P.inputStride + tap] = sum;`,
};
