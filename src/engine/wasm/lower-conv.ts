import { type ConvKernelSpec, emitConv, type SourceWalk, tileHeight } from "./conv.ts";
import type { Layout } from "./layout.ts";
import { winogradSlabCount, winogradTasks, winogradTile } from "./lower-winograd.ts";
import { convWalk, type PackedConv, type PackedUpconv } from "./packing.ts";
import type { ProgramBuilder, Task } from "./program.ts";
import { type Slab, slabStart, slabsOf } from "./slabs.ts";
import { blockVectors } from "./tiles.ts";

/** A tensor at its byte address. */
export interface Placed {
  layout: Layout;
  address: number;
}

/** What follows the sum in a convolution kernel. */
export interface Epilogue {
  /** Byte address of bias (with a and b vectors behind it when `affine`), or null. */
  bias: number | null;
  slope: number | null;
  affine: boolean;
  /** Area of each slab's sums, in slab order. */
  stats: { address: number; stride: number } | null;
}

/** A convolution without what follows it. */
export interface ConvCall {
  kernel: readonly [number, number, number];
  inputs: Placed[];
  /** 128-bit vectors of the output, V of them in a block of the packed weights. */
  vectors: number;
  V: number;
  /** Byte address of the weights, transformed where Winograd's tiles fit. */
  weights: number;
  batch: number;
}

const noEpilogue: Epilogue = { bias: null, slope: null, affine: false, stats: null };

/** Distance from an interior voxel to the first tap of its window. */
function windowStart(layout: Layout, kernel: readonly [number, number, number]): number {
  const [kd, kh, kw] = kernel;
  return (kd >> 1) * layout.planeBytes + (kh >> 1) * layout.rowBytes + (kw >> 1) * layout.pixelBytes;
}

function outputSteps(output: Layout): Pick<ConvKernelSpec, "outPixel" | "outRow" | "outPlane"> {
  return { outPixel: output.pixelBytes, outRow: output.rowBytes, outPlane: output.planeBytes };
}

/** The kernel for a spec, its rows per tile, and the slabs its calls are cut into. */
function prepare(
  b: ProgramBuilder,
  spec: ConvKernelSpec,
  depth: number,
  batch: number,
): { kernel: number; R: number; slabs: Slab[] } {
  const kernel = b.kernel(["conv", spec], 6 + spec.sources.length, (f) => emitConv(f, spec, b.tiles));
  const R = tileHeight(spec, b.tiles);
  return { kernel, R, slabs: slabsOf([depth, spec.height, spec.width], batch, R) };
}

/** out = epilogue(conv(inputs)); one task a slab. Also the data gradient, with the transposed weights and no epilogue. */
export function convTasks(b: ProgramBuilder, options: ConvCall & { output: Placed; epilogue?: Epilogue }): Task[] {
  const { kernel, inputs, output, weights, batch } = options;
  const epilogue = options.epilogue ?? noEpilogue;
  const layouts = inputs.map((input) => input.layout);
  const m = winogradTile(b, kernel, layouts, output.layout);
  if (m) return winogradTasks(b, m, { ...options, epilogue });
  const [D, H, W] = output.layout.shape;
  const spec: ConvKernelSpec = {
    width: W,
    height: H,
    sources: inputs.map((input) => convWalk(input.layout, kernel)),
    vectors: options.vectors,
    V: options.V,
    ...outputSteps(output.layout),
    bias: epilogue.bias !== null,
    slope: epilogue.slope,
    affine: epilogue.affine,
    stats: epilogue.stats !== null,
  };
  const { kernel: number, R, slabs } = prepare(b, spec, D, batch);
  return slabs.map((slab, i) => {
    const stats = epilogue.stats ? epilogue.stats.address + i * epilogue.stats.stride : 0;
    const call = {
      kernel: number,
      args: [
        output.address + slabStart(slab, output.layout),
        weights,
        epilogue.bias ?? 0,
        stats,
        slab.planes,
        slab.rows / R,
        ...inputs.map((x) => x.address + slabStart(slab, x.layout) - windowStart(x.layout, kernel)),
      ],
    };
    if (!epilogue.stats) return [call];
    return [b.op({ op: "zero", address: stats, bytes: epilogue.stats.stride }), call];
  });
}

/** Number of slabs that {@link convTasks} makes for an output: for the size of the statistics areas. */
export function convSlabCount(
  b: ProgramBuilder,
  call: Pick<ConvCall, "kernel" | "inputs" | "V" | "batch">,
  output: Layout,
): number {
  const { V, batch } = call;
  const inputs = call.inputs.map((input) => input.layout);
  const m = winogradTile(b, call.kernel, inputs, output);
  if (m) return winogradSlabCount(m, inputs, output, batch);
  const [D, H, W] = output.shape;
  return slabsOf([D, H, W], batch, tileHeight({ width: W, height: H, V }, b.tiles)).length;
}

/** A transposed convolution; its bias is repeated along W. */
export interface UpconvCall {
  packed: PackedUpconv;
  input: Placed;
  weights: number;
  bias: number;
  batch: number;
}

/** Transposed convolution: for each offset (fD, fH) a convolution-like kernel whose output is fW neighbouring voxels at once. */
export function upconvTasks(b: ProgramBuilder, options: UpconvCall & { output: Placed }): Task[] {
  const { packed, input, output, batch } = options;
  const [FD, FH, FW] = packed.factor;
  const [D, H, W] = input.layout.shape;
  const spec: ConvKernelSpec = {
    width: W,
    height: H,
    sources: [pointWalk(input.layout, packed.inChannels)],
    vectors: packed.vectors,
    V: packed.V,
    outPixel: FW * output.layout.pixelBytes,
    outRow: FH * output.layout.rowBytes,
    outPlane: FD * output.layout.planeBytes,
    bias: true,
    slope: null,
    affine: false,
    stats: false,
  };
  const { kernel, R, slabs } = prepare(b, spec, D, batch);
  return slabs.map((slab) =>
    eachOffset(packed, output.layout).map(({ index, bytes }) => ({
      kernel,
      args: [
        output.address + slabStart(slab, output.layout, packed.factor) + bytes,
        options.weights + index * packed.offsetFloats * 4,
        options.bias,
        0,
        slab.planes,
        slab.rows / R,
        input.address + slabStart(slab, input.layout),
      ],
    })),
  );
}

/** The gradient of a transposed convolution's input: a strided convolution over the fine gradient. */
export function upconvDataGradientTasks(
  b: ProgramBuilder,
  options: { packed: PackedUpconv; fine: Placed; coarse: Placed; weights: number; batch: number },
): Task[] {
  const { packed, fine, coarse, batch } = options;
  const [FD, FH, FW] = packed.factor;
  const [D, H, W] = coarse.layout.shape;
  const vectors = coarse.layout.padded / 4;
  const spec: ConvKernelSpec = {
    width: W,
    height: H,
    sources: [
      {
        kd: FD,
        kh: FH,
        tapPlane: fine.layout.planeBytes,
        tapRow: fine.layout.rowBytes,
        chunks: 1,
        steps: FW * packed.outPadded,
        chunkAdvance: 0,
        stepPixel: FW * fine.layout.pixelBytes,
        stepRow: FH * fine.layout.rowBytes,
        stepPlane: FD * fine.layout.planeBytes,
      },
    ],
    vectors,
    V: blockVectors(vectors, b.tiles),
    ...outputSteps(coarse.layout),
    bias: false,
    slope: null,
    affine: false,
    stats: false,
  };
  const { kernel, R, slabs } = prepare(b, spec, D, batch);
  return slabs.map((slab) => [
    {
      kernel,
      args: [
        coarse.address + slabStart(slab, coarse.layout),
        options.weights,
        0,
        0,
        slab.planes,
        slab.rows / R,
        fine.address + slabStart(slab, fine.layout, packed.factor),
      ],
    },
  ]);
}

/** One voxel at a time, the first `channels` floats. */
export function pointWalk(layout: Layout, channels: number): SourceWalk {
  return { ...convWalk(layout, [1, 1, 1]), steps: channels };
}

/** The (fD, fH) offsets of a transposed convolution: number and byte distance in the fine tensor. */
export function eachOffset(packed: PackedUpconv, fine: Layout): { index: number; bytes: number }[] {
  const offsets: { index: number; bytes: number }[] = [];
  for (let a = 0; a < packed.factor[0]; a++) {
    for (let h = 0; h < packed.factor[1]; h++) {
      offsets.push({ index: offsets.length, bytes: a * fine.planeBytes + h * fine.rowBytes });
    }
  }
  return offsets;
}

/** First byte that the weight gradient reads of an input for a slab. */
export function inputWindow(input: Placed, slab: Slab, kernel: PackedConv["kernel"]): number {
  return input.address + slabStart(slab, input.layout) - windowStart(input.layout, kernel);
}
