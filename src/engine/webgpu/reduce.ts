import type { Binding, Kernel, Params } from "./kernel.ts";

/** Elements of one item and group that a workgroup adds up: fixed, so that sums are made in the same order on every device. */
export const CHUNK = 2048;

/** Partial sums of `planes` planes of `plane` elements. */
export const chunksOf = (elements: number): number => Math.ceil(elements / CHUNK);

/** Adds up `sums` vec4s of 64 invocations, t0, t1, ...: red[k][0] holds the result. */
export function treeSum(sums: number): string {
  const all = Array.from({ length: sums }, (_, k) => k);
  return `${all.map((k) => `red${k}[li] = t${k};`).join(" ")}
workgroupBarrier();
for (var s = 32u; s > 0u; s = s / 2u) {
  if (li < s) { ${all.map((k) => `red${k}[li] += red${k}[li + s];`).join(" ")} }
  workgroupBarrier();
}`;
}

export const treeMemory = (sums: number): string =>
  Array.from({ length: sums }, (_, k) => `var<workgroup> red${k}: array<vec4f, 64>;`).join("\n");

/** What the walk over a field's item and group needs: sizes, the part's first item and planes, and which chunks it makes. */
export const walkParams: Params = {
  D: "u32",
  HW: "u32",
  G: "u32",
  n0: "u32",
  d0: "u32",
  planes: "u32",
  chunk0: "u32",
  chunks: "u32",
};

/**
 * WGSL around a loop over this workgroup's elements of item `n` and group `g`: in `body` `i` is an element's index in the field and `v` its
 * voxel's index in a field of one row.
 */
export function walk(body: string): string {
  return `for (var c = first + li; c < last; c += 64u) {
let p = n * P.D + P.d0 + c / P.HW;
let r = c % P.HW;
let i = (p * P.G + g) * P.HW + r;
let v = p * P.HW + r;
${body}
}`;
}

export const walkStart = `let g = wg.y;
let n = P.n0 + wg.z;
let first = wg.x * ${CHUNK}u;
let last = min(first + ${CHUNK}u, P.planes * P.HW);
let row = (n * P.G + g) * P.chunks + P.chunk0 + wg.x;`;

export interface ReduceKernel {
  label: string;
  params: Params;
  bindings: Record<string, Binding>;
  declarations?: string;
  /** Before the loop; sees `n` and `g`. */
  setup?: string;
  /** In the loop; adds to t0, t1, ... (vec4f). */
  value: string;
  sums: number;
}

/** Sums over space of each item and group, chunk by chunk: partial[row sums + k], row = (n G + g) chunks + chunk. */
export function reduceKernel({ label, params, bindings, declarations, setup = "", value, sums }: ReduceKernel): Kernel {
  const all = Array.from({ length: sums }, (_, k) => k);
  return {
    label,
    workgroup: [64, 1, 1],
    params: { ...walkParams, ...params },
    bindings: { ...bindings, partial: { type: "array<vec4f>", write: true } },
    declarations: `${declarations ?? ""}\n${treeMemory(sums)}`,
    body: `${walkStart}
${setup}
${all.map((k) => `var t${k} = vec4f();`).join(" ")}
${walk(value)}
${treeSum(sums)}
if (li < ${sums}u) {
  ${all.map((k) => `if (li == ${k}u) { partial[row * ${sums}u + ${k}u] = red${k}[0]; }`).join("\n  ")}
}`,
  };
}

/** Adds the chunks of each row: total[row sums + k]. One workgroup a row. */
export function chunkSumKernel(sums: number): Kernel {
  const all = Array.from({ length: sums }, (_, k) => k);
  return {
    label: "sum of chunks",
    workgroup: [64, 1, 1],
    params: { chunks: "u32" },
    bindings: { partial: { type: "array<vec4f>" }, total: { type: "array<vec4f>", write: true } },
    declarations: treeMemory(sums),
    body: `${all.map((k) => `var t${k} = vec4f();`).join(" ")}
for (var c = li; c < P.chunks; c += 64u) {
  ${all.map((k) => `t${k} += partial[(wg.x * P.chunks + c) * ${sums}u + ${k}u];`).join("\n  ")}
}
${treeSum(sums)}
if (li == 0u) { ${all.map((k) => `total[wg.x * ${sums}u + ${k}u] = red${k}[0];`).join(" ")} }`,
  };
}
