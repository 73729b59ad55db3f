import type { UnitTail } from "../graph.ts";
import type { Field } from "./field.ts";
import type { Binding, Params } from "./kernel.ts";
import type { Slot } from "./memory.ts";
import type { Range } from "./program.ts";

/**
 * How a tensor's values follow from what is stored. "raw": they are stored. Else a convolution's output u is stored, and whoever reads it makes
 * y = A act(u) + B ("conv-act-norm") or act(A u + B) ("conv-norm-act"), with A and B for each item and channel: norm and
 * channel dropout in one. It costs two operations a value and saves a tensor and a pass over memory.
 */
export type Form = "raw" | UnitTail["order"];

/** A tensor of the graph as it lies in memory. */
export interface Value {
  field: Field;
  form: Form;
  slope: number;
  /** A and B: element 2 (n groups + g) and the next. None where the form is raw. */
  affine: Slot | null;
}

/** WGSL of a value from what is stored. */
export function formed(form: Form, v: string, { a, b, slope }: { a: string; b: string; slope: string }): string {
  if (form === "raw") return v;
  return form === "conv-act-norm" ? `(${a} * act(${v}, ${slope}) + ${b})` : `act(${a} * ${v} + ${b}, ${slope})`;
}

/** Bindings of a value `name`: the stored tensor, and A and B as `nameAffine` where its form has them. */
export function sourceBindings(name: string, form: Form): Record<string, Binding> {
  const stored = { [name]: { type: "array<vec4f>" } };
  return form === "raw" ? stored : { ...stored, [`${name}Affine`]: { type: "array<vec4f>" } };
}

export function sourceParams(name: string): Params {
  return { [`${name}At`]: "u32", [`${name}Slope`]: "f32" };
}

/**
 * WGSL that declares `nameA` and `nameB` for item `n` and group `g` of `groups`; and the value of the element at an index.
 */
export function sourceCode(name: string, form: Form): { affine(groups: string): string; at(index: string): string } {
  const names = { a: `${name}A`, b: `${name}B`, slope: `P.${name}Slope` };
  return {
    affine: (groups) =>
      form === "raw"
        ? ""
        : `let ${name}A = ${name}Affine[2u * (n * ${groups} + g)]; let ${name}B = ${name}Affine[2u * (n * ${groups} + g) + 1u];`,
    at: (index) => formed(form, `${name}[${index} - P.${name}At]`, names),
  };
}

/** What a dispatch binds for A and B of a value. */
export function affineRange(name: string, { affine }: Value): Record<string, Range> {
  return affine ? { [`${name}Affine`]: { slot: affine } } : {};
}
