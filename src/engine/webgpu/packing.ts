import { fail } from "../../util/errors.ts";
import { type Vec3, voxelCount } from "../../volume/volume.ts";
import { type ConvNode, type Graph, inputChannelsOf, type UpconvNode } from "../graph.ts";
import { blockOf, paddedKernel } from "./conv.ts";
import { groupsOf } from "./field.ts";
import type { Slot } from "./memory.ts";
import type { Placement } from "./parameters.ts";
import type { ProgramBuilder, Range } from "./program.ts";

/** In place of a parameter's index: the constants 0 and 1. */
export const ZERO = 0xffffffff;
export const ONE = 0xfffffffe;
/** Floats: sections can be bound on their own. */
const ALIGNMENT = 64;

/** Part of the packed parameters that a kernel binds. */
export interface Section {
  offset: number;
  floats: number;
  /** Index of the parameter behind each packed float, or a constant. */
  source(i: number): number;
}

/** The parameters as the kernels read them: a gather from {@link Placement}, so that it is one kernel, or one loop on the host. */
export interface Packing {
  sections: Section[];
  add(floats: number, source: Section["source"]): Section;
  /** Where all sections lie. */
  slot: Slot;
}

export function createPacking(builder: ProgramBuilder): Packing {
  const sections: Section[] = [];
  const slot = builder.memory.keep("packed parameters", 0);
  return {
    sections,
    slot,
    add(floats, source) {
      const section = { offset: slot.bytes / 4, floats, source };
      // A slot starts at 16 bytes, none of them used yet.
      if (sections.length === 0) section.offset = 0;
      sections.push(section);
      slot.bytes = Math.ceil((section.offset + floats) / ALIGNMENT) * ALIGNMENT * 4;
      if (floats * 4 > builder.bindingLimit) {
        fail(
          `The weights of one convolution take ${Math.ceil((floats * 4) / 2 ** 20)} MiB, more than the graphics device binds at once: use a narrower net, or the wasm engine.`,
        );
      }
      return section;
    },
  };
}

export function sectionRange({ slot }: Packing, { offset, floats }: Section): Range {
  return { slot, offset: offset * 4, size: floats * 4 };
}

/** Index of each packed float's parameter. */
export function packingTable({ sections, slot }: Packing): Uint32Array<ArrayBuffer> {
  const table = new Uint32Array(slot.bytes / 4).fill(ZERO);
  for (const { offset, floats, source } of sections) {
    for (let i = 0; i < floats; i++) table[offset + i] = source(i);
  }
  return table;
}

/** The packed parameters, by the table. */
export function packWith(table: Uint32Array, values: Float32Array): Float32Array<ArrayBuffer> {
  return Float32Array.from(table, (from) => (from === ZERO ? 0 : from === ONE ? 1 : values[from]));
}

/** Channel of element `lane` of group `group` of a concatenation of tensors, each padded to groups; -1 where it is padding. */
function concatenated(channels: number[], group: number, lane: number): number {
  let before = 0;
  let at = group;
  for (const count of channels) {
    if (at < groupsOf(count)) return 4 * at + lane < count ? before + 4 * at + lane : -1;
    before += count;
    at -= groupsOf(count);
  }
  return -1;
}

/** A kernel's own tap behind one of its padded form; -1 where it is padding. */
function ownTap([, kh, kw]: Vec3, tap: number): number {
  if (kh === 3) return tap;
  const [k, row, plane] = digits(tap, [kw, 3]);
  return row === 1 ? plane * kw + k : -1;
}

/** Weights of a convolution, for convKernel. */
export function packConv(graph: Graph, placement: Placement, packing: Packing, node: ConvNode): Section {
  const channels = node.inputs.map((id) => graph.tensors[id].channels);
  const cin = inputChannelsOf(graph, node);
  const cout = graph.tensors[node.output].channels;
  const taps = voxelCount(paddedKernel(node.kernel));
  const inputs = channels.reduce((sum, count) => sum + groupsOf(count), 0);
  const outputs = groupsOf(cout);
  const block = blockOf(outputs);
  const { offset } = placement.byName.get(`${node.name}.weight`)!;
  return packing.add(outputs * inputs * taps * 16, (i) => {
    const [o, tap, group, part] = digits(i >> 4, [block, taps, inputs]);
    const output = 4 * (part * block + o) + (i & 3);
    const input = concatenated(channels, group, (i >> 2) & 3);
    const own = ownTap(node.kernel, tap);
    return input < 0 || output >= cout || own < 0
      ? ZERO
      : offset + (output * cin + input) * voxelCount(node.kernel) + own;
  });
}

/** The same weights turned, for the gradient by source number `source`: outputs are inputs, and taps run backwards. */
export function packConvTurned(
  graph: Graph,
  placement: Placement,
  packing: Packing,
  node: ConvNode,
  source: number,
): Section {
  const channels = node.inputs.map((id) => graph.tensors[id].channels);
  const cin = inputChannelsOf(graph, node);
  const cout = graph.tensors[node.output].channels;
  const taps = voxelCount(paddedKernel(node.kernel));
  const before = channels.slice(0, source).reduce((sum, count) => sum + count, 0);
  const outputs = groupsOf(channels[source]);
  const block = blockOf(outputs);
  const { offset } = placement.byName.get(`${node.name}.weight`)!;
  return packing.add(outputs * groupsOf(cout) * taps * 16, (i) => {
    const [o, tap, group, part] = digits(i >> 4, [block, taps, groupsOf(cout)]);
    const input = 4 * (part * block + o) + (i & 3);
    const output = 4 * group + ((i >> 2) & 3);
    const own = ownTap(node.kernel, taps - 1 - tap);
    if (input >= channels[source] || output >= cout || own < 0) return ZERO;
    return offset + (output * cin + before + input) * voxelCount(node.kernel) + own;
  });
}

/**
 * Weights of a transposed convolution: mat4x4 at (output group G + input group) taps + tap, columns input channels; turned, for the
 * gradient by the input: at (input group G + output group) taps + tap, columns output channels.
 */
export function packUpconv(
  graph: Graph,
  placement: Placement,
  packing: Packing,
  node: UpconvNode,
  turned: boolean,
): Section {
  const cin = graph.tensors[node.inputs[0]].channels;
  const cout = graph.tensors[node.output].channels;
  const taps = voxelCount(node.factor);
  const { offset } = placement.byName.get(`${node.name}.weight`)!;
  return packing.add(groupsOf(cin) * groupsOf(cout) * taps * 16, (i) => {
    const [tap, from, to] = digits(i >> 4, [taps, groupsOf(turned ? cout : cin)]);
    const [column, row] = [4 * from + ((i >> 2) & 3), 4 * to + (i & 3)];
    const [input, output] = turned ? [row, column] : [column, row];
    return input >= cin || output >= cout ? ZERO : offset + (input * cout + output) * taps + tap;
  });
}

/**
 * Vectors of a number a channel, one vec4 of each for each group in turn. A name is that of a parameter; or a constant, which padding
 * channels have too.
 */
export function packVectors(
  placement: Placement,
  packing: Packing,
  names: (string | typeof ZERO | typeof ONE)[],
  channels: number,
): Section {
  return packing.add(4 * groupsOf(channels) * names.length, (i) => {
    const [lane, k, group] = digits(i, [4, names.length]);
    const channel = 4 * group + lane;
    const name = names[k];
    if (typeof name === "number") return name;
    return channel < channels ? placement.byName.get(name)!.offset + channel : ZERO;
  });
}

/** A number's digits to mixed bases, the lowest first; the rest comes last. */
function digits(value: number, bases: number[]): number[] {
  let rest = value;
  const out = bases.map((base) => {
    const digit = rest % base;
    rest = (rest - digit) / base;
    return digit;
  });
  return [...out, rest];
}
