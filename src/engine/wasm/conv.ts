import type { FunctionBuilder, Local } from "./emit.ts";
import { divisorUpTo, evenParts, type TileChoice, tileRows } from "./tiles.ts";

/**
 * One input of a convolution-like kernel: how to walk it. For each output position the kernel visits kd x kh taps; at each tap
 * `chunks` runs of `steps` consecutive floats (one run where the taps along W are contiguous; else at most 24 steps each).
 * All distances are bytes.
 */
export interface SourceWalk {
  kd: number;
  kh: number;
  tapPlane: number;
  tapRow: number;
  chunks: number;
  steps: number;
  chunkAdvance: number;
  /** From one output position to the next. */
  stepPixel: number;
  stepRow: number;
  stepPlane: number;
}

/** What a convolution kernel does to its sums before and while it stores them. */
export interface Epilogues {
  bias: boolean;
  /** Negative slope of the activation, or null for none. */
  slope: number | null;
  /** After the activation: y = a x + b, vectors a and b behind the bias in memory. */
  affine: boolean;
  /**
   * Sums and sums of squares a channel of (output - act(bias)), kept as float in a row and as double across rows. The shift is what a
   * channel with dead inputs gives everywhere: its variance then comes out as exactly 0, not as rounding noise.
   */
  stats: boolean;
}

export interface ConvKernelSpec extends Epilogues {
  /** Output positions in a row. */
  width: number;
  /** Output rows that one tile may span (a divisor of every row range the kernel is called with). */
  height: number;
  sources: SourceWalk[];
  /** 128-bit output vectors a position, and V of them in a tile. */
  vectors: number;
  V: number;
  outPixel: number;
  outRow: number;
  outPlane: number;
}

/** Longer bodies leave the processor's cache of decoded instructions: measured on Zen 4, 24 steps are slower than 16 or fewer. */
const UNROLLED_STEPS = 12;

/** Rows that one tile spans: 1 for wide images, several where a row is shorter than a tile. */
export function tileHeight(spec: { width: number; height: number; V: number }, tiles: TileChoice): number {
  const most = tileRows(spec.V, tiles, "conv");
  return spec.width * 2 > most ? 1 : divisorUpTo(spec.height, most / spec.width);
}

/** Bytes of a statistics area for `vectors` output vectors: two double sums, then two float row sums a channel. */
export function statsBytes(vectors: number): number {
  return vectors * 96;
}

/**
 * Emits a convolution-like kernel: out[p] = tail(bias + sum over sources, taps, channels of x * w).
 * Arguments: addresses of output, weights, bias and statistics, planes, row groups, then one address a source; the output and the
 * sources already at the first position of the call.
 * Weights: [channel block][source][kd][kh][chunk][step][4 V]. A register tile is P positions x V vectors: each step
 * loads V weight vectors and broadcasts one float a position.
 */
export function emitConv(f: FunctionBuilder, spec: ConvKernelSpec, tiles: TileChoice): void {
  const [OUT, WEIGHTS, BIAS, STATS, PLANES, ROWS] = [0, 1, 2, 3, 4, 5];
  const { V, sources } = spec;
  const most = tileRows(V, tiles, "conv");
  const R = tileHeight(spec, tiles);
  const parts = evenParts(spec.width, R > 1 ? spec.width : most);
  const P = parts[0].size * R;

  const [planeCount, rowCount, blockCount, tileCount] = [f.int(), f.int(), f.int(), f.int()];
  const [kdCount, khCount, chunkCount] = [f.int(), f.int(), f.int()];
  const [w, wBlock, ip, op, opRow, bp, sp] = [f.int(), f.int(), f.int(), f.int(), f.int(), f.int(), f.int()];
  const srcPlane = sources.map(() => f.int());
  const srcRow = sources.map(() => f.int());
  const srcColumn = sources.map(() => f.int());
  const acc: Local[][] = Array.from({ length: P }, () => f.vectors(V));
  const weight = f.vectors(V);
  const splat = f.vector();
  const [sum, square] = [f.vectors(V), f.vectors(V)];

  const multiply = (source: SourceWalk, columns: number): void => {
    const pixel = (p: number): number => Math.floor(p / columns) * source.stepRow + (p % columns) * source.stepPixel;
    // Long runs are cut into loops; a run per tap (padded pixels) is one body.
    const U = source.chunks === 1 ? divisorUpTo(source.steps, UNROLLED_STEPS) : source.steps;
    f.repeat(kdCount, source.kd, () => {
      f.repeat(khCount, source.kh, () => {
        const inner = (): void => {
          for (let k = 0; k < U; k++) {
            for (let v = 0; v < V; v++)
              f.get(w)
                .load((k * V + v) * 16)
                .set(weight[v]);
            for (let p = 0; p < columns * R; p++) {
              f.get(ip)
                .loadSplat(pixel(p) + k * 4)
                .set(splat);
              for (let v = 0; v < V; v++) f.fma(splat, weight[v], acc[p][v]);
            }
          }
          f.advance(w, U * V * 16);
        };
        if (source.chunks === 1) {
          const loops = source.steps / U;
          f.repeat(chunkCount, loops, () => {
            inner();
            if (loops > 1) f.advance(ip, U * 4);
          });
          f.advance(ip, source.tapRow - (loops > 1 ? loops * U * 4 : 0));
        } else {
          // Padded pixels: `steps` is at most 24, so one chunk is one unrolled body.
          f.repeat(chunkCount, source.chunks, () => {
            inner();
            f.advance(ip, source.chunkAdvance);
          });
          f.advance(ip, source.tapRow - source.chunks * source.chunkAdvance);
        }
      });
      f.advance(ip, source.tapPlane - source.kh * source.tapRow);
    });
  };

  const tile = (columns: number): void => {
    const count = columns * R;
    for (let v = 0; v < V; v++) {
      if (spec.bias) f.get(bp).load(v * 16);
      else f.zero();
      f.set(weight[v]);
    }
    for (let p = 0; p < count; p++) for (let v = 0; v < V; v++) f.get(weight[v]).set(acc[p][v]);
    f.copy(wBlock, w);
    sources.forEach((source, s) => {
      f.copy(srcColumn[s], ip);
      multiply(source, columns);
    });
    for (let p = 0; p < count; p++) for (let v = 0; v < V; v++) activate(f, acc[p][v], spec.slope);
    if (spec.affine) {
      const at = spec.vectors * 16;
      for (let v = 0; v < V; v++)
        f.get(bp)
          .load(at + v * 16)
          .set(sum[v]);
      for (let v = 0; v < V; v++)
        f.get(bp)
          .load(2 * at + v * 16)
          .set(square[v]);
      for (let p = 0; p < count; p++) {
        for (let v = 0; v < V; v++) f.fmaValue(acc[p][v], sum[v], square[v]).set(acc[p][v]);
      }
    }
    // Stores of neighbouring vectors stand together, no load between: V8 then merges the whole tile into 256 bit.
    for (let p = 0; p < count; p++) {
      const at = Math.floor(p / columns) * spec.outRow + (p % columns) * spec.outPixel;
      for (let v = 0; v < V; v++)
        f.get(op)
          .get(acc[p][v])
          .store(at + v * 16);
    }
    if (spec.stats) {
      const at = spec.vectors * 64;
      for (let v = 0; v < V; v++)
        f.get(sp)
          .load(at + v * 16)
          .set(sum[v]);
      for (let v = 0; v < V; v++)
        f.get(sp)
          .load(at + spec.vectors * 16 + v * 16)
          .set(square[v]);
      for (let v = 0; v < V; v++) {
        f.get(bp)
          .load(v * 16)
          .set(weight[v]);
        activate(f, weight[v], spec.slope);
      }
      for (let p = 0; p < count; p++) {
        for (let v = 0; v < V; v++) {
          f.get(acc[p][v]).get(weight[v]).sub().set(acc[p][v]);
          f.get(sum[v]).get(acc[p][v]).add().set(sum[v]);
          f.fma(acc[p][v], acc[p][v], square[v]);
        }
      }
      for (let v = 0; v < V; v++)
        f.get(sp)
          .get(sum[v])
          .store(at + v * 16);
      for (let v = 0; v < V; v++)
        f.get(sp)
          .get(square[v])
          .store(at + spec.vectors * 16 + v * 16);
    }
  };

  sources.forEach((_, s) => {
    f.copy(6 + s, srcPlane[s]);
  });
  f.repeat(planeCount, { local: PLANES }, () => {
    f.copy(OUT, opRow);
    sources.forEach((_, s) => {
      f.copy(srcPlane[s], srcRow[s]);
    });
    f.repeat(rowCount, { local: ROWS }, () => {
      f.copy(WEIGHTS, wBlock).copy(BIAS, bp).copy(opRow, op);
      if (spec.stats) f.copy(STATS, sp);
      f.repeat(blockCount, spec.vectors / V, () => {
        sources.forEach((_, s) => {
          f.copy(srcRow[s], srcColumn[s]);
        });
        for (const { count, size } of parts) {
          f.repeat(tileCount, count, () => {
            tile(size);
            sources.forEach((source, s) => {
              f.advance(srcColumn[s], size * source.stepPixel);
            });
            f.advance(op, size * spec.outPixel);
          });
        }
        f.advance(op, 16 * V - spec.width * spec.outPixel).copy(w, wBlock);
        f.advance(bp, 16 * V);
        if (spec.stats) f.advance(sp, 16 * V);
      });
      if (spec.stats) flushRowSums(f, spec.vectors, STATS, sp, blockCount, splat);
      sources.forEach((source, s) => {
        f.advance(srcRow[s], R * source.stepRow);
      });
      f.advance(opRow, R * spec.outRow);
    });
    f.advance(OUT, spec.outPlane);
    sources.forEach((source, s) => {
      f.advance(srcPlane[s], source.stepPlane);
    });
  });
}

/** local = act(local) */
export function activate(f: FunctionBuilder, local: Local, slope: number | null): void {
  if (slope === null) return;
  f.get(local);
  if (slope === 0) f.zero();
  else f.get(local).splatConst(slope).mul();
  f.max().set(local);
}

/** Adds the float sums of a row to the double sums and clears them: keeps the rounding error of a whole volume that of a row. */
export function flushRowSums(
  f: FunctionBuilder,
  vectors: number,
  stats: Local,
  sp: Local,
  counter: Local,
  held: Local,
): void {
  // Both kinds of sums lie behind each other: 2 * vectors floats vectors at 64 * vectors, doubles from 0.
  const [from, to] = [sp, f.int()];
  f.copy(stats, from, vectors * 64).copy(stats, to);
  f.repeat(counter, vectors * 2, () => {
    f.get(from).load(0).set(held);
    f.get(to).get(to).load(0).get(held).promoteLow().addDouble().store(0);
    f.get(to).get(to).load(16).get(held).get(held).shuffle(HIGH_HALF).promoteLow().addDouble().store(16);
    f.get(from).zero().store(0);
    f.advance(from, 16).advance(to, 32);
  });
}

/** Moves the upper two floats of a vector down. */
export const HIGH_HALF = [8, 9, 10, 11, 12, 13, 14, 15, 8, 9, 10, 11, 12, 13, 14, 15];
