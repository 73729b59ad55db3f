import type { Vec3 } from "../../volume/volume.ts";
import type { Field } from "./field.ts";
import type { Kernel } from "./kernel.ts";
import { affineCode, formula, sourceBindings, sourceParams, valueCode } from "./source.ts";

/** From numbers, a row a channel, to groups of 4 channels padded with zeros. */
export const importKernel: Omit<Kernel, "workgroup"> = {
  label: "input",
  params: { first: "u32", rows: "u32", groups: "u32", HW: "u32", xAt: "u32", yAt: "u32" },
  bindings: { x: { type: "array<f32>" }, y: { type: "array<vec4f>", write: true } },
  body: `let at = P.first + e;
let r = at % P.HW;
let g = (at / P.HW) % P.groups;
let p = at / (P.HW * P.groups);
var v = vec4f();
for (var k = 0u; k < 4u && 4u * g + k < P.rows; k++) { v[k] = x[(p * P.rows + 4u * g + k) * P.HW + r - P.xAt]; }
y[at - P.yAt] = v;`,
};

/** The way back: one invocation a number. `D` planes an item. */
export const exportKernel: Omit<Kernel, "workgroup"> = {
  label: "output",
  params: { first: "u32", rows: "u32", groups: "u32", HW: "u32", D: "u32", yAt: "u32", ...sourceParams("x") },
  bindings: { ...sourceBindings("x"), y: { type: "array<f32>", write: true } },
  declarations: formula,
  body: `let at = P.first + e;
let r = at % P.HW;
let c = (at / P.HW) % P.rows;
let p = at / (P.HW * P.rows);
let g = c / 4u;
let n = p / P.D;
${affineCode("x", "P.groups")}
let i = (p * P.groups + g) * P.HW + r;
let v = ${valueCode("x", "i")};
y[at - P.yAt] = v[c % 4u];`,
};

/**
 * [N, C, D, H, W] to the order of a field of numbers, [N, D, C, H, W], or with `back` the other way. With one channel or one plane
 * both are the same, and nothing is copied.
 */
export function swapPlanes(
  values: Float32Array<ArrayBuffer>,
  { batch, channels, shape }: { batch: number; channels: number; shape: Vec3 },
  back = false,
): Float32Array<ArrayBuffer> {
  const [D, H, W] = shape;
  if (channels === 1 || D === 1) return values;
  const out = new Float32Array(values.length);
  const plane = H * W;
  for (let n = 0; n < batch; n++) {
    for (let c = 0; c < channels; c++) {
      for (let d = 0; d < D; d++) {
        const natural = ((n * channels + c) * D + d) * plane;
        const field = ((n * D + d) * channels + c) * plane;
        const [from, to] = back ? [field, natural] : [natural, field];
        out.set(values.subarray(from, from + plane), to);
      }
    }
  }
  return out;
}

/** A field of numbers from outside, whose rows are channels. */
export function numbers(slot: Field["slot"], batch: number, channels: number, shape: Vec3): Field {
  return { slot, batch, channels, rows: channels, shape, elementBytes: 4 };
}
