import { type Epilogues, flushRowSums } from "./conv.ts";
import type { FunctionBuilder, Local } from "./emit.ts";
import { divisorUpTo, evenParts, type TileChoice, tileRows } from "./tiles.ts";
import { emitOutputTransform } from "./winograd-output.ts";

/** A tensor that is read tile by tile. */
export interface WinogradSource {
  /** 128-bit vectors of a voxel. */
  vectors: number;
  pixelBytes: number;
  rowBytes: number;
  planeBytes: number;
}

/**
 * Winograd's minimal filtering F(2x2, 3x3) in the H, W plane, depth direct (Lavin & Gray 2016, section 4.1): 4 outputs of a plane cost 16
 * multiplications instead of 36. With d a 4x4 input tile, g a 3x3 filter and * element by element:
 * y = A' [(G g G') * (B' d B)] A, summed over input channels and depth taps between the brackets and A.
 *
 * Work goes strip by strip: a strip is some rows of 2x2 tiles. Its transformed input stays in cache as a ring of kd planes
 * [16][tile][channel]; for each of the 16 positions a small matrix product makes [tile][4 V].
 */
export interface WinogradSpec extends Epilogues {
  kd: 1 | 3;
  /** Tiles along W, and tile rows of a strip. */
  tilesW: number;
  tileRows: number;
  sources: WinogradSource[];
  /** 128-bit output vectors a voxel, V of them in a block. */
  vectors: number;
  V: number;
  outPixel: number;
  outRow: number;
  outPlane: number;
}

const POSITIONS = 16;

export const channelsOf = (sources: readonly { vectors: number }[]): number =>
  sources.reduce((sum, source) => sum + source.vectors * 4, 0);

/** Bytes of one transformed plane of a strip. */
export const stripBytes = (spec: Pick<WinogradSpec, "tilesW" | "tileRows">, channels: number): number =>
  POSITIONS * spec.tilesW * spec.tileRows * channels * 4;

/** Scratch memory of a call: the ring of input planes, and the products of one channel block. */
export function winogradScratch(spec: WinogradSpec): number {
  return spec.kd * stripBytes(spec, channelsOf(spec.sources)) + stripBytes(spec, 4 * spec.V);
}

/** Rows of tiles in a strip: about 32 tiles, fewer where the channels would push the ring out of the cache. */
export function stripRows(tilesW: number, tilesH: number, channels: number): number {
  return divisorUpTo(tilesH, Math.max(1, Math.min(32, 2048 / channels) / tilesW));
}

/**
 * Arguments: output, transformed weights, bias, statistics, scratch, planes, strips, then one address a source (its window's
 * first voxel). Weights: [channel block][position][kd][input channel][4 V].
 */
export function emitWinograd(f: FunctionBuilder, spec: WinogradSpec, tiles: TileChoice): void {
  const [OUT, WEIGHTS, BIAS, STATS, SCRATCH, PLANES, STRIPS] = [0, 1, 2, 3, 4, 5, 6];
  const { V, kd } = spec;
  const channels = channelsOf(spec.sources);
  const T = spec.tilesW * spec.tileRows;
  const ringBytes = stripBytes(spec, channels);
  const [stripCount, planeCount] = [f.int(), f.int()];
  const ring = Array.from({ length: kd }, () => f.int());
  const [products, outPlane, held] = [f.int(), f.int(), f.int()];
  const source = spec.sources.map(() => f.int());
  const loops = { rows: f.int(), tiles: f.int(), vectors: f.int() };
  const temporaries = f.vectors(20);

  const inputPlane = planeEmitter(f, spec, source, loops, temporaries);
  const multiply = productEmitter(f, { T, V, kd, channels, planeBytes: ringBytes / POSITIONS }, tiles);
  const [blockCount, w, op, bp, sp] = [f.int(), f.int(), f.int(), f.int(), f.int()];

  f.repeat(stripCount, { local: STRIPS }, () => {
    f.copy(OUT, outPlane);
    spec.sources.forEach((_, s) => {
      f.copy(7 + s, source[s]);
    });
    ring.forEach((slot, k) => {
      f.copy(SCRATCH, slot, k * ringBytes);
    });
    f.copy(SCRATCH, products, kd * ringBytes);
    // The ring's newest plane is made at each step; the earlier ones before the first.
    for (let k = 0; k < kd - 1; k++) inputPlane(ring[k]);
    f.repeat(planeCount, { local: PLANES }, () => {
      inputPlane(ring[kd - 1]);
      f.copy(WEIGHTS, w).copy(outPlane, op).copy(BIAS, bp).copy(STATS, sp);
      f.repeat(blockCount, spec.vectors / V, () => {
        multiply(ring, w, products);
        emitOutputTransform(f, spec, { products, op, bp, sp }, loops, temporaries);
        for (const local of [op, bp, sp]) f.advance(local, 16 * V);
      });
      if (spec.stats) flushRowSums(f, spec.vectors, STATS, sp, blockCount, temporaries[0]);
      rotateRing(f, ring, held);
      f.advance(outPlane, spec.outPlane);
    });
    f.advance(OUT, 2 * spec.tileRows * spec.outRow);
    spec.sources.forEach((walk, s) => {
      f.advance(7 + s, 2 * spec.tileRows * walk.rowBytes);
    });
  });
}

/** The oldest plane's memory becomes the newest's. */
export function rotateRing(f: FunctionBuilder, ring: Local[], held: Local): void {
  if (ring.length === 3) f.copy(ring[0], held).copy(ring[1], ring[0]).copy(ring[2], ring[1]).copy(held, ring[2]);
}

/** Returns the emitter of a strip's next transformed plane, all sources' channels behind each other, into the ring's slot `to`. */
export function planeEmitter(
  f: FunctionBuilder,
  spec: Pick<WinogradSpec, "tilesW" | "tileRows" | "sources">,
  source: Local[],
  loops: TransformLoops,
  temporaries: Local[],
): (to: Local) => void {
  const { tilesW, tileRows } = spec;
  const channels = channelsOf(spec.sources);
  return (to) => {
    let offset = 0;
    spec.sources.forEach((walk, s) => {
      emitInputTransform(f, { ...walk, tilesW, tileRows, offset, channels }, source[s], to, loops, temporaries);
      f.advance(source[s], walk.planeBytes);
      offset += walk.vectors * 16;
    });
  };
}

/** Rows of B': each is first + sign * second of the four inputs. */
const INPUT_ROWS = [
  [0, 2, -1],
  [1, 2, 1],
  [2, 1, -1],
  [1, 3, -1],
] as const;

/** Counters of the loops over a strip. */
export interface TransformLoops {
  rows: Local;
  tiles: Local;
  vectors: Local;
}

/** B' d B of one plane of a strip, vector by vector of channels, into [16][tile][channels]. */
function emitInputTransform(
  f: FunctionBuilder,
  walk: {
    vectors: number;
    pixelBytes: number;
    rowBytes: number;
    tilesW: number;
    tileRows: number;
    /** Bytes of earlier sources' channels, and all channels. */
    offset: number;
    channels: number;
  },
  from: Local,
  to: Local,
  loops: TransformLoops,
  t: Local[],
): void {
  const G = divisorUpTo(walk.vectors, 2);
  const position = walk.tilesW * walk.tileRows * walk.channels * 4;
  const [row, tile, out] = [f.int(), f.int(), f.int()];
  f.copy(from, row).copy(to, out, walk.offset);
  f.repeat(loops.rows, walk.tileRows, () => {
    f.copy(row, tile);
    f.repeat(loops.tiles, walk.tilesW, () => {
      f.repeat(loops.vectors, walk.vectors / G, () => {
        INPUT_ROWS.forEach(([first, second, sign], i) => {
          for (let j = 0; j < 4; j++) {
            for (let g = 0; g < G; g++) {
              const at = j * walk.pixelBytes + g * 16;
              f.get(tile).load(first * walk.rowBytes + at);
              f.get(tile).load(second * walk.rowBytes + at);
              (sign < 0 ? f.sub() : f.add()).set(t[j * G + g]);
            }
          }
          INPUT_ROWS.forEach(([a, b, s], j) => {
            for (let g = 0; g < G; g++) {
              f.get(out)
                .get(t[a * G + g])
                .get(t[b * G + g]);
              (s < 0 ? f.sub() : f.add()).store((i * 4 + j) * position + g * 16);
            }
          });
        });
        f.advance(tile, G * 16).advance(out, G * 16);
      });
      f.advance(tile, 2 * walk.pixelBytes - walk.vectors * 16);
      f.advance(out, walk.channels * 4 - walk.vectors * 16);
    });
    f.advance(row, 2 * walk.rowBytes);
  });
}

/**
 * Returns the emitter of one channel block's products: products[position][tile][4 V] = sum over kd and channels of the ring
 * times the weights at `weights`, which then stands at the next block.
 */
function productEmitter(
  f: FunctionBuilder,
  shape: { T: number; V: number; kd: number; channels: number; planeBytes: number },
  tiles: TileChoice,
): (ring: Local[], weights: Local, products: Local) => void {
  const { T, V, kd, channels, planeBytes } = shape;
  const parts = evenParts(T, tileRows(V, tiles, "conv"));
  // kd copies of the body, for two sizes of part: longer ones would leave the cache of decoded instructions (a quarter slower).
  const U = divisorUpTo(channels, 4);
  const acc = Array.from({ length: parts[0].size }, () => f.vectors(V));
  const weight = f.vectors(V);
  const splat = f.vector();
  const [w, x, column, to] = [f.int(), f.int(), f.int(), f.int()];
  const [positionCount, partCount, stepCount, position] = [f.int(), f.int(), f.int(), f.int()];
  return (ring, weights, products) => {
    f.copy(products, to).const(0).set(position);
    f.repeat(positionCount, POSITIONS, () => {
      f.copy(position, column);
      for (const { count, size } of parts) {
        f.repeat(partCount, count, () => {
          for (let p = 0; p < size; p++) for (let v = 0; v < V; v++) f.zero().set(acc[p][v]);
          f.copy(weights, w);
          for (let k = 0; k < kd; k++) {
            f.get(ring[k]).get(column).addInt().set(x);
            f.repeat(stepCount, channels / U, () => {
              for (let u = 0; u < U; u++) {
                for (let v = 0; v < V; v++)
                  f.get(w)
                    .load((u * V + v) * 16)
                    .set(weight[v]);
                for (let p = 0; p < size; p++) {
                  f.get(x)
                    .loadSplat((p * channels + u) * 4)
                    .set(splat);
                  for (let v = 0; v < V; v++) f.fma(splat, weight[v], acc[p][v]);
                }
              }
              f.advance(w, U * V * 16).advance(x, U * 4);
            });
          }
          for (let p = 0; p < size; p++)
            for (let v = 0; v < V; v++)
              f.get(to)
                .get(acc[p][v])
                .store((p * V + v) * 16);
          f.advance(to, size * V * 16).advance(column, size * channels * 4);
        });
      }
      f.copy(w, weights).advance(position, planeBytes);
    });
  };
}
