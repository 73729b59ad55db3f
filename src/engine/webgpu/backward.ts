import { fail } from "../../util/errors.ts";
import { type Vec3, voxelCount } from "../../volume/volume.ts";
import type { ConvNode, GraphNode, UpconvNode } from "../graph.ts";
import { collectWeights, convWeightsKernel } from "./conv-weights.ts";
import {
  activationBytes,
  activationField,
  emitConv,
  emitFrom,
  emitLinear,
  emitSmall,
  emitSums,
  haloParams,
  partSpan,
} from "./emit.ts";
import { type Field, type Operand, type Part, partsOf } from "./field.ts";
import { type ForwardLayout, type Lowering, poolParams, upconvParams } from "./forward.ts";
import type { Kernel } from "./kernel.ts";
import type { Slot } from "./memory.ts";
import { normBackKernel, normSums, unitBackKernel } from "./norm.ts";
import { ONE, packConvTurned, packUpconv, packVectors, sectionRange, ZERO } from "./packing.ts";
import { poolBackKernel } from "./pool.ts";
import type { ProgramBuilder, Range } from "./program.ts";
import type { ReduceKernel } from "./reduce.ts";
import { sourceGiven, type Value } from "./source.ts";
import { chooseTile, tileCounts, tileSize } from "./tiles.ts";
import { upconvBackKernel, upconvWeightsKernel } from "./upconv.ts";

/** Sees each convolution's output u (before its tail) and the gradient by it, in reverse order. */
export type Observer = (node: ConvNode | UpconvNode, u: Field, gradient: Field) => void;

/** Most partial sums of a weight gradient, and workgroups that are enough to fill a device. */
const CHUNKS = 128;
const WORKGROUPS = 1024;

const zeroKernel: Omit<Kernel, "workgroup"> = {
  label: "zero",
  params: { first: "u32", yAt: "u32" },
  bindings: { y: { type: "array<vec4f>", write: true } },
  body: "y[P.first + e - P.yAt] = vec4f();",
};

const biasSums: ReduceKernel = {
  label: "sums of a gradient",
  params: { dyAt: "u32" },
  bindings: { dy: { type: "array<vec4f>" } },
  value: "t0 += dy[i - P.dyAt];",
  sums: 1,
};

/** Adds the items of sums of each item and group. */
const biasKernel: Omit<Kernel, "workgroup"> = {
  label: "gradient of a bias",
  params: { N: "u32", G: "u32", base: "u32" },
  bindings: { total: { type: "array<vec4f>" }, gradients: { type: "array<f32>", write: true } },
  body: `var sum = 0.0;
for (var n = 0u; n < P.N; n++) { sum += total[n * P.G + e / 4u][e % 4u]; }
gradients[P.base + e] = sum;`,
};

/** The backward pass from gradients by the logits to those by all trained parameters, in the order of the placement. */
export function lowerBackward(
  lowering: Lowering,
  forward: ForwardLayout,
  byLogits: ReadonlyMap<number, Field>,
  gradients: Slot,
  observe?: Observer,
): void {
  const { builder, graph } = lowering;
  const { memory } = builder;
  const pending = new Map(byLogits);
  const newField = (id: number): Field => {
    const { name, channels, shape } = graph.tensors[id];
    const slot = memory.take(`gradient of ${name}`, activationBytes(graph.batch, channels, shape));
    return activationField(slot, graph.batch, channels, shape);
  };
  /** Where a node's gradient by a tensor goes; it is added to that of the tensor's other readers. Null where nobody asks. */
  const receiver = (id: number): { field: Field; add: boolean } | null => {
    if (id === graph.input) return null;
    const held = pending.get(id);
    const field = held ?? newField(id);
    pending.set(id, field);
    return { field, add: held !== undefined };
  };
  for (const node of [...graph.nodes].reverse()) {
    let dy = pending.get(node.output);
    if (!dy) {
      dy = newField(node.output);
      emitLinear(builder, zeroKernel, dy, { y: { field: dy } });
    }
    if (node.kind === "maxpool") {
      const to = receiver(node.inputs[0]);
      if (to) lowerPoolBack(builder, node.factor, forward.values[node.inputs[0]], dy, to);
    } else {
      const u = forward.values[node.output].field;
      if (node.kind === "conv") lowerUnitBack(lowering, forward, node, dy, gradients);
      observe?.(node, u, dy);
      lowerBias(lowering, node, dy, gradients);
      node.inputs.forEach((id, source) => {
        const x = forward.values[id];
        if (node.kind === "conv") lowerConvWeights(lowering, node, source, x, dy, gradients);
        else lowerUpconvWeights(lowering, node, x, dy, gradients);
        const to = receiver(id);
        if (!to) return;
        if (node.kind === "conv") lowerConvBack(lowering, node, source, dy, to);
        else lowerUpconvBack(lowering, node, dy, to);
      });
    }
    memory.release(dy.slot);
  }
}

const offsetOf = ({ placement }: Lowering, name: string): number => placement.byName.get(name)!.offset;

/** From the gradient by a unit's output to that by its convolution's, in place; gradients of scale and shift on the way. */
function lowerUnitBack(
  lowering: Lowering,
  forward: ForwardLayout,
  { tail, name, output }: ConvNode,
  dy: Field,
  gradients: Slot,
): void {
  if (!tail) return;
  const { builder, packing } = lowering;
  const { field: u, inner, outer } = forward.values[output];
  const tape = forward.tapes.get(name)!;
  const operands: Record<string, Operand> = { u: { field: u }, dy: { field: dy } };
  const buffers: Record<string, Range> = { factors: { slot: tape.factors! }, affine: { slot: tape.affine } };
  const [D, H, W] = u.shape;
  if (tape.statistics) {
    const statistics = { slot: tape.statistics };
    const total = emitSums(builder, normSums, u, operands, {
      params: { inner, outer },
      buffers: { ...buffers, statistics },
    });
    const size = 48 * u.batch * u.rows;
    const back = { slot: builder.memory.scratch(2, size), size };
    const params = {
      ...{ N: u.batch, G: u.rows, batch: tail.norm === "batch" ? 1 : 0, channels: u.channels },
      voxels: voxelCount(u.shape),
      scaleAt: offsetOf(lowering, `${name}.norm.weight`),
      shiftAt: offsetOf(lowering, `${name}.norm.bias`),
    };
    const vectors = sectionRange(packing, tape.vectors!);
    emitSmall(builder, normBackKernel, u.rows, params, {
      ...{ total, vectors, statistics, back },
      gradients: { slot: gradients },
    });
    Object.assign(buffers, { statistics, back });
  }
  emitLinear(builder, unitBackKernel(tape.statistics !== null), u, operands, {
    params: { D, G: u.rows, HW: H * W, inner, outer },
    buffers,
  });
}

function lowerBias(lowering: Lowering, node: GraphNode, dy: Field, gradients: Slot): void {
  const { builder } = lowering;
  const total = emitSums(builder, biasSums, dy, { dy: { field: dy } });
  const params = { N: dy.batch, G: dy.rows, base: offsetOf(lowering, `${node.name}.bias`) };
  emitSmall(builder, biasKernel, dy.channels, params, { total, gradients: { slot: gradients } });
}

/** Plans partial sums of a weight gradient: `units` of work in each part, in chunks as many as are useful and fit into a binding. */
function planChunks(
  builder: ProgramBuilder,
  parts: Part[],
  units: (part: Part) => number,
  { pairs, taps }: { pairs: number; taps: number },
): { counts: number[]; total: number; partial: Range } {
  const chunk = pairs * taps * 64;
  const fitting = Math.floor(builder.bindingLimit / chunk / parts.length);
  if (fitting < 1) {
    fail(
      "The gradients of one convolution's weights are larger than what the graphics device binds at once: use a narrower net or a smaller patch, or the wasm engine.",
    );
  }
  const most = Math.min(CHUNKS, Math.ceil(WORKGROUPS / pairs), fitting);
  const counts = parts.map((part) => Math.min(most, units(part)));
  const total = counts.reduce((sum, count) => sum + count, 0);
  return { counts, total, partial: { slot: builder.memory.scratch(0, total * chunk), size: total * chunk } };
}

function lowerConvWeights(
  lowering: Lowering,
  node: ConvNode,
  source: number,
  x: Value,
  dy: Field,
  gradients: Slot,
): void {
  const { builder, graph } = lowering;
  const [kd, kh, kw] = node.kernel;
  const kernel: Vec3 = [kd, kh, 3];
  const tile = chooseTile(dy.shape, kernel);
  const given = sourceGiven("x", x, builder.identity, { halo: (kd - 1) / 2 });
  const operands = { ...given.operand, dy: { field: dy } };
  const [D, H, W] = dy.shape;
  const counts = ({ d0, d1 }: Part): Vec3 => tileCounts(tile, [d1 - d0, H, W]);
  const tilesOf = (part: Part): number => counts(part).reduce((a, b) => a * b) * (part.n1 - part.n0);
  const parts = partsOf(Object.values(operands), dy.batch, D, builder.bindingLimit) ?? [];
  const stored = kd * kh * 3;
  const plan = planChunks(builder, parts, tilesOf, { pairs: x.field.rows * dy.rows, taps: stored });
  const [tw, th, td] = tileSize(tile);
  let index = 0;
  let chunk0 = 0;
  builder.split(operands, dy.batch, D, (part, bound) => {
    const [tilesW, tilesH, tilesD] = counts(part);
    const chunks = plan.counts[index++];
    const params = {
      ...{ W, H, D, xGroups: x.field.rows, yGroups: dy.rows, n0: part.n0, d0: part.d0, d1: part.d1 },
      ...{ kh, ...haloParams(tile, kernel), tw, th, td, tilesW, tilesH, tilesD, tiles: tilesOf(part) },
      ...{ rows: kd * kh, splits: Math.floor(64 / (kd * kh)), chunks, chunk0 },
      ...{ ...given.params, ...bound.params },
    };
    const buffers = { ...bound.buffers, ...given.buffers, partial: plan.partial };
    builder.dispatch(convWeightsKernel, params, buffers, [chunks, x.field.rows, dy.rows]);
    chunk0 += chunks;
  });
  const taps = voxelCount(node.kernel);
  const channels = node.inputs.map((id) => graph.tensors[id].channels);
  const before = channels.slice(0, source).reduce((sum, count) => sum + count, 0);
  const inputs = channels.reduce((sum, count) => sum + count, 0);
  collect(lowering, `${node.name}.weight`, before * taps, x, dy, plan, gradients, {
    ...{ taps, stored, step: kw === 3 ? 1 : 3, tap0: kw === 3 ? 0 : 1 },
    ...{ outputStride: inputs * taps, inputStride: taps },
  });
}

function collect(
  lowering: Lowering,
  name: string,
  from: number,
  { field: x }: Value,
  dy: Field,
  { total, partial }: { total: number; partial: Range },
  gradients: Slot,
  taps: Record<"taps" | "stored" | "step" | "tap0" | "outputStride" | "inputStride", number>,
): void {
  const sizes = { inputs: x.channels, xGroups: x.rows, yGroups: dy.rows, chunks: total };
  const params = { ...sizes, ...taps, base: offsetOf(lowering, name) + from };
  const count = dy.channels * x.channels * taps.taps;
  emitSmall(lowering.builder, collectWeights, count, params, { partial, gradients: { slot: gradients } });
}

function lowerConvBack(
  lowering: Lowering,
  node: ConvNode,
  source: number,
  dy: Field,
  { field, add }: { field: Field; add: boolean },
): void {
  const { builder, graph, placement, packing } = lowering;
  const weights = packConvTurned(graph, placement, packing, node, source);
  const vectors = packVectors(placement, packing, [ZERO, ONE, ZERO], field.channels);
  emitConv(builder, {
    kernel: node.kernel,
    sources: [{ field: dy, affine: null, inner: 1, outer: 1 }],
    to: field,
    weights: sectionRange(packing, weights),
    vectors: sectionRange(packing, vectors),
    add,
  });
}

function lowerUpconvBack(
  { builder, graph, placement, packing }: Lowering,
  node: UpconvNode,
  dy: Field,
  { field, add }: { field: Field; add: boolean },
): void {
  const weights = packUpconv(graph, placement, packing, node, true);
  emitLinear(
    builder,
    upconvBackKernel,
    { ...field, rows: 1 },
    { y: { field: dy, factor: node.factor[0] }, dx: { field } },
    {
      params: { ...upconvParams(node.factor, field, dy), add: add ? 1 : 0 },
      buffers: { packed: sectionRange(packing, weights) },
      z: field.rows,
    },
  );
}

function lowerUpconvWeights(lowering: Lowering, node: UpconvNode, x: Value, dy: Field, gradients: Slot): void {
  const { builder } = lowering;
  const taps = voxelCount(node.factor);
  const splits = Math.floor(64 / taps);
  const given = sourceGiven("x", x, builder.identity);
  const operands = { ...given.operand, y: { field: dy, factor: node.factor[0] } };
  const coarse: Field = { ...x.field, rows: 1 };
  const [D] = coarse.shape;
  const parts = partsOf(Object.values(operands), coarse.batch, D, builder.bindingLimit) ?? [];
  const units = (part: Part): number => Math.ceil(partSpan(coarse, part).count / splits);
  const plan = planChunks(builder, parts, units, { pairs: x.field.rows * dy.rows, taps });
  let index = 0;
  let chunk0 = 0;
  builder.split(operands, coarse.batch, D, (part, bound) => {
    const chunks = plan.counts[index++];
    const span = partSpan(coarse, part);
    const params = {
      ...{ ...span, run: Math.ceil(span.count / chunks), chunk0, splits },
      ...{ ...upconvParams(node.factor, coarse, dy), xGroups: x.field.rows },
      ...{ ...given.params, ...bound.params },
    };
    const buffers = { ...bound.buffers, ...given.buffers, partial: plan.partial };
    builder.dispatch(upconvWeightsKernel, params, buffers, [chunks, x.field.rows, dy.rows]);
    chunk0 += chunks;
  });
  collect(lowering, `${node.name}.weight`, 0, x, dy, plan, gradients, {
    ...{ taps, stored: taps, step: 1, tap0: 0 },
    ...{ outputStride: taps, inputStride: dy.channels * taps },
  });
}

function lowerPoolBack(
  builder: ProgramBuilder,
  factor: Vec3,
  source: Value,
  dy: Field,
  { field, add }: { field: Field; add: boolean },
): void {
  emitFrom(
    builder,
    poolBackKernel,
    dy,
    { source, factor: factor[0] },
    { y: { field: dy }, dx: { field, factor: factor[0] } },
    { params: { ...poolParams(factor, dy), add: add ? 1 : 0 } },
  );
}
