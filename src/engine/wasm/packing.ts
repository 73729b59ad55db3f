import type { ConvNode, Graph, UpconvNode } from "../graph.ts";
import type { SourceWalk } from "./conv.ts";
import { type Layout, padChannels } from "./layout.ts";
import { blockVectors, type TileChoice } from "./tiles.ts";

/** One input's part of a packed convolution weight. */
interface PackedSource {
  channels: number;
  /** Channels the kernel walks: the true ones, or the padded ones where the run is long. */
  walked: number;
  /** Floats from the start of a channel block. */
  offset: number;
}

/**
 * Weights as the forward kernel reads them: [channel block][source][kd][kh][kw, channel][4 V]. The optimiser, the weight
 * gradient and the forward pass all use this form; natural (PyTorch) order only at the edges.
 */
export interface PackedConv {
  kernel: readonly [number, number, number];
  outChannels: number;
  /** 128-bit vectors of the padded output channels, V of them in a block. */
  vectors: number;
  V: number;
  sources: PackedSource[];
  blockFloats: number;
  floats: number;
}

/** Channels a kernel walks in a tensor of this layout when it visits `kw` taps along W. */
export function walkedChannels(layout: Layout, kw: number): number {
  if (kw === 1 || layout.channels === layout.padded || layout.channels <= 24) return layout.channels;
  return layout.padded;
}

export function packConv(node: ConvNode, inputs: Layout[], outChannels: number, tiles: TileChoice): PackedConv {
  const taps = node.kernel[0] * node.kernel[1] * node.kernel[2];
  const vectors = padChannels(outChannels) / 4;
  const V = blockVectors(vectors, tiles);
  let offset = 0;
  const sources = inputs.map((layout) => {
    const walked = walkedChannels(layout, node.kernel[2]);
    const source = { channels: layout.channels, walked, offset };
    offset += taps * walked * 4 * V;
    return source;
  });
  return {
    kernel: node.kernel,
    outChannels,
    vectors,
    V,
    sources,
    blockFloats: offset,
    floats: (offset * vectors) / V,
  };
}

/** How the forward kernel (and the weight gradient) walks an input; also the data gradient over the output's gradient. */
export function convWalk(layout: Layout, kernel: readonly [number, number, number]): SourceWalk {
  const walked = walkedChannels(layout, kernel[2]);
  const contiguous = kernel[2] === 1 || walked === layout.padded;
  return {
    kd: kernel[0],
    kh: kernel[1],
    tapPlane: layout.planeBytes,
    tapRow: layout.rowBytes,
    chunks: contiguous ? 1 : kernel[2],
    steps: contiguous ? kernel[2] * walked : walked,
    chunkAdvance: layout.pixelBytes,
    stepPixel: layout.pixelBytes,
    stepRow: layout.rowBytes,
    stepPlane: layout.planeBytes,
  };
}

/** Visits every weight: index in natural order [Cout, Cin, kD, kH, kW] and in packed order. */
export function eachConvWeight(packed: PackedConv, visit: (natural: number, at: number) => void): void {
  const [KD, KH, KW] = packed.kernel;
  const taps = KD * KH * KW;
  const lanes = 4 * packed.V;
  let natural = 0;
  for (let co = 0; co < packed.outChannels; co++) {
    const base = Math.floor(co / lanes) * packed.blockFloats + (co % lanes);
    for (const source of packed.sources) {
      for (let ci = 0; ci < source.channels; ci++) {
        for (let tap = 0; tap < taps; tap++) {
          visit(natural++, base + source.offset + (tap * source.walked + ci) * lanes);
        }
      }
    }
  }
}

/**
 * Transposed convolution as a convolution-like kernel: for each (fD, fH) offset, [channel block][input channel][4 V] over the
 * fW x padded output floats that lie behind each other in memory.
 */
export interface PackedUpconv {
  factor: readonly [number, number, number];
  inChannels: number;
  outChannels: number;
  outPadded: number;
  vectors: number;
  V: number;
  /** Floats of one (fD, fH) offset, and of one channel block in it. */
  offsetFloats: number;
  blockFloats: number;
  floats: number;
}

export function packUpconv(node: UpconvNode, inChannels: number, outChannels: number, tiles: TileChoice): PackedUpconv {
  const outPadded = padChannels(outChannels);
  const vectors = (node.factor[2] * outPadded) / 4;
  const V = blockVectors(vectors, tiles);
  const offsetFloats = inChannels * vectors * 4;
  return {
    factor: node.factor,
    inChannels,
    outChannels,
    outPadded,
    vectors,
    V,
    offsetFloats,
    blockFloats: inChannels * 4 * V,
    floats: node.factor[0] * node.factor[1] * offsetFloats,
  };
}

/** Visits every weight: index in natural order [Cin, Cout, fD, fH, fW] and in packed order. */
export function eachUpconvWeight(packed: PackedUpconv, visit: (natural: number, at: number) => void): void {
  const [FD, FH, FW] = packed.factor;
  const lanes = 4 * packed.V;
  let natural = 0;
  for (let ci = 0; ci < packed.inChannels; ci++) {
    for (let co = 0; co < packed.outChannels; co++) {
      for (let ab = 0; ab < FD * FH; ab++) {
        for (let c = 0; c < FW; c++) {
          const channel = c * packed.outPadded + co;
          const block = Math.floor(channel / lanes) * packed.blockFloats;
          visit(natural++, ab * packed.offsetFloats + block + ci * lanes + (channel % lanes));
        }
      }
    }
  }
}

/** Two's depth halo where any kernel is 3 deep. */
export function haloDepth(graph: Graph): 0 | 1 {
  return graph.nodes.some((node) => node.kind === "conv" && node.kernel[0] === 3) ? 1 : 0;
}

/** Sizes for {@link transposeConv}. */
export interface TransposePlan {
  kernel: readonly [number, number, number];
  /** Of the forward weight. */
  lanes: number;
  blockFloats: number;
  sourceOffset: number;
  walked: number;
  inChannels: number;
  outChannels: number;
  /** Of the data gradient's weight: output channels walked, vectors of the padded input channels, V of them a block. */
  outWalked: number;
  vectors: number;
  V: number;
}

/** The data gradient's weights of one source: flipped taps, input and output channels exchanged. */
export function transposeConv(from: Float32Array, to: Float32Array, plan: TransposePlan): void {
  const [KD, KH, KW] = plan.kernel;
  const taps = KD * KH * KW;
  const width = 4 * plan.V;
  let at = 0;
  for (let block = 0; block < plan.vectors / plan.V; block++) {
    const first = block * width;
    const present = Math.max(0, Math.min(width, plan.inChannels - first));
    for (let tap = taps - 1; tap >= 0; tap--) {
      for (let co = 0; co < plan.outWalked; co++) {
        let lane = 0;
        if (co < plan.outChannels) {
          let index =
            Math.floor(co / plan.lanes) * plan.blockFloats +
            plan.sourceOffset +
            (tap * plan.walked + first) * plan.lanes +
            (co % plan.lanes);
          for (; lane < present; lane++, index += plan.lanes) to[at + lane] = from[index];
        }
        for (; lane < width; lane++) to[at + lane] = 0;
        at += width;
      }
    }
  }
}

/** The transposed convolution's data-gradient weights: [input-channel block][fD][fH][fW, padded output channel][4 V]. */
export function transposeUpconv(
  from: Float32Array,
  to: Float32Array,
  packed: PackedUpconv,
  gradient: { vectors: number; V: number },
): void {
  const width = 4 * gradient.V;
  const lanes = 4 * packed.V;
  const run = packed.factor[2] * packed.outPadded;
  let at = 0;
  for (let block = 0; block < gradient.vectors / gradient.V; block++) {
    const first = block * width;
    const present = Math.max(0, Math.min(width, packed.inChannels - first));
    for (let ab = 0; ab < packed.factor[0] * packed.factor[1]; ab++) {
      for (let channel = 0; channel < run; channel++) {
        let index =
          ab * packed.offsetFloats +
          Math.floor(channel / lanes) * packed.blockFloats +
          first * lanes +
          (channel % lanes);
        let lane = 0;
        for (; lane < present; lane++, index += lanes) to[at + lane] = from[index];
        for (; lane < width; lane++) to[at + lane] = 0;
        at += width;
      }
    }
  }
}
