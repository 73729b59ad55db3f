import type { Vec3 } from "../../volume/volume.ts";
import type { Kernel } from "./kernel.ts";
import { formula, sourceBindings, sourceParams } from "./source.ts";
import { haloElements, type Tile } from "./tiles.ts";

/** Groups of output channels a workgroup makes: 2, as far as that divides them. */
export function blockOf(groups: number): number {
  return groups % 2 === 0 ? 2 : 1;
}

/** The kernel that convKernel computes for a node's. */
export const paddedKernel = ([kd, , kw]: Vec3): Vec3 => [kd, 3, kw];

/** WGSL that loads a tile with its halo: zero outside the volume (the padding is of the values, after norm and activation). */
export function stageCode(load: (index: string) => string, groups: string, group: string): string {
  return `for (var i = li; i < P.sx * P.sy * P.sz; i += 64u) {
  let w = w0 + i32(i % P.sx) - i32(P.rw);
  let h = h0 + i32((i / P.sx) % P.sy) - i32(P.rh);
  let d = d0 + i32(i / (P.sx * P.sy)) - i32(P.rd);
  var v = vec4f();
  if (w >= 0 && h >= 0 && d >= 0 && w < i32(P.W) && h < i32(P.H) && d < i32(P.D)) {
    let at = (((n * P.D + u32(d)) * ${groups} + ${group}) * P.H + u32(h)) * P.W + u32(w);
    ${load("at")}
  }
  tile[i] = v;
}`;
}

/**
 * Convolution of one source, or of two as their concatenation; and its gradient by the input, with the weights turned. A workgroup takes a
 * tile of voxels and `block` groups of output channels; group by group of the input it loads tile and weights to workgroup memory. An
 * invocation has a few voxels along H: a column of them and the rows around is loaded once for all 3 taps along H. Taps along D and W
 * are counted when it runs, so that compilers keep the loops and one pipeline serves all nets; a kernel of 1 along H has zeros around it,
 * which costs little, as it is that of heads.
 * Weights: mat4x4 (columns are input channels) at ((part G + g) taps + tap) `block` + o. `vectors`: bias, A, B of each output group: what is
 * stored is act(A act(u, inner) + B, outer).
 */
export function convKernel({ threads, voxels }: Tile, block: number): Kernel {
  const kh = 3;
  const range = (count: number): number[] => Array.from({ length: count }, (_, i) => i);
  const pairs = range(voxels).flatMap((p) => range(block).map((o) => `acc${p}_${o}`));
  const products = range(kh).flatMap((k) =>
    range(block).map((o) => {
      const lines = range(voxels).map((p) => `acc${p}_${o} += m * x${p + k};`);
      return `{ let m = weights[tap + ${k * block}u * P.kw + ${o}u]; ${lines.join(" ")} }`;
    }),
  );
  const store = (o: number): string => `{
  let og = part * ${block}u + ${o}u;
  if (og < P.groups) {
    let bias = vectors[3u * og];
    let a = vectors[3u * og + 1u];
    let b = vectors[3u * og + 2u];
    var h = u32(h0) + lid.y * ${voxels}u;
    var at = (((n * P.D + d) * P.groups + og) * P.H + h) * P.W + w - P.yAt;
    ${range(voxels)
      .map((p) => `if (h < P.H) { keep(at, valueOf(acc${p}_${o} + bias, a, b, P.inner, P.outer)); } h++; at += P.W;`)
      .join("\n    ")}
  }
}`;
  return {
    label: "convolution",
    workgroup: threads,
    params: {
      ...{ W: "u32", H: "u32", D: "u32", groups: "u32", xGroups: "u32", x2Groups: "u32" },
      ...{ kd: "u32", kw: "u32", rd: "u32", rh: "u32", rw: "u32", sx: "u32", sy: "u32", sz: "u32" },
      ...{ n0: "u32", items: "u32", d0: "u32", d1: "u32", tilesD: "u32" },
      ...{ inner: "f32", outer: "f32", add: "u32", yAt: "u32" },
      ...sourceParams("x"),
      ...sourceParams("x2"),
    },
    bindings: {
      ...sourceBindings("x"),
      ...sourceBindings("x2"),
      packed: { type: "array<mat4x4f>" },
      vectors: { type: "array<vec4f>" },
      y: { type: "array<vec4f>", write: true },
    },
    declarations: `${formula}
var<workgroup> tile: array<vec4f, ${haloElements({ threads, voxels })}>;
var<workgroup> weights: array<mat4x4f, ${9 * kh * block}>;
fn keep(at: u32, value: vec4f) {
  if (P.add == 0u) { y[at] = value; } else { y[at] += value; }
}`,
    body: `let z = wg.z / P.tilesD;
let d0 = i32(P.d0 + (wg.z % P.tilesD) * ${threads[2]}u);
let n = P.n0 + z % P.items;
let part = z / P.items;
let w0 = i32(wg.x * ${threads[0]}u);
let h0 = i32(wg.y * ${threads[1] * voxels}u);
let inputs = P.xGroups + P.x2Groups;
let size = P.kd * P.kw * ${kh * block}u;
${pairs.map((name) => `var ${name} = vec4f();`).join(" ")}
for (var g = 0u; g < inputs; g++) {
  workgroupBarrier();
  if (g < P.xGroups) {
    let a = xAffine[2u * (n * P.xGroups + g)];
    let b = xAffine[2u * (n * P.xGroups + g) + 1u];
    ${stageCode((at) => `v = valueOf(x[${at} - P.xAt], a, b, P.xInner, P.xOuter);`, "P.xGroups", "g")}
  } else {
    let own = g - P.xGroups;
    let a = x2Affine[2u * (n * P.x2Groups + own)];
    let b = x2Affine[2u * (n * P.x2Groups + own) + 1u];
    ${stageCode((at) => `v = valueOf(x2[${at} - P.x2At], a, b, P.x2Inner, P.x2Outer);`, "P.x2Groups", "own")}
  }
  for (var i = li; i < size; i += 64u) { weights[i] = packed[(part * inputs + g) * size + i]; }
  workgroupBarrier();
  for (var i = 0u; i < P.kd; i++) {
    for (var k = 0u; k < P.kw; k++) {
      var at = ((lid.z + i) * P.sy + lid.y * ${voxels}u) * P.sx + lid.x + k;
      let tap = (i * ${kh}u * P.kw + k) * ${block}u;
      ${range(voxels + kh - 1)
        .map((r) => `let x${r} = tile[at]; at += P.sx;`)
        .join("\n      ")}
      ${products.join("\n      ")}
    }
  }
}
let w = u32(w0) + lid.x;
let d = u32(d0) + lid.z;
if (w >= P.W || d >= P.d1) { return; }
${range(block).map(store).join("\n")}`,
  };
}
