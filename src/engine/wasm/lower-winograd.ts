import type { Arena } from "./arena.ts";
import type { Layout } from "./layout.ts";
import type { ConvCall, Epilogue, Placed } from "./lower-conv.ts";
import { type PackedConv, walkedChannels } from "./packing.ts";
import { mergeCall, PARTIAL_BYTES, type WeightGradientWork } from "./partials.ts";
import type { Call, ProgramBuilder, Task } from "./program.ts";
import { emitWinograd, stripRows, type WinogradSource, type WinogradSpec, winogradScratch } from "./winograd.ts";
import { emitWinogradGradient, type WinogradGradientSpec, winogradGradientScratch } from "./winograd-gradient.ts";
import {
  emitWeightGradientTransform,
  emitWeightTransform,
  transformedBlockFloats,
  type WinogradWeights,
} from "./winograd-weights.ts";

type Kernel = readonly [number, number, number];

/** Rows and columns must pair up, and every channel that the kernel walks must lie in memory in whole vectors. */
export function winogradFits(b: ProgramBuilder, kernel: Kernel, inputs: Layout[], output: Layout): boolean {
  const [, H, W] = output.shape;
  const from = b.tiles.winogradFrom;
  return (
    kernel[1] === 3 &&
    kernel[2] === 3 &&
    H % 2 === 0 &&
    W % 2 === 0 &&
    W >= 8 &&
    H >= 8 &&
    output.padded >= from &&
    inputs.every((x) => x.padded >= from && x.padded % 4 === 0 && walkedChannels(x, 3) === x.padded)
  );
}

/** A range of strips and planes of one sample. */
interface StripSlab {
  n: number;
  d: number;
  planes: number;
  strip: number;
  strips: number;
}

/** Cuts the work by shape alone into at most `most` tasks; depth is cut only where that costs few repeated planes. */
function stripSlabs(shape: readonly number[], batch: number, tileRows: number, most: number): StripSlab[] {
  const [D, H] = shape;
  const strips = H / 2 / tileRows;
  const perSample = Math.max(1, Math.floor(most / batch));
  const groups = Math.min(strips, perSample);
  const chunks = Math.max(1, Math.min(Math.floor(perSample / groups), Math.floor(D / 8)));
  const slabs: StripSlab[] = [];
  for (let n = 0; n < batch; n++) {
    for (let c = 0; c < chunks; c++) {
      const d = Math.floor((c * D) / chunks);
      const planes = Math.floor(((c + 1) * D) / chunks) - d;
      for (let g = 0; g < groups; g++) {
        const strip = Math.floor((g * strips) / groups);
        slabs.push({ n, d, planes, strip, strips: Math.floor(((g + 1) * strips) / groups) - strip });
      }
    }
  }
  return slabs;
}

const TASKS = 16;

function start(slab: StripSlab, layout: Layout, tileRows: number): number {
  return (
    slab.n * layout.sampleBytes +
    layout.interior +
    slab.d * layout.planeBytes +
    slab.strip * 2 * tileRows * layout.rowBytes
  );
}

/** First voxel of the window around an interior voxel. */
const windowStart = (layout: Layout, kd: number): number =>
  (kd >> 1) * layout.planeBytes + layout.rowBytes + layout.pixelBytes;

const sourceOf = (layout: Layout): WinogradSource => ({
  vectors: layout.padded / 4,
  pixelBytes: layout.pixelBytes,
  rowBytes: layout.rowBytes,
  planeBytes: layout.planeBytes,
});

function geometry(inputs: Layout[], output: Layout): { tilesW: number; tileRows: number; sources: WinogradSource[] } {
  const sources = inputs.map(sourceOf);
  const channels = sources.reduce((sum, source) => sum + source.vectors * 4, 0);
  const [, H, W] = output.shape;
  return { tilesW: W / 2, tileRows: stripRows(W / 2, H / 2, channels), sources };
}

/** Number of tasks, and so of statistics areas, of {@link winogradTasks}. */
export function winogradSlabCount(inputs: Layout[], output: Layout, batch: number): number {
  return stripSlabs(output.shape, batch, geometry(inputs, output).tileRows, TASKS).length;
}

/** out = epilogue(conv(inputs)) with transformed weights. */
export function winogradTasks(b: ProgramBuilder, options: ConvCall & { output: Placed; epilogue: Epilogue }): Task[] {
  const { inputs, output, epilogue } = options;
  const kd = options.kernel[0] === 3 ? 3 : 1;
  const shape = geometry(
    inputs.map((input) => input.layout),
    output.layout,
  );
  const spec: WinogradSpec = {
    kd,
    ...shape,
    vectors: options.vectors,
    V: options.V,
    outPixel: output.layout.pixelBytes,
    outRow: output.layout.rowBytes,
    outPlane: output.layout.planeBytes,
    bias: epilogue.bias !== null,
    slope: epilogue.slope,
    affine: epilogue.affine,
    stats: epilogue.stats !== null,
  };
  const kernel = b.kernel(["winograd", spec], 7 + inputs.length, (f) => emitWinograd(f, spec, b.tiles));
  return stripSlabs(output.layout.shape, options.batch, shape.tileRows, TASKS).map((slab, i): Task => {
    const stats = epilogue.stats ? epilogue.stats.address + i * epilogue.stats.stride : 0;
    const call: Call = {
      kernel,
      args: [
        output.address + start(slab, output.layout, shape.tileRows),
        options.weights,
        epilogue.bias ?? 0,
        stats,
        b.scratch(winogradScratch(spec)),
        slab.planes,
        slab.strips,
        ...inputs.map((x) => x.address + start(slab, x.layout, shape.tileRows) - windowStart(x.layout, kd)),
      ],
    };
    if (!epilogue.stats) return [call];
    return [b.op({ op: "zero", address: stats, bytes: epilogue.stats.stride }), call];
  });
}

type PackedForWinograd = Pick<PackedConv, "kernel" | "V" | "blockFloats" | "vectors"> & {
  sources: { offset: number; walked: number }[];
};

/** The walk over packed weights for the transforms. */
function winogradWeights(packed: PackedForWinograd): WinogradWeights {
  return {
    kd: packed.kernel[0],
    V: packed.V,
    blockFloats: packed.blockFloats,
    sources: packed.sources.map(({ offset, walked }) => ({ offset, channels: walked })),
  };
}

/** U = G g G' of the packed weights at `from`, into new memory; one task a channel block. */
export function transformWeights(
  b: ProgramBuilder,
  packed: PackedForWinograd,
  from: number,
  arena: Arena,
): { address: number; tasks: Task[] } {
  const spec = winogradWeights(packed);
  const blocks = packed.vectors / packed.V;
  const blockFloats = transformedBlockFloats(spec);
  const address = arena.take(blocks * blockFloats * 4);
  const kernel = b.kernel(["winogradWeights", spec], 3, (f) => emitWeightTransform(f, spec));
  const tasks = Array.from(
    { length: blocks },
    (_, block): Task => [
      { kernel, args: [from + block * packed.blockFloats * 4, address + block * blockFloats * 4, 1] },
    ],
  );
  return { address, tasks };
}

/** dW by transformed tiles, or null where the parts of the tasks would need too much memory. */
export function winogradWeightGradient(
  b: ProgramBuilder,
  options: { packed: PackedConv; inputs: Placed[]; grad: Placed; batch: number },
  memory: { gradient: number; partials: number },
): WeightGradientWork | null {
  const { packed, inputs, grad } = options;
  const weights = winogradWeights(packed);
  const blocks = packed.vectors / packed.V;
  const floats = blocks * transformedBlockFloats(weights);
  const most = Math.min(TASKS, Math.floor(PARTIAL_BYTES / (floats * 4)));
  if (most < 2 * options.batch) return null;
  const kd = packed.kernel[0] === 3 ? 3 : 1;
  const shape = geometry(
    inputs.map((input) => input.layout),
    grad.layout,
  );
  const spec: WinogradGradientSpec = {
    kd,
    ...shape,
    vectors: packed.vectors,
    V: packed.V,
    gradPixel: grad.layout.pixelBytes,
    gradRow: grad.layout.rowBytes,
    gradPlane: grad.layout.planeBytes,
  };
  const kernel = b.kernel(["winogradGradient", spec], 5 + inputs.length, (f) => emitWinogradGradient(f, spec, b.tiles));
  const slabs = stripSlabs(grad.layout.shape, options.batch, shape.tileRows, most);
  const tasks = slabs.map((slab, i): Task => {
    const to = memory.partials + i * floats * 4;
    return [
      b.op({ op: "zero", address: to, bytes: floats * 4 }),
      {
        kernel,
        args: [
          grad.address + start(slab, grad.layout, shape.tileRows),
          to,
          b.scratch(winogradGradientScratch(spec)),
          slab.planes,
          slab.strips,
          ...inputs.map((x) => x.address + start(slab, x.layout, shape.tileRows) - windowStart(x.layout, kd)),
        ],
      },
    ];
  });
  const back = b.kernel(["winogradWeightGradient", weights], 3, (f) => emitWeightGradientTransform(f, weights));
  // Block by block, so that threads share the merging.
  const blockFloats = floats / blocks;
  const merge = Array.from({ length: blocks }, (_, block): Task => {
    const from = memory.partials + block * blockFloats * 4;
    const stride = floats * 4;
    return [
      mergeCall(b, { from, to: from, slabs: slabs.length, stride, floats: blockFloats }),
      { kernel: back, args: [memory.gradient + block * packed.blockFloats * 4, from, 1] },
    ];
  });
  return { tasks, merge, partialBytes: slabs.length * floats * 4 };
}
