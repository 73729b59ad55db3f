import type { Vec3 } from "../../volume/volume.ts";
import { activation, type Kernel } from "./kernel.ts";
import { type Form, formed, sourceBindings, sourceParams } from "./source.ts";
import { haloSize, type Tile } from "./tiles.ts";

export interface ConvKernel {
  /** [kD, kH, kW]. */
  kernel: Vec3;
  /** Forms of one source or two, which stand for their concatenation. */
  sources: Form[];
  /** What is stored: the convolution's output with its bias ("raw"), or with activation and a norm of fixed A and B. */
  store: Form;
  /** Without a bias: a gradient by the input. */
  bias: boolean;
  /** Added to what the output holds. */
  add: boolean;
  /** The input is one channel: 3 of 4 products are left out. */
  single: boolean;
  tile: Tile;
  /** Groups of 4 output channels that a workgroup makes. */
  block: number;
}

/** Groups of output channels a workgroup makes: 2, as far as that divides them. */
export function blockOf(groups: number): number {
  return groups % 2 === 0 ? 2 : 1;
}

/** Staging of one source's group: its tile with halo, zero outside the volume (the padding is of the values, after norm and activation). */
function stage(name: string, form: Form, groups: string, group: string, halo: Vec3, kernel: Vec3): string {
  const [sx, sy, sz] = halo;
  const [rd, rh, rw] = kernel.map((k) => (k - 1) / 2);
  const affine =
    form === "raw"
      ? ""
      : `let a = ${name}Affine[2u * (n * ${groups} + ${group})]; let b = ${name}Affine[2u * (n * ${groups} + ${group}) + 1u];`;
  return `${affine}
for (var i = li; i < ${sx * sy * sz}u; i += 64u) {
  let w = w0 + i32(i % ${sx}u) - ${rw};
  let h = h0 + i32((i / ${sx}u) % ${sy}u) - ${rh};
  let d = d0 + i32(i / ${sx * sy}u) - ${rd};
  var v = vec4f();
  if (w >= 0 && h >= 0 && d >= 0 && w < i32(P.W) && h < i32(P.H) && d < i32(P.D)) {
    let at = (((n * P.D + u32(d)) * ${groups} + ${group}) * P.H + u32(h)) * P.W + u32(w);
    v = ${formed(form, `${name}[at - P.${name}At]`, { a: "a", b: "b", slope: `P.${name}Slope` })};
  }
  tile[i] = v;
}`;
}

/**
 * Convolution, and its gradient by the input with the weights turned. A workgroup takes a tile of voxels and `block` groups of output
 * channels; group by group of the input it loads tile and weights to workgroup memory. An invocation has a few voxels along H: the rows of a column of
 * them are loaded once for all taps along H. Weights: mat4x4 (columns are input channels) at ((block G + g) taps + tap) `block` + o.
 */
export function convKernel({ kernel, sources, store, bias, add, single, tile, block }: ConvKernel): Kernel {
  const [kd, kh, kw] = kernel;
  const taps = kd * kh * kw;
  const halo = haloSize(tile, kernel);
  const [sx, sy, sz] = halo;
  const { threads, voxels } = tile;
  const range = (count: number): number[] => Array.from({ length: count }, (_, i) => i);
  const each = (text: (p: number, o: number) => string): string =>
    range(voxels)
      .flatMap((p) => range(block).map((o) => text(p, o)))
      .join("\n");
  const staged =
    sources.length === 1
      ? stage("x", sources[0], "P.xGroups", "g", halo, kernel)
      : `if (g < P.xGroups) {
${stage("x", sources[0], "P.xGroups", "g", halo, kernel)}
} else {
let second = g - P.xGroups;
${stage("x2", sources[1], "P.x2Groups", "second", halo, kernel)}
}`;
  const products = range(kh)
    .flatMap((k) =>
      range(block).map((o) => {
        const lines = range(voxels).map((p) => `acc${p}_${o} += ${single ? `m[0] * x${p + k}.x` : `m * x${p + k}`};`);
        return `{ let m = weights[tap + ${k * kw * block + o}u]; ${lines.join(" ")} }`;
      }),
    )
    .join("\n");
  const fixed =
    store === "raw" ? "" : "let a = vectors[P.groups + og]; let b = vectors[2u * P.groups + og];";
  const body = `
let z = wg.z / P.tilesD;
let d0 = i32(P.d0 + (wg.z % P.tilesD) * ${threads[2]}u);
let n = P.n0 + z % P.items;
let part = z / P.items;
let w0 = i32(wg.x * ${threads[0]}u);
let h0 = i32(wg.y * ${threads[1] * voxels}u);
let inputs = P.xGroups + P.x2Groups;
${each((p, o) => `var acc${p}_${o} = vec4f();`)}
for (var g = 0u; g < inputs; g++) {
  workgroupBarrier();
  ${staged}
  for (var i = li; i < ${taps * block}u; i += 64u) { weights[i] = packed[(part * inputs + g) * ${taps * block}u + i]; }
  workgroupBarrier();
  for (var i = 0u; i < ${kd}u; i++) {
    for (var k = 0u; k < ${kw}u; k++) {
      let at = ((lid.z + i) * ${sy}u + lid.y * ${voxels}u) * ${sx}u + lid.x + k;
      let tap = (i * ${kh * kw}u + k) * ${block}u;
      ${range(voxels + kh - 1)
        .map((r) => `let x${r} = tile[at + ${r * sx}u];`)
        .join("\n")}
      ${products}
    }
  }
}
let w = u32(w0) + lid.x;
let d = u32(d0) + lid.z;
if (w >= P.W || d >= P.d1) { return; }
${range(block)
  .map(
    (o) => `{ let og = part * ${block}u + ${o}u;
if (og < P.groups) {
${bias ? "let bias = vectors[og];" : ""}
${fixed}
${range(voxels)
  .map(
    (p) => `{ let h = u32(h0) + lid.y * ${voxels}u + ${p}u;
if (h < P.H) {
let u = acc${p}_${o}${bias ? " + bias" : ""};
let at = (((n * P.D + d) * P.groups + og) * P.H + h) * P.W + w - P.yAt;
y[at] ${add ? "+=" : "="} ${formed(store, "u", { a: "a", b: "b", slope: "P.slope" })};
} }`,
  )
  .join("\n")}
} }`,
  )
  .join("\n")}`;
  return {
    label: `convolution ${kernel.join("x")}`,
    workgroup: threads,
    params: {
      W: "u32",
      H: "u32",
      D: "u32",
      groups: "u32",
      xGroups: "u32",
      x2Groups: "u32",
      n0: "u32",
      items: "u32",
      d0: "u32",
      d1: "u32",
      tilesD: "u32",
      slope: "f32",
      yAt: "u32",
      ...sourceParams("x"),
      ...(sources.length > 1 ? sourceParams("x2") : {}),
    },
    bindings: {
      ...sourceBindings("x", sources[0]),
      ...(sources.length > 1 ? sourceBindings("x2", sources[1]) : {}),
      packed: { type: "array<mat4x4f>" },
      ...(bias ? { vectors: { type: "array<vec4f>" } } : {}),
      y: { type: "array<vec4f>", write: true },
    },
    declarations: `${activation}
var<workgroup> tile: array<vec4f, ${sx * sy * sz}>;
var<workgroup> weights: array<mat4x4f, ${taps * block}>;`,
    body,
  };
}
