import { type Vec3, voxelCount } from "../../volume/volume.ts";
import type { ConvNode, Graph, UpconvNode } from "../graph.ts";
import { activationBytes, activationField, emitConv, emitFrom, emitLinear, emitSmall, emitWalk } from "./emit.ts";
import { type Field, groupsOf } from "./field.ts";
import type { Slot } from "./memory.ts";
import { dropoutKernel, momentsKernel, normKernel } from "./norm.ts";
import { ONE, type Packing, packConv, packUpconv, packVectors, type Section, sectionRange, ZERO } from "./packing.ts";
import type { Placement } from "./parameters.ts";
import { poolKernel } from "./pool.ts";
import type { ProgramBuilder } from "./program.ts";
import { rawValue, slopesOf, type Value } from "./source.ts";
import { importKernel, numbers } from "./transfer.ts";
import { upconvKernel } from "./upconv.ts";

/** What lowering works with. */
export interface Lowering {
  builder: ProgramBuilder;
  graph: Graph;
  placement: Placement;
  packing: Packing;
}

/** A convolution whose bias, A and B the host writes: of a norm by running statistics, or of none. */
export interface FoldedUnit {
  node: ConvNode;
  section: Section;
}

/** What the backward pass needs of a convolution with a tail. */
export interface UnitTape {
  /** For each item and group mean and 1 / sd; none without norm. */
  statistics: Slot | null;
  affine: Slot;
  /** Dropout factors, one vec4 for each item and group; none for inference. */
  factors: Slot | null;
  /** Scale and shift of each group. */
  vectors: Section | null;
  /** Mean and unbiased variance of each group of a batch norm. */
  fresh: Slot | null;
}

export interface ForwardLayout {
  /** The batch's input, as numbers. */
  input: Field;
  values: Value[];
  folded: FoldedUnit[];
  tapes: Map<string, UnitTape>;
}

/**
 * The forward pass. For inference buffers are used again once nobody reads them, and batch norm has the host's A and B in the
 * convolution's kernel; for training all tensors stay, and norms take the batch's own statistics.
 */
export function lowerForward(lowering: Lowering, training: boolean): ForwardLayout {
  const { builder, graph } = lowering;
  const { batch } = graph;
  const { memory } = builder;
  const lastUse = lastUses(graph);
  const slots: Slot[][] = [];
  const values: Value[] = [];
  const take = (id: number, label: string, bytes: number): Slot => {
    const slot = training ? memory.keep(label, bytes) : memory.take(label, bytes);
    slots[id] = [...(slots[id] ?? []), slot];
    return slot;
  };
  const newField = (id: number): Field => {
    const { name, channels, shape } = graph.tensors[id];
    return activationField(take(id, name, activationBytes(batch, channels, shape)), batch, channels, shape);
  };
  const { channels, shape } = graph.tensors[graph.input];
  const input = numbers(memory.keep("input", 4 * batch * channels * voxelCount(shape)), batch, channels, shape);
  const layout: ForwardLayout = { input, values, folded: [], tapes: new Map() };
  values[graph.input] = rawValue(newField(graph.input));
  emitLinear(
    builder,
    importKernel,
    values[graph.input].field,
    { x: { field: input }, y: { field: values[graph.input].field } },
    { params: { rows: channels, groups: groupsOf(channels), HW: shape[1] * shape[2] } },
  );
  graph.nodes.forEach((node, index) => {
    const field = newField(node.output);
    if (node.kind === "conv") {
      const affine = (): Slot => take(node.output, `${node.name} affine`, 32 * batch * field.rows);
      values[node.output] = lowerUnit(lowering, layout, node, field, affine, training);
    } else {
      const [source] = node.inputs.map((id) => values[id]);
      if (node.kind === "upconv") lowerUpconv(lowering, node, source, field);
      else lowerPool(builder, node.factor, source, field);
      values[node.output] = rawValue(field);
    }
    if (training) return;
    for (const [id, last] of lastUse.entries()) {
      if (last === index) for (const slot of slots[id] ?? []) memory.release(slot);
    }
  });
  return layout;
}

/** Index of the last node that reads each tensor; Infinity for the output. A tensor that nobody reads goes with its own node. */
function lastUses(graph: Graph): number[] {
  const last = graph.tensors.map(() => 0);
  graph.nodes.forEach((node, index) => {
    for (const id of [...node.inputs, node.output]) last[id] = index;
  });
  last[graph.output] = Number.POSITIVE_INFINITY;
  return last;
}

function lowerUnit(
  lowering: Lowering,
  layout: ForwardLayout,
  node: ConvNode,
  field: Field,
  newAffine: () => Slot,
  training: boolean,
): Value {
  const { builder, graph, placement, packing } = lowering;
  const { tail, name, kernel } = node;
  const weights = sectionRange(packing, packConv(graph, placement, packing, node));
  const sources = node.inputs.map((id) => layout.values[id]);
  if (tail && !training && tail.norm !== "instance") {
    const section = packing.add(3 * 4 * field.rows, () => ZERO);
    layout.folded.push({ node, section });
    const vectors = sectionRange(packing, section);
    emitConv(builder, { kernel, sources, to: field, weights, vectors, ...slopesOf(tail) });
    return rawValue(field);
  }
  const bias = packVectors(placement, packing, [`${name}.bias`, ONE, ZERO], field.channels);
  emitConv(builder, { kernel, sources, to: field, weights, vectors: sectionRange(packing, bias) });
  if (!tail) return rawValue(field);

  const affine = newAffine();
  const value: Value = { field, affine, ...slopesOf(tail) };
  const rows = field.batch * field.rows;
  const factors = training ? builder.memory.keep(`${name} dropout`, 16 * rows) : null;
  const tape: UnitTape = { affine, factors, statistics: null, vectors: null, fresh: null };
  layout.tapes.set(name, tape);
  const factorRange = { slot: factors ?? builder.identity(1) };
  if (tail.norm === "none") {
    emitSmall(builder, dropoutKernel, rows, {}, { factors: factorRange, affine: { slot: affine } });
    return value;
  }
  tape.statistics = builder.memory.keep(`${name} statistics`, 32 * rows);
  tape.vectors = packVectors(placement, packing, [`${name}.norm.weight`, `${name}.norm.bias`], field.channels);
  tape.fresh = builder.memory.keep(`${name} fresh`, 32 * field.rows);
  const { partial, chunks } = emitWalk(
    builder,
    momentsKernel,
    field,
    { u: { field } },
    { params: { inner: value.inner }, buffers: (to) => ({ partial: to }), sums: 3 },
  );
  const batch = tail.norm === "batch";
  builder.dispatch(
    normKernel,
    { G: field.rows, items: batch ? field.batch : 1, chunks, dropout: training ? 1 : 0, eps: tail.eps },
    {
      partial,
      vectors: sectionRange(packing, tape.vectors),
      factors: factorRange,
      affine: { slot: affine },
      statistics: { slot: tape.statistics },
      fresh: { slot: tape.fresh },
    },
    [batch ? field.rows : rows, 1, 1],
  );
  return value;
}

function lowerUpconv(
  { builder, graph, placement, packing }: Lowering,
  node: UpconvNode,
  source: Value,
  field: Field,
): void {
  const weights = packUpconv(graph, placement, packing, node, false);
  const bias = packVectors(placement, packing, [`${node.name}.bias`, ONE, ZERO], field.channels);
  emitFrom(
    builder,
    upconvKernel(voxelCount(node.factor)),
    { ...source.field, rows: 1 },
    { source },
    { y: { field, factor: node.factor[0] } },
    {
      params: upconvParams(node.factor, source.field, field),
      buffers: { packed: sectionRange(packing, weights), vectors: sectionRange(packing, bias) },
      z: field.rows,
    },
  );
}

/** Sizes of a transposed convolution from a coarse to a fine field. */
export function upconvParams([fd, fh, fw]: Vec3, coarse: Field, fine: Field): Record<string, number> {
  const [D, H, W] = coarse.shape;
  return { D, H, W, xGroups: coarse.rows, yGroups: fine.rows, fd, fh, fw };
}

/** Sizes of a max pool, by its output. */
export function poolParams([fd, fh, fw]: Vec3, { shape: [D, H, W], rows }: Field): Record<string, number> {
  return { D, H, W, G: rows, fd, fh, fw };
}

function lowerPool(builder: ProgramBuilder, factor: Vec3, source: Value, field: Field): void {
  const params = poolParams(factor, field);
  emitFrom(builder, poolKernel, field, { source, factor: factor[0] }, { y: { field } }, { params });
}
