import { type Vec3, voxelCount } from "../../volume/volume.ts";
import { blockOf, convKernel, paddedKernel } from "./conv.ts";
import { type Field, groupsOf, type Operand, type Part, partsOf, planeOf } from "./field.ts";
import { type Kernel, linearGroups, linearKernel } from "./kernel.ts";
import type { Slot } from "./memory.ts";
import type { ProgramBuilder, Range } from "./program.ts";
import { chunkSumKernel, chunksOf, type ReduceKernel, reduceKernel } from "./reduce.ts";
import { sourceGiven, type Value } from "./source.ts";
import { chooseTile, haloSize, type Tile, tileCounts } from "./tiles.ts";

/** A field of groups of 4 channels; bytes before the slot is there. */
export const activationBytes = (batch: number, channels: number, shape: Vec3): number =>
  16 * batch * groupsOf(channels) * voxelCount(shape);

export function activationField(slot: Slot, batch: number, channels: number, shape: Vec3): Field {
  return { slot, batch, channels, rows: groupsOf(channels), shape, elementBytes: 16 };
}

/** First element of a part of a field, and how many elements it has. */
export function partSpan(field: Field, { n0, n1, d0, d1 }: Part): { first: number; count: number } {
  const plane = planeOf(field);
  const from = n0 * field.shape[0] + d0;
  const to = (n1 - 1) * field.shape[0] + d1;
  return { first: from * plane, count: (to - from) * plane };
}

/** Runs a kernel with one invocation for each element of a field (and `z` times), part by part. */
export function emitLinear(
  builder: ProgramBuilder,
  kernel: Omit<Kernel, "workgroup">,
  over: Field,
  operands: Record<string, Operand>,
  given: { params?: Record<string, number>; buffers?: Record<string, Range>; z?: number } = {},
): void {
  const linear = linearKernel(kernel);
  builder.split(operands, over.batch, over.shape[0], (part, bound) => {
    const span = partSpan(over, part);
    const [x, y] = linearGroups(span.count);
    const params = { ...span, ...bound.params, ...given.params };
    builder.dispatch(linear, params, { ...bound.buffers, ...given.buffers }, [x, y, given.z ?? 1]);
  });
}

/** As {@link emitLinear}, for a kernel that reads the value `source` as `x`: of each of its planes `factor`. */
export function emitFrom(
  builder: ProgramBuilder,
  kernel: Omit<Kernel, "workgroup">,
  over: Field,
  { source, factor = 1 }: { source: Value; factor?: number },
  operands: Record<string, Operand>,
  given: { params: Record<string, number>; buffers?: Record<string, Range>; z?: number },
): void {
  const x = sourceGiven("x", source, builder.identity, { factor });
  emitLinear(
    builder,
    kernel,
    over,
    { ...x.operand, ...operands },
    {
      params: { ...x.params, ...given.params },
      buffers: { ...x.buffers, ...given.buffers },
      z: given.z,
    },
  );
}

export interface ConvEmission {
  kernel: Vec3;
  /** One, or two as their concatenation. */
  sources: Value[];
  to: Field;
  weights: Range;
  /** Bias, A and B of each group. */
  vectors: Range;
  /** Slopes of what is stored: 1 for the convolution's own output. */
  inner?: number;
  outer?: number;
  add?: boolean;
}

/** Sizes of a kernel's halo around a tile. */
export function haloParams(tile: Tile, kernel: Vec3): Record<string, number> {
  const [rd, rh, rw] = kernel.map((k) => (k - 1) / 2);
  const [sx, sy, sz] = haloSize(tile, kernel);
  return { rd, rh, rw, sx, sy, sz };
}

export function emitConv(builder: ProgramBuilder, emission: ConvEmission): void {
  const { sources, to, weights, vectors, inner = 1, outer = 1, add = false } = emission;
  const kernel = paddedKernel(emission.kernel);
  const block = blockOf(to.rows);
  const tile = chooseTile(to.shape, kernel);
  const code = convKernel(tile, block);
  const [first, second] = sources;
  const halo = (kernel[0] - 1) / 2;
  const x = sourceGiven("x", first, builder.identity, { halo });
  const x2 = sourceGiven("x2", second ?? first, builder.identity, { halo });
  const [D, H, W] = to.shape;
  builder.split({ ...x.operand, ...x2.operand, y: { field: to } }, to.batch, D, (part, bound) => {
    const items = part.n1 - part.n0;
    const [across, down, tilesD] = tileCounts(tile, [part.d1 - part.d0, H, W]);
    const params = {
      ...{ W, H, D, groups: to.rows, xGroups: first.field.rows, x2Groups: second?.field.rows ?? 0 },
      ...{ kd: kernel[0], kw: kernel[2], ...haloParams(tile, kernel) },
      ...{ n0: part.n0, items, d0: part.d0, d1: part.d1, tilesD, inner, outer, add: add ? 1 : 0 },
      ...{ ...x.params, ...x2.params, ...bound.params },
    };
    const buffers = { ...bound.buffers, ...x.buffers, ...x2.buffers, packed: weights, vectors };
    builder.dispatch(code, params, buffers, [across, down, tilesD * items * Math.ceil(to.rows / block)]);
  });
}

/** Chunks that a walk over parts makes of one item. */
function itemChunks(parts: Part[], plane: number): number {
  return parts.filter(({ n0 }) => n0 === 0).reduce((sum, { d0, d1 }) => sum + chunksOf((d1 - d0) * plane), 0);
}

/** Runs a kernel that walks over `over`; returns the chunks of each item and group. */
export function emitWalk(
  builder: ProgramBuilder,
  kernel: Kernel,
  over: Field,
  operands: Record<string, Operand>,
  given: { params?: Record<string, number>; buffers: (partial: Range) => Record<string, Range>; sums: number },
): { partial: Range; chunks: number } {
  const [D, H, W] = over.shape;
  const parts = partsOf(Object.values(operands), over.batch, D, builder.bindingLimit) ?? [];
  const chunks = itemChunks(parts, H * W);
  const size = 16 * over.batch * over.rows * chunks * given.sums;
  const partial: Range = { slot: builder.memory.scratch(0, size), size };
  let chunk0 = 0;
  builder.split(operands, over.batch, D, (part, bound) => {
    if (part.d0 === 0) chunk0 = 0;
    const planes = part.d1 - part.d0;
    const count = chunksOf(planes * H * W);
    const params = {
      ...{ D, HW: H * W, G: over.rows, n0: part.n0, d0: part.d0, planes, chunk0, chunks },
      ...bound.params,
      ...given.params,
    };
    builder.dispatch(kernel, params, { ...bound.buffers, ...given.buffers(partial) }, [
      count,
      over.rows,
      part.n1 - part.n0,
    ]);
    chunk0 += count;
  });
  return { partial, chunks };
}

/** Sums over space of each item and group, `sums` vec4s each: of item n, group g from (n groups + g) sums on. */
export function emitSums(
  builder: ProgramBuilder,
  kernel: ReduceKernel,
  over: Field,
  operands: Record<string, Operand>,
  given: { params?: Record<string, number>; buffers?: Record<string, Range>; total?: Range } = {},
): Range {
  const { sums } = kernel;
  const { partial, chunks } = emitWalk(builder, reduceKernel(kernel), over, operands, {
    params: given.params,
    buffers: (to) => ({ ...given.buffers, partial: to }),
    sums,
  });
  const rows = over.batch * over.rows;
  const size = 16 * rows * sums;
  const total = given.total ?? { slot: builder.memory.scratch(1, size), size };
  builder.dispatch(chunkSumKernel(sums), { chunks }, { partial, total }, [rows, 1, 1]);
  return total;
}

/** A kernel with one invocation for each of `count` elements of buffers that are bound whole. */
export function emitSmall(
  builder: ProgramBuilder,
  kernel: Omit<Kernel, "workgroup">,
  count: number,
  params: Record<string, number>,
  buffers: Record<string, Range>,
): void {
  builder.dispatch(linearKernel(kernel), { count, ...params }, buffers, linearGroups(count));
}
