import type { ConvNode, Graph, PoolNode, UpconvNode } from "../graph.ts";
import { usesSecondMoment } from "../optimiser.ts";
import type { TrainSpec } from "../types.ts";
import { type Arena, createPool } from "./arena.ts";
import { statsBytes } from "./conv.ts";
import { emitAffine, emitNormBackward, emitNormSums, emitSum } from "./elementwise.ts";
import { type Layout, layoutKey, layoutOf } from "./layout.ts";
import { convSlabCount, convTasks, type Placed, upconvDataGradientTasks, upconvTasks } from "./lower-conv.ts";
import { convWeightGradient, upconvWeightGradient } from "./lower-weight-gradient.ts";
import { transformWeights, winogradFits } from "./lower-winograd.ts";
import { CONTROL, type NormPlan, type Op } from "./ops.ts";
import { haloDepth, walkedChannels } from "./packing.ts";
import { type ParameterBlock, type PlacedNode, placeParameters } from "./parameters.ts";
import { PARTIAL_BYTES } from "./partials.ts";
import { emitMaxPool, emitMaxPoolBackward } from "./pool.ts";
import type { ProgramBuilder, Task } from "./program.ts";
import { slabStart, slabsOf } from "./slabs.ts";
import { blockVectors } from "./tiles.ts";

/** Addresses the trainer needs from outside, and where the stages divide. */
export interface TrainingLayout {
  parameters: ParameterBlock;
  param: number;
  gradient: number;
  m: number;
  v: number;
  average: number;
  control: number;
  input: Placed;
  target: number;
  /** Dropout factors, float [N][padded], by conv node name. */
  dropout: Map<string, { address: number; padded: number }>;
  /** Stages [0, gradients) leave the gradients; [gradients, end) update. */
  gradientStages: number;
  endStage: number;
}

/** Rounds of the update are cut into pieces of this many floats. */
const UPDATE_FLOATS = 1 << 15;

/** Turns a graph into the stages of one training step, and lays out all memory for it. */
export function lowerTraining(b: ProgramBuilder, graph: Graph, spec: TrainSpec, arena: Arena): TrainingLayout {
  const N = graph.batch;
  const haloD = haloDepth(graph);
  const layouts = graph.tensors.map((t, id) => layoutOf(t.channels, t.shape, haloD, id === graph.input));
  const parameters = placeParameters(graph, layouts, b.tiles);
  const control = arena.take((CONTROL.dice + 64) * 8);
  const param = arena.take(parameters.bytes);
  const gradient = arena.take(parameters.bytes);
  const m = arena.take(parameters.bytes);
  const v = usesSecondMoment(spec.optimiser) ? arena.take(parameters.bytes) : 0;
  const average = spec.ema > 0 ? arena.take(parameters.bytes) : 0;
  const tensorBytes = (layout: Layout): number => N * layout.sampleBytes;
  const outputs: Placed[] = layouts.map((layout) => ({ layout, address: arena.take(tensorBytes(layout)) }));
  const [D, H, W] = graph.tensors[graph.input].shape;
  const target = arena.take(N * D * H * W);
  const partials = [arena.take(PARTIAL_BYTES), arena.take(PARTIAL_BYTES)];
  const pool = createPool(arena);
  const dropout: TrainingLayout["dropout"] = new Map();

  /** What a convolution with a norm keeps between the passes. */
  interface Unit {
    /** The convolution's output (after the activation when that comes first). */
    z: Placed;
    plan: NormPlan;
    slabs: ReturnType<typeof slabsOf>;
  }
  const units = new Map<ConvNode, Unit>();
  /** Data-gradient weights by node, one address a source. */
  const transposed = new Map<ConvNode | UpconvNode, number[]>();
  /** Forward weights as the kernel wants them, where that is not the packed form itself. */
  const forwardWeights = new Map<ConvNode, number>();
  const upconvBias = new Map<UpconvNode, number>();
  const placedOf = (node: ConvNode | UpconvNode): PlacedNode => parameters.nodes.get(node)!;
  const op = (value: Op): Task => [b.op(value)];

  // Weights for the data gradients first: they only depend on the parameters.
  const packing: Task[] = [];
  for (const node of graph.nodes) {
    if (node.kind === "maxpool") continue;
    const placed = placedOf(node);
    const from = param + placed.slots.weight.offset;
    if (node.kind === "upconv" || placed.kind === "upconv") {
      if (placed.kind !== "upconv") continue;
      const { packed } = placed;
      const bias = arena.take(packed.vectors * 16);
      upconvBias.set(placed.node, bias);
      packing.push(
        op({
          op: "repeatBias",
          from: param + placed.slots.bias.offset,
          to: bias,
          padded: packed.outPadded,
          times: packed.factor[2],
        }),
      );
      const vectors = layouts[node.inputs[0]].padded / 4;
      const to = arena.take(packed.floats * Math.ceil((vectors * 4) / packed.inChannels) * 4);
      transposed.set(node, [to]);
      packing.push(
        op({ op: "transposeUpconv", from, to, packed, gradient: { vectors, V: blockVectors(vectors, b.tiles) } }),
      );
      continue;
    }
    const { packed } = placed;
    const outWalked = walkedChannels(layouts[node.output], node.kernel[2]);
    const taps = node.kernel[0] * node.kernel[1] * node.kernel[2];
    const inputLayouts = node.inputs.map((id) => layouts[id]);
    if (winogradFits(b, node.kernel, inputLayouts, layouts[node.output])) {
      const { address, tasks } = transformWeights(b, packed, from, arena);
      forwardWeights.set(node, address);
      packing.push(...tasks);
    }
    const addresses = node.inputs.map((id, s) => {
      if (id === graph.input) return 0;
      const vectors = layouts[id].padded / 4;
      const to = arena.take(taps * outWalked * vectors * 16);
      const source = packed.sources[s];
      const V = blockVectors(vectors, b.tiles);
      const transpose = op({
        op: "transposeConv",
        from,
        to,
        plan: {
          kernel: node.kernel,
          lanes: 4 * packed.V,
          blockFloats: packed.blockFloats,
          sourceOffset: source.offset,
          walked: source.walked,
          inChannels: source.channels,
          outChannels: packed.outChannels,
          outWalked,
          vectors,
          V,
        },
      });
      if (!winogradFits(b, node.kernel, [layouts[node.output]], layouts[id])) {
        packing.push(transpose);
        return to;
      }
      const flipped = {
        kernel: node.kernel,
        vectors,
        V,
        blockFloats: taps * outWalked * 4 * V,
        sources: [{ offset: 0, walked: outWalked }],
      };
      const { address, tasks } = transformWeights(b, flipped, to, arena);
      packing.push([...transpose, ...tasks.flat()]);
      return address;
    });
    transposed.set(node, addresses);
  }
  b.stage(packing);

  const forwardConv = (node: ConvNode): void => {
    const placed = placedOf(node);
    if (placed.kind !== "conv") return;
    const { packed, slots } = placed;
    const output = outputs[node.output];
    const inputs = node.inputs.map((id) => outputs[id]);
    const common = {
      kernel: node.kernel,
      inputs,
      vectors: packed.vectors,
      V: packed.V,
      weights: forwardWeights.get(node) ?? param + slots.weight.offset,
      batch: N,
    };
    const bias = param + slots.bias.offset;
    const { tail } = node;
    if (!tail) {
      b.stage(convTasks(b, { ...common, output, epilogue: { bias, slope: null, affine: false, stats: null } }));
      return;
    }
    const { layout } = output;
    const { padded } = layout;
    const slabCount = convSlabCount(
      b,
      { kernel: node.kernel, inputs: inputs.map((x) => x.layout), output: layout, V: packed.V },
      N,
    );
    const stride = Math.ceil(statsBytes(packed.vectors) / 64) * 64;
    const factors = arena.take(N * padded * 4);
    dropout.set(node.name, { address: factors, padded });
    const plan: NormPlan = {
      norm: tail.norm,
      batch: N,
      slabsPerSample: slabCount / N,
      stats: arena.take(stride * slabCount),
      stride,
      channels: layout.channels,
      padded,
      voxels: layout.shape[0] * layout.shape[1] * layout.shape[2],
      eps: tail.eps,
      momentum: tail.momentum,
      bias,
      slope: tail.order === "conv-act-norm" ? tail.slope : null,
      scale: slots.scale ? param + slots.scale.offset : 0,
      shift: slots.shift ? param + slots.shift.offset : 0,
      runningMean: slots.mean ? param + slots.mean.offset : 0,
      runningVariance: slots.variance ? param + slots.variance.offset : 0,
      dropout: factors,
      coefficients: arena.take(N * padded * 8),
      saved: arena.take(N * padded * 16),
    };
    const z = { layout, address: arena.take(tensorBytes(layout)) };
    const before = tail.order === "conv-act-norm";
    b.stage(
      convTasks(b, {
        ...common,
        output: z,
        epilogue: {
          bias,
          slope: before ? tail.slope : null,
          affine: false,
          stats: tail.norm === "none" ? null : { address: plan.stats, stride },
        },
      }),
    );
    b.stage([op({ op: "normForward", ...plan })]);
    const slabs = slabsOf(layout.shape, N);
    const slope = before ? null : tail.slope;
    const kernel = b.kernel(["affine", layout, slope], 6, (f) => emitAffine(f, layout, slope));
    b.stage(
      slabs.map((slab) => [
        {
          kernel,
          args: [
            z.address + slabStart(slab, layout),
            output.address + slabStart(slab, layout),
            plan.coefficients + slab.n * padded * 8,
            0,
            slab.planes,
            slab.rows,
          ],
        },
      ]),
    );
    units.set(node, { z, plan, slabs });
  };

  const forwardUpconv = (node: UpconvNode): void => {
    const placed = placedOf(node);
    if (placed.kind !== "upconv") return;
    b.stage(
      upconvTasks(b, {
        packed: placed.packed,
        input: outputs[node.inputs[0]],
        output: outputs[node.output],
        weights: param + placed.slots.weight.offset,
        bias: upconvBias.get(node)!,
        batch: N,
      }),
    );
  };

  const forwardPool = (node: PoolNode): void => {
    const [fine, coarse] = [outputs[node.inputs[0]], outputs[node.output]];
    const kernel = b.kernel(["maxpool", fine.layout, coarse.layout, node.factor], 4, (f) =>
      emitMaxPool(f, fine.layout, coarse.layout, node.factor),
    );
    b.stage(
      slabsOf(coarse.layout.shape, N).map((slab) => [
        {
          kernel,
          args: [
            fine.address + slabStart(slab, fine.layout, node.factor),
            coarse.address + slabStart(slab, coarse.layout),
            slab.planes,
            slab.rows,
          ],
        },
      ]),
    );
  };

  for (const node of graph.nodes) {
    if (node.kind === "conv") forwardConv(node);
    else if (node.kind === "upconv") forwardUpconv(node);
    else forwardPool(node);
  }

  // Gradient buffers by tensor, from first write to last read.
  const grads = new Map<number, Placed>();
  const gradOf = (id: number): { grad: Placed; fresh: boolean } => {
    const known = grads.get(id);
    if (known) return { grad: known, fresh: false };
    const layout = layouts[id];
    const grad = { layout, address: pool.take(layoutKey(layout), tensorBytes(layout)) };
    grads.set(id, grad);
    return { grad, fresh: true };
  };
  const release = (id: number): void => {
    const grad = grads.get(id)!;
    grads.delete(id);
    pool.give(layoutKey(grad.layout), grad.address);
  };
  // Merging runs in the stage after the one that made the parts; two areas alternate.
  let pending: Task[] = [];
  let area = 0;
  const stage = (tasks: Task[]): void => {
    b.stage([...pending, ...tasks]);
    pending = [];
  };

  // The loss works in place: logits -> probabilities -> gradient.
  const logits = outputs[graph.output];
  lowerLoss(b, graph, spec, logits, target, arena);
  grads.set(graph.output, logits);

  /** Sums of each slab over a gradient, merged into the bias gradient. */
  const biasMerge = (from: number, stride: number, slabs: number, placed: PlacedNode, padded: number): Task =>
    op({
      op: "mergeSums",
      from,
      slabs,
      stride,
      channels: padded,
      to: gradient + placed.slots.bias.offset,
      fold: 1,
    });

  const sumTasks = (grad: Placed, stride: number, sums: number): Task[] => {
    const { layout } = grad;
    const kernel = b.kernel(["sum", layout], 5, (f) => emitSum(f, layout));
    return slabsOf(layout.shape, N).map((slab, i) => [
      b.op({ op: "zero", address: sums + i * stride, bytes: stride }),
      { kernel, args: [grad.address + slabStart(slab, layout), 0, sums + i * stride, slab.planes, slab.rows] },
    ]);
  };

  const backwardConv = (node: ConvNode): void => {
    const placed = placedOf(node);
    if (placed.kind !== "conv") return;
    const { packed, slots } = placed;
    const grad = grads.get(node.output)!;
    const { layout } = grad;
    const { padded } = layout;
    const slabs = slabsOf(layout.shape, N);
    const stride = padded * 16;
    const sums = arena.take(stride * slabs.length);
    const unit = units.get(node);
    if (unit && node.tail) {
      const { tail } = node;
      const { z, plan } = unit;
      const y = outputs[node.output];
      const after = tail.order === "conv-norm-act";
      const gradCoefficients = arena.take(N * padded * 12);
      if (tail.norm !== "none") {
        const options = after ? { slope: tail.slope } : null;
        const kernel = b.kernel(["normSums", layout, options], 7, (f) => emitNormSums(f, layout, options));
        stage(
          slabs.map((slab, i) => [
            b.op({ op: "zero", address: sums + i * stride, bytes: stride }),
            {
              kernel,
              args: [
                z.address + slabStart(slab, layout),
                y.address + slabStart(slab, layout),
                grad.address + slabStart(slab, layout),
                0,
                sums + i * stride,
                slab.planes,
                slab.rows,
              ],
            },
          ]),
        );
      }
      stage([
        op({
          op: "normBackward",
          ...plan,
          slabsPerSample: slabs.length / N,
          stride,
          sums,
          gradCoefficients,
          scaleGrad: slots.scale ? gradient + slots.scale.offset : 0,
          shiftGrad: slots.shift ? gradient + slots.shift.offset : 0,
        }),
      ]);
      const options = { order: after ? "after" : "before", slope: tail.slope } as const;
      const kernel = b.kernel(["normBackward", layout, options], 7, (f) => emitNormBackward(f, layout, options));
      stage(
        slabs.map((slab, i) => [
          b.op({ op: "zero", address: sums + i * stride, bytes: stride }),
          {
            kernel,
            args: [
              z.address + slabStart(slab, layout),
              y.address + slabStart(slab, layout),
              grad.address + slabStart(slab, layout),
              gradCoefficients + slab.n * padded * 12,
              sums + i * stride,
              slab.planes,
              slab.rows,
            ],
          },
        ]),
      );
    } else stage(sumTasks(grad, stride, sums));

    const work = convWeightGradient(
      b,
      { packed, inputs: node.inputs.map((id) => outputs[id]), grad, batch: N },
      { gradient: gradient + slots.weight.offset, partials: partials[area] },
    );
    area = 1 - area;
    const tasks = work.tasks;
    node.inputs.forEach((id, s) => {
      if (id === graph.input) return;
      const { grad: to, fresh } = gradOf(id);
      if (!fresh) throw new Error(`tensor ${graph.tensors[id].name} has two convolutions as readers`);
      const vectors = to.layout.padded / 4;
      tasks.push(
        ...convTasks(b, {
          kernel: node.kernel,
          inputs: [grad],
          output: to,
          vectors,
          V: blockVectors(vectors, b.tiles),
          weights: transposed.get(node)![s],
          batch: N,
        }),
      );
    });
    stage(tasks);
    pending = [...work.merge];
    // A norm straight after the convolution takes the bias out again: its gradient is 0, not float noise.
    const inert = node.tail !== null && node.tail.order === "conv-norm-act" && node.tail.norm !== "none";
    if (!inert) pending.push(biasMerge(sums, stride, slabs.length, placed, padded));
    if (node.output !== graph.output) release(node.output);
  };

  const backwardUpconv = (node: UpconvNode): void => {
    const placed = placedOf(node);
    if (placed.kind !== "upconv") return;
    const { packed, slots } = placed;
    const grad = grads.get(node.output)!;
    const { padded } = grad.layout;
    const stride = padded * 8;
    const count = slabsOf(grad.layout.shape, N).length;
    const sums = arena.take(stride * count);
    const input = outputs[node.inputs[0]];
    const work = upconvWeightGradient(
      b,
      { packed, input, grad, batch: N },
      { gradient: gradient + slots.weight.offset, partials: partials[area] },
    );
    area = 1 - area;
    const { grad: coarse, fresh } = gradOf(node.inputs[0]);
    if (!fresh) throw new Error(`tensor ${graph.tensors[node.inputs[0]].name} has two readers`);
    stage([
      ...work.tasks,
      ...upconvDataGradientTasks(b, { packed, fine: grad, coarse, weights: transposed.get(node)![0], batch: N }),
      ...sumTasks(grad, stride, sums),
    ]);
    pending = [...work.merge, biasMerge(sums, stride, count, placed, padded)];
    release(node.output);
  };

  const backwardPool = (node: PoolNode): void => {
    const coarseGrad = grads.get(node.output)!;
    const { grad: fineGrad, fresh } = gradOf(node.inputs[0]);
    const [x, y] = [outputs[node.inputs[0]], outputs[node.output]];
    const kernel = b.kernel(["maxpoolBackward", x.layout, y.layout, node.factor, !fresh], 6, (f) =>
      emitMaxPoolBackward(f, x.layout, y.layout, node.factor, !fresh),
    );
    stage(
      slabsOf(y.layout.shape, N).map((slab) => {
        const fine = slabStart(slab, x.layout, node.factor);
        const coarse = slabStart(slab, y.layout);
        return [
          {
            kernel,
            args: [
              x.address + fine,
              fineGrad.address + fine,
              y.address + coarse,
              coarseGrad.address + coarse,
              slab.planes,
              slab.rows,
            ],
          },
        ];
      }),
    );
    release(node.output);
  };

  for (const node of [...graph.nodes].reverse()) {
    if (node.kind === "conv") backwardConv(node);
    else if (node.kind === "upconv") backwardUpconv(node);
    else backwardPool(node);
  }
  stage([]);
  const gradientStages = b.stageCount();
  lowerUpdate(b, spec, parameters, { param, gradient, m, v, average }, arena);
  return {
    parameters,
    param,
    gradient,
    m,
    v,
    average,
    control,
    input: outputs[graph.input],
    target,
    dropout,
    gradientStages,
    endStage: b.stageCount(),
  };
}

function lowerLoss(
  b: ProgramBuilder,
  graph: Graph,
  spec: TrainSpec,
  logits: Placed,
  target: number,
  arena: Arena,
): void {
  const { layout } = logits;
  const K = layout.channels;
  const [D, H, W] = layout.shape;
  const coefficients = arena.take(4 * K * 8);
  const slabs = slabsOf(layout.shape, graph.batch).map((slab) => {
    const rows: { logits: number; target: number }[] = [];
    for (let d = slab.d; d < slab.d + slab.planes; d++) {
      for (let h = slab.h; h < slab.h + slab.rows; h++) {
        rows.push({
          logits: logits.address + slabStart({ ...slab, d, h }, layout),
          target: target + ((slab.n * D + d) * H + h) * W,
        });
      }
    }
    return {
      kind: graph.outputKind,
      classes: K,
      rows,
      width: W,
      pixelBytes: layout.pixelBytes,
      sums: arena.take((5 * K + 1) * 8),
      coefficients,
      crossEntropy: Boolean(spec.loss.crossEntropy),
      focal: Boolean(spec.loss.focal?.weight),
      gamma: spec.loss.focal?.gamma ?? 0,
    };
  });
  b.stage(slabs.map((slab) => [b.op({ op: "lossForward", ...slab })]));
  b.stage([
    [
      b.op({
        op: "lossTotal",
        spec: spec.loss,
        kind: graph.outputKind,
        classes: K,
        sums: slabs.map((slab) => slab.sums),
        coefficients,
      }),
    ],
  ]);
  b.stage(slabs.map((slab) => [b.op({ op: "lossBackward", ...slab })]));
}

function lowerUpdate(
  b: ProgramBuilder,
  spec: TrainSpec,
  parameters: ParameterBlock,
  at: { param: number; gradient: number; m: number; v: number; average: number },
  arena: Arena,
): void {
  const pieces = parameters.slots.flatMap(({ info, offset, floats }) => {
    const list: { info: typeof info; offset: number; floats: number }[] = [];
    for (let from = 0; from < floats; from += UPDATE_FLOATS) {
      list.push({ info, offset: offset + from * 4, floats: Math.min(UPDATE_FLOATS, floats - from) });
    }
    return list;
  });
  const trained = pieces.filter((piece) => piece.info.trained);
  const squares = arena.take(trained.length * 8);
  b.stage(
    trained.map((piece, i) => [
      b.op({ op: "squares", address: at.gradient + piece.offset, floats: piece.floats, to: squares + i * 8 }),
    ]),
  );
  b.stage([[b.op({ op: "clip", from: squares, count: trained.length, limit: spec.clip })]]);
  b.stage(
    pieces
      .filter((piece) => piece.info.trained || spec.ema > 0)
      .map((piece) => [
        b.op({
          op: "update",
          optimiser: spec.optimiser,
          ema: spec.ema,
          decay: piece.info.role === "weight",
          param: at.param + piece.offset,
          grad: at.gradient + piece.offset,
          m: at.m + piece.offset,
          v: at.v + piece.offset,
          average: at.average + piece.offset,
          floats: piece.floats,
          trained: piece.info.trained,
        }),
      ]),
  );
}
