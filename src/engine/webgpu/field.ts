import type { Vec3 } from "../../volume/volume.ts";
import type { Slot } from "./memory.ts";

/**
 * A tensor in a buffer, in depth planes: element index ((n D + d) R + row) H W + h W + w. Of activations an element is a vec4 of 4
 * channels and R the number of groups of 4 (the last one padded with zeros); of batches from outside it is a number and R the channels.
 * Planes lie behind each other, so a slab of planes is one range: what is larger than a binding is worked on slab by slab.
 */
export interface Field {
  slot: Slot;
  batch: number;
  channels: number;
  /** R. */
  rows: number;
  shape: Vec3;
  elementBytes: 1 | 4 | 16;
}

/** Groups of 4 channels. */
export const groupsOf = (channels: number): number => Math.ceil(channels / 4);

/** Elements of one depth plane. */
export const planeOf = ({ rows, shape }: Pick<Field, "rows" | "shape">): number => rows * shape[1] * shape[2];

/** Items [n0, n1) and of each the planes [d0, d1). */
export interface Part {
  n0: number;
  n1: number;
  d0: number;
  d1: number;
}

/** A field as an operand: `factor` of its planes for each plane of the iteration, and `halo` more on both sides. */
export interface Operand {
  field: Field;
  factor?: number;
  halo?: number;
}

/** Ranges of buffers must start at multiples of this many bytes. */
const ALIGNMENT = 256;

/** Bytes of a part's range and its first element. */
export function rangeOf(
  { field, factor = 1, halo = 0 }: Operand,
  part: Part,
): { offset: number; size: number; at: number } {
  const { batch, elementBytes, shape } = field;
  const plane = planeOf(field) * elementBytes;
  const first = part.n0 * shape[0] + Math.max(0, part.d0 * factor - halo);
  const last = (part.n1 - 1) * shape[0] + Math.min(shape[0], part.d1 * factor + halo);
  const offset = Math.floor((first * plane) / ALIGNMENT) * ALIGNMENT;
  const end = last === batch * shape[0] ? Math.ceil((last * plane) / 16) * 16 : Math.ceil((last * plane) / 4) * 4;
  return { offset, size: end - offset, at: offset / elementBytes };
}

/**
 * Cuts an iteration over `depth` planes of `batch` items so that no operand's range is longer than `limit` bytes: not at all, by
 * items, or by slabs of planes. Null where one plane is too much.
 */
export function partsOf(operands: Operand[], batch: number, depth: number, limit: number): Part[] | null {
  const fits = (part: Part): boolean => operands.every((operand) => rangeOf(operand, part).size <= limit);
  const items = (count: number): Part[] =>
    Array.from({ length: Math.ceil(batch / count) }, (_, i) => ({
      n0: i * count,
      n1: Math.min(batch, (i + 1) * count),
      d0: 0,
      d1: depth,
    }));
  for (let count = batch; count >= 1; count--) if (items(count).every(fits)) return items(count);
  const slabs = (planes: number): Part[] =>
    items(1).flatMap(({ n0, n1 }) =>
      Array.from({ length: Math.ceil(depth / planes) }, (_, i) => ({
        n0,
        n1,
        d0: i * planes,
        d1: Math.min(depth, (i + 1) * planes),
      })),
    );
  for (let planes = depth - 1; planes >= 1; planes--) if (slabs(planes).every(fits)) return slabs(planes);
  return null;
}
