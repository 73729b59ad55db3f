import type { UnitTail } from "../graph.ts";
import type { Field, Operand } from "./field.ts";
import type { Binding, Params } from "./kernel.ts";
import type { Slot } from "./memory.ts";
import type { Range } from "./program.ts";

/**
 * A tensor of the graph as it lies in memory: not its values but a convolution's output u before norm and activation. Whoever reads it
 * makes the value, act(A act(u, inner) + B, outer), with A and B for each item and channel: norm and channel dropout in one, on either side
 * of the activation. It costs a few operations a value and saves a tensor and a pass over memory. A slope of 1 is no activation.
 * One formula for all tensors also keeps the number of pipelines small.
 */
export interface Value {
  field: Field;
  /** A and B: elements 2 (n groups + g) and the next. Null where A is 1 and B is 0. */
  affine: Slot | null;
  /** Slopes below 0. */
  inner: number;
  outer: number;
}

export const rawValue = (field: Field): Value => ({ field, affine: null, inner: 1, outer: 1 });

/** The slopes of a unit: activation before the norm, or behind it. */
export function slopesOf({ order, slope }: Pick<UnitTail, "order" | "slope">): { inner: number; outer: number } {
  return order === "conv-act-norm" ? { inner: slope, outer: 1 } : { inner: 1, outer: slope };
}

/** Leaky ReLU, with the slope at exactly 0 too; and the value of a tensor. */
export const formula = `
fn act(v: vec4f, slope: f32) -> vec4f { return select(slope * v, v, v > vec4f()); }
fn slopeAt(v: vec4f, slope: f32) -> vec4f { return select(vec4f(slope), vec4f(1.0), v > vec4f()); }
fn valueOf(u: vec4f, a: vec4f, b: vec4f, inner: f32, outer: f32) -> vec4f { return act(a * act(u, inner) + b, outer); }
`;

/** Bindings of a value: the stored tensor, and A and B as `nameAffine`. */
export function sourceBindings(name: string): Record<string, Binding> {
  return { [name]: { type: "array<vec4f>" }, [`${name}Affine`]: { type: "array<vec4f>" } };
}

export function sourceParams(name: string): Params {
  return { [`${name}At`]: "u32", [`${name}Inner`]: "f32", [`${name}Outer`]: "f32" };
}

/** WGSL of A and B of item `n` and group `g` of `groups`, as `nameA` and `nameB`. */
export function affineCode(name: string, groups: string, g = "g"): string {
  const at = `2u * (n * ${groups} + ${g})`;
  return `let ${name}A = ${name}Affine[${at}]; let ${name}B = ${name}Affine[${at} + 1u];`;
}

/** WGSL of the value at an index of the field. */
export function valueCode(name: string, index: string): string {
  return `valueOf(${name}[${index} - P.${name}At], ${name}A, ${name}B, P.${name}Inner, P.${name}Outer)`;
}

/** What a dispatch that reads a value is given: to split by, to set, to bind. */
export function sourceGiven(
  name: string,
  { field, affine, inner, outer }: Value,
  identity: (pairs: number) => Slot,
  { factor = 1, halo = 0 } = {},
): { operand: Record<string, Operand>; params: Record<string, number>; buffers: Record<string, Range> } {
  return {
    operand: { [name]: { field, factor, halo } },
    params: { [`${name}Inner`]: inner, [`${name}Outer`]: outer },
    buffers: { [`${name}Affine`]: { slot: affine ?? identity(field.batch * field.rows) } },
  };
}
