import { type Epilogues, flushRowSums } from "./conv.ts";
import type { FunctionBuilder, Local } from "./emit.ts";
import { divisorUpTo, type TileChoice } from "./tiles.ts";
import { type LineRegisters, lineRegisters, positionsOf, type TileSize } from "./winograd-lines.ts";
import { emitOutputTransform, outputRowsBytes } from "./winograd-output.ts";
import {
  emitTransformedPlane,
  positionBytes,
  rowsBytes,
  type TransformLoops,
  transformLoops,
} from "./winograd-planes.ts";
import { productEmitter } from "./winograd-products.ts";

/** A tensor that is read tile by tile. */
export interface WinogradSource {
  /** 128-bit vectors of a voxel. */
  vectors: number;
  pixelBytes: number;
  rowBytes: number;
  planeBytes: number;
}

/** Tiles of m x m outputs; a strip is `tileRows` rows of `tilesW` tiles, `segments` strips lie side by side along W. */
export interface Strips {
  m: TileSize;
  tilesW: number;
  segments: number;
  tileRows: number;
  sources: WinogradSource[];
}

/**
 * Winograd's minimal filtering F(m x m, 3x3) in the H, W plane, depth direct (Lavin & Gray 2016, section 4.1): 4 outputs of a plane cost 16
 * multiplications instead of 36 with m = 2, 16 outputs 36 instead of 144 with m = 4. With d an input window, g a 3x3 filter and *
 * element by element: y = A' [(G g G') * (B' d B)] A, summed over input channels and depth taps between the brackets and A.
 *
 * Work goes strip by strip. A strip's transformed input stays in cache as a ring of kd planes [position][tile][channel]; for each
 * position a small matrix product makes [tile][4 V].
 */
export interface WinogradSpec extends Epilogues, Strips {
  kd: 1 | 3;
  /** 128-bit output vectors a voxel, V of them in a block. */
  vectors: number;
  V: number;
  outPixel: number;
  outRow: number;
  outPlane: number;
}

export const channelsOf = (sources: readonly { vectors: number }[]): number =>
  sources.reduce((sum, source) => sum + source.vectors * 4, 0);

/** Bytes of one transformed plane of a strip. */
export const stripBytes = ({ m, tilesW, tileRows }: Omit<Strips, "sources" | "segments">, channels: number): number =>
  positionsOf(m) * positionBytes(tilesW * tileRows, channels);

/** Scratch memory of a call: the ring of input planes, the products of one channel block, a transform's rows in between. */
export function winogradScratch(spec: WinogradSpec): number {
  const rows = Math.max(rowsBytes(spec, mostChannels(spec.sources)), outputRowsBytes(spec));
  return spec.kd * stripBytes(spec, channelsOf(spec.sources)) + stripBytes(spec, 4 * spec.V) + rows;
}

export const mostChannels = (sources: readonly WinogradSource[]): number =>
  Math.max(...sources.map((source) => source.vectors * 4));

/** Cuts a plane of tiles into strips of about 32 tiles, fewer where the channels would push the ring out of the cache. */
export function stripsOf(m: TileSize, tilesW: number, tilesH: number, sources: WinogradSource[]): Strips {
  const most = Math.max(1, Math.min(32, 2048 / channelsOf(sources)));
  const width = divisorUpTo(tilesW, Math.max(most, 8));
  return { m, tilesW: width, segments: tilesW / width, tileRows: divisorUpTo(tilesH, most / width), sources };
}

/**
 * Arguments: output, transformed weights, bias, statistics, scratch, planes, strip rows, then one address a source (its window's
 * first voxel). Weights: [channel block][position][kd][input channel][4 V].
 */
export function emitWinograd(f: FunctionBuilder, spec: WinogradSpec, tiles: TileChoice): void {
  const [OUT, WEIGHTS, BIAS, STATS, SCRATCH, PLANES, STRIPS] = [0, 1, 2, 3, 4, 5, 6];
  const { m, V, kd } = spec;
  const channels = channelsOf(spec.sources);
  const T = spec.tilesW * spec.tileRows;
  const ringBytes = stripBytes(spec, channels);
  const planeCount = f.int();
  const ring = Array.from({ length: kd }, () => f.int());
  const [products, outPlane, held] = [f.int(), f.int(), f.int()];
  const source = spec.sources.map(() => f.int());
  const loops = transformLoops(f);
  const registers = lineRegisters(f);

  const inputPlane = planeEmitter(f, spec, source, loops, registers);
  const multiply = productEmitter(f, { m, T, V, kd, channels }, tiles);
  const [blockCount, w, op, bp, sp] = [f.int(), f.int(), f.int(), f.int(), f.int()];

  const strip = (): void => {
    f.copy(OUT, outPlane);
    spec.sources.forEach((_, s) => {
      f.copy(7 + s, source[s]);
    });
    ring.forEach((slot, k) => {
      f.copy(SCRATCH, slot, k * ringBytes);
    });
    f.copy(SCRATCH, products, kd * ringBytes);
    f.copy(products, loops.buffer, stripBytes(spec, 4 * V));
    // The ring's newest plane is made at each step; the earlier ones before the first.
    for (let k = 0; k < kd - 1; k++) inputPlane(ring[k]);
    f.repeat(planeCount, { local: PLANES }, () => {
      inputPlane(ring[kd - 1]);
      f.copy(WEIGHTS, w).copy(outPlane, op).copy(BIAS, bp).copy(STATS, sp);
      f.repeat(blockCount, spec.vectors / V, () => {
        multiply(ring, w, products);
        emitOutputTransform(f, spec, { products, op, bp, sp }, loops, registers);
        for (const local of [op, bp, sp]) f.advance(local, 16 * V);
      });
      if (spec.stats) flushRowSums(f, spec.vectors, STATS, sp, blockCount, registers.t[0]);
      rotateRing(f, ring, held);
      f.advance(outPlane, spec.outPlane);
    });
  };
  const walks = spec.sources.map((walk, s) => ({ local: 7 + s, pixel: walk.pixelBytes, row: walk.rowBytes }));
  eachStrip(f, spec, STRIPS, [{ local: OUT, pixel: spec.outPixel, row: spec.outRow }, ...walks], strip);
}

/** Runs `body` for all strips, the pointers going along W, then down. */
export function eachStrip(
  f: FunctionBuilder,
  { m, tilesW, tileRows, segments }: Strips,
  rows: Local,
  pointers: { local: Local; pixel: number; row: number }[],
  body: () => void,
): void {
  const [rowCount, segmentCount] = [f.int(), f.int()];
  f.repeat(rowCount, { local: rows }, () => {
    f.repeat(segmentCount, segments, () => {
      body();
      for (const { local, pixel } of pointers) f.advance(local, m * tilesW * pixel);
    });
    for (const { local, pixel, row } of pointers) f.advance(local, m * (tileRows * row - segments * tilesW * pixel));
  });
}

/** The oldest plane's memory becomes the newest's. */
export function rotateRing(f: FunctionBuilder, ring: Local[], held: Local): void {
  if (ring.length === 3) f.copy(ring[0], held).copy(ring[1], ring[0]).copy(ring[2], ring[1]).copy(held, ring[2]);
}

/** Returns the emitter of a strip's next transformed plane, all sources' channels behind each other, into the ring's slot `to`. */
export function planeEmitter(
  f: FunctionBuilder,
  spec: Strips,
  source: Local[],
  loops: TransformLoops,
  registers: LineRegisters,
): (to: Local) => void {
  const { m, tilesW, tileRows } = spec;
  const channels = channelsOf(spec.sources);
  return (to) => {
    let offset = 0;
    spec.sources.forEach(({ vectors, rowBytes, planeBytes }, s) => {
      const walk = { m, tilesW, tileRows, vectors, rowBytes, channels, offset };
      emitTransformedPlane(f, "input", walk, source[s], to, loops, registers);
      f.advance(source[s], planeBytes);
      offset += vectors * 16;
    });
  };
}
