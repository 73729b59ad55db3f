import type { Arena } from "./arena.ts";
import type { Layout } from "./layout.ts";
import type { ConvCall, Epilogue, Placed } from "./lower-conv.ts";
import { type PackedConv, walkedChannels } from "./packing.ts";
import { mergeCall, PARTIAL_BYTES, type WeightGradientWork } from "./partials.ts";
import type { Call, ProgramBuilder, Task } from "./program.ts";
import {
  emitWinograd,
  type Strips,
  stripsOf,
  type WinogradSource,
  type WinogradSpec,
  winogradScratch,
} from "./winograd.ts";
import { emitWinogradGradient, type WinogradGradientSpec, winogradGradientScratch } from "./winograd-gradient.ts";
import { positionsOf, type TileSize } from "./winograd-lines.ts";
import {
  emitWeightGradientTransform,
  emitWeightTransform,
  transformedBlockFloats,
  type WinogradWeights,
} from "./winograd-weights.ts";

type Kernel = readonly [number, number, number];

/**
 * The tile of a convolution, or 0 for direct convolution. The larger tile is 1.3 to 1.7 times as fast at all widths from 4 to 256 channels
 * and planes from 8x8 to 256x256 (measured on Zen 4, one thread, forward and weight gradient); it is not used where its weights would take more memory than
 * the tensors of a sample. Rows and columns must divide into tiles, and every channel that the kernel
 * walks must lie in memory in whole vectors.
 */
export function winogradTile(b: ProgramBuilder, kernel: Kernel, inputs: Layout[], output: Layout): TileSize | 0 {
  const [, H, W] = output.shape;
  const { winogradFrom: from, winogradTile: forced } = b.tiles;
  const fits =
    kernel[1] === 3 &&
    kernel[2] === 3 &&
    H % 2 === 0 &&
    W % 2 === 0 &&
    W >= 8 &&
    H >= 8 &&
    output.padded >= from &&
    inputs.every((x) => x.padded >= from && x.padded % 4 === 0 && walkedChannels(x, 3) === x.padded);
  if (!fits) return 0;
  if (forced === 2 || H % 4 !== 0 || W % 4 !== 0) return 2;
  if (forced === 4) return 4;
  const channels = inputs.reduce((sum, x) => sum + x.padded, 0);
  const weights = positionsOf(4) * kernel[0] * channels * output.padded;
  return weights <= (channels + output.padded) * output.shape[0] * H * W ? 4 : 2;
}

/** A range of strips and planes of one sample. */
interface StripSlab {
  n: number;
  d: number;
  planes: number;
  strip: number;
  strips: number;
}

/** Cuts the work, strips of `rows` voxels along H, by shape alone into at most `most` tasks; depth is cut only where that costs few repeated planes. */
function stripSlabs(shape: readonly number[], batch: number, rows: number, most: number): StripSlab[] {
  const [D, H] = shape;
  const strips = H / rows;
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

function start(slab: StripSlab, layout: Layout, rows: number): number {
  return (
    slab.n * layout.sampleBytes + layout.interior + slab.d * layout.planeBytes + slab.strip * rows * layout.rowBytes
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

function geometry(m: TileSize, inputs: Layout[], output: Layout): Strips {
  const [, H, W] = output.shape;
  return stripsOf(m, W / m, H / m, inputs.map(sourceOf));
}

/** Rows of voxels in a strip. */
const rowsOf = ({ m, tileRows }: Strips): number => m * tileRows;

/** Number of tasks, and so of statistics areas, of {@link winogradTasks}. */
export function winogradSlabCount(m: TileSize, inputs: Layout[], output: Layout, batch: number): number {
  return stripSlabs(output.shape, batch, rowsOf(geometry(m, inputs, output)), TASKS).length;
}

/** out = epilogue(conv(inputs)) with transformed weights. */
export function winogradTasks(
  b: ProgramBuilder,
  m: TileSize,
  options: ConvCall & { output: Placed; epilogue: Epilogue },
): Task[] {
  const { inputs, output, epilogue } = options;
  const kd = options.kernel[0] === 3 ? 3 : 1;
  const shape = geometry(
    m,
    inputs.map((input) => input.layout),
    output.layout,
  );
  const rows = rowsOf(shape);
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
  const kernel = b.kernel([`winograd${m}`, spec], 7 + inputs.length, (f) => emitWinograd(f, spec, b.tiles));
  return stripSlabs(output.layout.shape, options.batch, rows, TASKS).map((slab, i): Task => {
    const stats = epilogue.stats ? epilogue.stats.address + i * epilogue.stats.stride : 0;
    const call: Call = {
      kernel,
      args: [
        output.address + start(slab, output.layout, rows),
        options.weights,
        epilogue.bias ?? 0,
        stats,
        b.threadScratch(winogradScratch(spec)),
        slab.planes,
        slab.strips,
        ...inputs.map((x) => x.address + start(slab, x.layout, rows) - windowStart(x.layout, kd)),
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
function winogradWeights(m: TileSize, packed: PackedForWinograd): WinogradWeights {
  return {
    m,
    kd: packed.kernel[0],
    V: packed.V,
    blockFloats: packed.blockFloats,
    sources: packed.sources.map(({ offset, walked }) => ({ offset, channels: walked })),
  };
}

/** U = G g G' of the packed weights at `from`, into new memory; one task a channel block. */
export function transformWeights(
  b: ProgramBuilder,
  m: TileSize,
  packed: PackedForWinograd,
  from: number,
  arena: Arena,
): { address: number; tasks: Task[] } {
  const spec = winogradWeights(m, packed);
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
  largest: TileSize,
  options: { packed: PackedConv; inputs: Placed[]; grad: Placed; batch: number },
  memory: { gradient: number; partials: number },
): WeightGradientWork | null {
  const { packed, inputs, grad } = options;
  const blocks = packed.vectors / packed.V;
  const sizes = ([4, 2] as const)
    .filter((m) => m <= largest)
    .map((m) => {
      const weights = winogradWeights(m, packed);
      const floats = blocks * transformedBlockFloats(weights);
      return { m, weights, floats, most: Math.min(TASKS, Math.floor(PARTIAL_BYTES / (floats * 4))) };
    });
  const size = sizes.find(({ most }) => most >= 2 * options.batch);
  if (!size) return null;
  const { m, weights, floats, most } = size;
  const kd = packed.kernel[0] === 3 ? 3 : 1;
  const shape = geometry(
    m,
    inputs.map((input) => input.layout),
    grad.layout,
  );
  const rows = rowsOf(shape);
  const spec: WinogradGradientSpec = {
    kd,
    ...shape,
    vectors: packed.vectors,
    V: packed.V,
    gradPixel: grad.layout.pixelBytes,
    gradRow: grad.layout.rowBytes,
    gradPlane: grad.layout.planeBytes,
  };
  const kernel = b.kernel([`winogradGradient${m}`, spec], 5 + inputs.length, (f) =>
    emitWinogradGradient(f, spec, b.tiles),
  );
  const slabs = stripSlabs(grad.layout.shape, options.batch, rows, most);
  const tasks = slabs.map((slab, i): Task => {
    const to = memory.partials + i * floats * 4;
    return [
      b.op({ op: "zero", address: to, bytes: floats * 4 }),
      {
        kernel,
        args: [
          grad.address + start(slab, grad.layout, rows),
          to,
          b.threadScratch(winogradGradientScratch(spec)),
          slab.planes,
          slab.strips,
          ...inputs.map((x) => x.address + start(slab, x.layout, rows) - windowStart(x.layout, kd)),
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
