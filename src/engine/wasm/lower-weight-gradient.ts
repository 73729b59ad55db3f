import type { Layout } from "./layout.ts";
import { eachOffset, inputWindow, type Placed, pointWalk } from "./lower-conv.ts";
import { winogradTile, winogradWeightGradient } from "./lower-winograd.ts";
import { convWalk, type PackedConv, type PackedUpconv } from "./packing.ts";
import { mergeCall, PARTIAL_BYTES, type WeightGradientWork } from "./partials.ts";
import type { Call, ProgramBuilder, Task } from "./program.ts";
import { type Slab, slabStart, slabsOf } from "./slabs.ts";
import { emitWeightGradient, flushRows, type WeightGradientSpec } from "./weight-gradient.ts";

interface Part {
  kernel: number;
  /** Bytes from the weight's start. */
  offset: number;
  x: (slab: Slab) => number;
  dy: (slab: Slab) => number;
}

/**
 * Small weights: each slab sums into its own part, merged in slab order. Large weights (deep levels, few voxels): each task owns
 * some channel blocks and goes over all slabs. Both have a fixed order of additions.
 */
function splitWork(
  b: ProgramBuilder,
  options: {
    parts: Part[];
    slabs: Slab[];
    R: number;
    floats: number;
    blocks: number;
    blockBytes: number;
    lanes: number;
  },
  memory: { gradient: number; partials: number },
): WeightGradientWork {
  const { parts, slabs, R, blocks, blockBytes } = options;
  const bytes = Math.ceil((options.floats * 4) / 64) * 64;
  const callsFor = (slab: Slab, to: number, firstBlock: number, count: number): Call[] =>
    parts.map((part) => ({
      kernel: part.kernel,
      args: [
        part.x(slab),
        part.dy(slab) + firstBlock * options.lanes * 4,
        to + part.offset + firstBlock * blockBytes,
        slab.planes,
        slab.rows / R,
        count,
      ],
    }));
  if (bytes * slabs.length <= PARTIAL_BYTES) {
    const tasks = slabs.map((slab, i) => {
      const to = memory.partials + i * bytes;
      return [b.op({ op: "zero", address: to, bytes: options.floats * 4 }), ...callsFor(slab, to, 0, blocks)];
    });
    const merge = mergeCall(b, {
      from: memory.partials,
      to: memory.gradient,
      slabs: slabs.length,
      stride: bytes,
      floats: options.floats,
    });
    return { tasks, merge: [[merge]], partialBytes: bytes * slabs.length };
  }
  const tasks: Task[] = [];
  for (let block = 0; block < blocks; block++) {
    // A block's part of each offset (transposed convolution) or of the whole weight is one run of memory.
    const zeros = parts
      .filter((part, i) => i === 0 || part.offset % (blocks * blockBytes) === 0)
      .map((part) =>
        b.op({ op: "zero", address: memory.gradient + part.offset + block * blockBytes, bytes: blockBytes }),
      );
    tasks.push([...zeros, ...slabs.flatMap((slab) => callsFor(slab, memory.gradient, block, 1))]);
  }
  return { tasks, merge: [], partialBytes: 0 };
}

/** dW of a convolution from its inputs and the gradient of its output. */
export function convWeightGradient(
  b: ProgramBuilder,
  options: { packed: PackedConv; inputs: Placed[]; grad: Placed; batch: number },
  memory: { gradient: number; partials: number },
): WeightGradientWork {
  const { packed, inputs, grad } = options;
  const layouts = inputs.map((input) => input.layout);
  const m = winogradTile(b, packed.kernel, layouts, grad.layout);
  if (m) {
    const work = winogradWeightGradient(b, m, options, memory);
    if (work) return work;
  }
  const [D, H, W] = grad.layout.shape;
  const R = flushRows(W, H);
  const blockBytes = packed.blockFloats * 4;
  const parts = inputs.map((input, s): Part => {
    const spec: WeightGradientSpec = {
      width: W,
      rowsPerFlush: R,
      source: convWalk(input.layout, packed.kernel),
      V: packed.V,
      ...gradSteps(grad.layout, [1, 1, 1]),
      blockBytes,
    };
    return {
      kernel: b.kernel(["weightGradient", spec], 6, (f) => emitWeightGradient(f, spec, b.tiles)),
      offset: packed.sources[s].offset * 4,
      x: (slab) => inputWindow(input, slab, packed.kernel),
      dy: (slab) => grad.address + slabStart(slab, grad.layout),
    };
  });
  const blocks = packed.vectors / packed.V;
  const slabs = slabsOf([D, H, W], options.batch, R);
  return splitWork(b, { parts, slabs, R, floats: packed.floats, blocks, blockBytes, lanes: 4 * packed.V }, memory);
}

/** dW of a transposed convolution from its coarse input and the gradient of its fine output. */
export function upconvWeightGradient(
  b: ProgramBuilder,
  options: { packed: PackedUpconv; input: Placed; grad: Placed; batch: number },
  memory: { gradient: number; partials: number },
): WeightGradientWork {
  const { packed, input, grad } = options;
  const [D, H, W] = input.layout.shape;
  const R = flushRows(W, H);
  const blockBytes = packed.blockFloats * 4;
  const spec: WeightGradientSpec = {
    width: W,
    rowsPerFlush: R,
    source: pointWalk(input.layout, packed.inChannels),
    V: packed.V,
    ...gradSteps(grad.layout, packed.factor),
    blockBytes,
  };
  const kernel = b.kernel(["weightGradient", spec], 6, (f) => emitWeightGradient(f, spec, b.tiles));
  const parts = eachOffset(packed, grad.layout).map(
    ({ index, bytes }): Part => ({
      kernel,
      offset: index * packed.offsetFloats * 4,
      x: (slab) => input.address + slabStart(slab, input.layout),
      dy: (slab) => grad.address + slabStart(slab, grad.layout, packed.factor) + bytes,
    }),
  );
  const blocks = packed.vectors / packed.V;
  const slabs = slabsOf([D, H, W], options.batch, R);
  return splitWork(b, { parts, slabs, R, floats: packed.floats, blocks, blockBytes, lanes: 4 * packed.V }, memory);
}

function gradSteps(
  layout: Layout,
  factor: readonly [number, number, number],
): Pick<WeightGradientSpec, "gradPixel" | "gradRow" | "gradPlane"> {
  return {
    gradPixel: factor[2] * layout.pixelBytes,
    gradRow: factor[1] * layout.rowBytes,
    gradPlane: factor[0] * layout.planeBytes,
  };
}
