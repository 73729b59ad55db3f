import type { Vec3 } from "../../volume/volume.ts";
import { activation, type Kernel } from "./kernel.ts";
import { type Form, formed, sourceBindings, sourceParams } from "./source.ts";
import { haloSize, type Tile, tileSize } from "./tiles.ts";

/**
 * A convolution's gradient by the weights of one source. A workgroup has one group of output (`wg.z`) and of input channels (`wg.y`) and every
 * `P.chunks`-th tile of voxels. An invocation has one (kD, kH) of the kernel and some rows of the tile: along a row it keeps the
 * last kW inputs, so that an input and a gradient loaded serve kW products of 4 x 4 channels. Partial sums: vec4 of output channels at
 * (((chunk Gout + output group) Gin + input group) taps + tap) 4 + input channel.
 */
export function convWeightsKernel(form: Form, kernel: Vec3, tile: Tile): Kernel {
  const [kd, kh, kw] = kernel;
  const [rd, rh, rw] = kernel.map((k) => (k - 1) / 2);
  const rows = kd * kh;
  const splits = Math.floor(64 / rows);
  const [tw, th, td] = tileSize(tile);
  const [sx, sy, sz] = haloSize(tile, kernel);
  const columns = Array.from({ length: kw }, (_, k) => k);
  const affine =
    form === "raw"
      ? ""
      : "let a = xAffine[2u * (n * P.xGroups + g)]; let b = xAffine[2u * (n * P.xGroups + g) + 1u];";
  const size = Math.max(sx * sy * sz, rows * splits * 4);
  return {
    label: `convolution ${kernel.join("x")}, gradient of weights`,
    workgroup: [64, 1, 1],
    params: {
      W: "u32",
      H: "u32",
      D: "u32",
      xGroups: "u32",
      yGroups: "u32",
      n0: "u32",
      d0: "u32",
      d1: "u32",
      tilesW: "u32",
      tilesH: "u32",
      tilesD: "u32",
      tiles: "u32",
      chunks: "u32",
      chunk0: "u32",
      dyAt: "u32",
      ...sourceParams("x"),
    },
    bindings: {
      ...sourceBindings("x", form),
      dy: { type: "array<vec4f>" },
      partial: { type: "array<vec4f>", write: true },
    },
    declarations: `${activation}
var<workgroup> tile: array<vec4f, ${size}>;
var<workgroup> slopes: array<vec4f, ${tw * th * td}>;`,
    body: `let og = wg.z;
let g = wg.y;
let row = li % ${rows}u;
let split = li / ${rows}u;
${columns.map((k) => `var acc${k} = mat4x4f();`).join(" ")}
for (var t = wg.x; t < P.tiles; t += P.chunks) {
  let w0 = i32((t % P.tilesW) * ${tw}u);
  let h0 = i32(((t / P.tilesW) % P.tilesH) * ${th}u);
  let slab = t / (P.tilesW * P.tilesH);
  let d0 = i32(P.d0 + (slab % P.tilesD) * ${td}u);
  let n = P.n0 + slab / P.tilesD;
  ${affine}
  workgroupBarrier();
  for (var i = li; i < ${sx * sy * sz}u; i += 64u) {
    let w = w0 + i32(i % ${sx}u) - ${rw};
    let h = h0 + i32((i / ${sx}u) % ${sy}u) - ${rh};
    let d = d0 + i32(i / ${sx * sy}u) - ${rd};
    var v = vec4f();
    if (w >= 0 && h >= 0 && d >= 0 && w < i32(P.W) && h < i32(P.H) && d < i32(P.D)) {
      let at = (((n * P.D + u32(d)) * P.xGroups + g) * P.H + u32(h)) * P.W + u32(w);
      v = ${formed(form, "x[at - P.xAt]", { a: "a", b: "b", slope: "P.xSlope" })};
    }
    tile[i] = v;
  }
  for (var i = li; i < ${tw * th * td}u; i += 64u) {
    let w = u32(w0) + i % ${tw}u;
    let h = u32(h0) + (i / ${tw}u) % ${th}u;
    let d = u32(d0) + i / ${tw * th}u;
    var v = vec4f();
    if (w < P.W && h < P.H && d < P.d1) {
      v = dy[(((n * P.D + d) * P.yGroups + og) * P.H + h) * P.W + w - P.dyAt];
    }
    slopes[i] = v;
  }
  workgroupBarrier();
  if (split < ${splits}u) {
    for (var line = split; line < ${th * td}u; line += ${splits}u) {
      let at = ((line / ${th}u + row / ${kh}u) * ${sy}u + line % ${th}u + row % ${kh}u) * ${sx}u;
      ${columns
        .slice(0, -1)
        .map((k) => `var x${k} = tile[at + ${k}u];`)
        .join(" ")}
      for (var i = 0u; i < ${tw}u; i++) {
        let x${kw - 1} = tile[at + i + ${kw - 1}u];
        let s = slopes[line * ${tw}u + i];
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
if (split < ${splits}u) { for (var c = 0u; c < 4u; c++) { tile[(split * ${rows}u + row) * 4u + c] = acc${k}[c]; } }
workgroupBarrier();
if (li < ${rows * 4}u) {
  var sum = vec4f();
  for (var s = 0u; s < ${splits}u; s++) { sum += tile[s * ${rows * 4}u + li]; }
  let tap = (li / 4u) * ${kw}u + ${k}u;
  partial[((((P.chunk0 + wg.x) * P.yGroups + og) * P.xGroups + g) * ${rows * kw}u + tap) * 4u + li % 4u] = sum;
}`,
  )
  .join("\n")}`,
  };
}

/**
 * Adds the partial sums of all chunks to the gradient in the parameters' own layout: element (output o, input i, tap t) goes to
 * base + o outputStride + i inputStride + t. One invocation an element.
 */
export const collectWeights: Omit<Kernel, "workgroup"> = {
  label: "sum of weight gradients",
  params: {
    inputs: "u32",
    taps: "u32",
    xGroups: "u32",
    yGroups: "u32",
    chunks: "u32",
    base: "u32",
    outputStride: "u32",
    inputStride: "u32",
  },
  bindings: { partial: { type: "array<f32>" }, gradients: { type: "array<f32>", write: true } },
  body: `let tap = e % P.taps;
let input = (e / P.taps) % P.inputs;
let output = e / (P.taps * P.inputs);
let at = (((output / 4u) * P.xGroups + input / 4u) * P.taps + tap) * 16u + (input % 4u) * 4u + output % 4u;
let stride = P.yGroups * P.xGroups * P.taps * 16u;
var sum = 0.0;
for (var c = 0u; c < P.chunks; c++) { sum += partial[c * stride + at]; }
gradients[P.base + output * P.outputStride + input * P.inputStride + tap] = sum;`,
};
